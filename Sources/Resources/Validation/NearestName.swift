/// The known name that someone most likely meant; nil if none is near.
package func nearestName(to name: String, among known: [String]) -> String? {
    let wanted = Array(name.lowercased().unicodeScalars.prefix(64))
    var best: (name: String, distance: Int)?
    for candidate in known {
        let letters = Array(candidate.lowercased().unicodeScalars.prefix(64))
        let distance = editDistance(wanted, letters)
        // A third of the letters may differ; of short names, one.
        let allowed = max(1, max(wanted.count, letters.count) / 3)
        guard distance <= allowed, distance < (best?.distance ?? .max) else { continue }
        best = (candidate, distance)
    }
    return best?.name
}

/// Letters inserted, removed, replaced, or swapped with their neighbour.
private func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for row in 1...a.count {
        var current = [row] + [Int](repeating: 0, count: b.count)
        for column in 1...b.count {
            let cost = a[row - 1] == b[column - 1] ? 0 : 1
            var least = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + cost)
            if row > 1, column > 1, a[row - 1] == b[column - 2], a[row - 2] == b[column - 1] {
                least = min(least, beforeLast[column - 2] + 1)
            }
            current[column] = least
        }
        beforeLast = last
        last = current
    }
    return last[b.count]
}

/// The sentence about a name that nobody knows, with what it might have been and what there is.
func unknownName(
    _ what: String, _ name: String, known: [String]
) -> (message: String, arguments: [String: String]) {
    let nearest = nearestName(to: name, among: known)
    let shown = known.prefix(40).joined(separator: ", ") + (known.count > 40 ? ", ..." : "")
    var message = "unknown \(what) \"\(shortened(name))\""
    if let nearest { message += ": did you mean \"\(nearest)\"?" } else { message += "." }
    message += known.isEmpty ? " None is known here" : " Known: \(shown)"
    return (
        message,
        ["what": what, "name": name, "known": shown].merging(nearest.map { ["nearest": $0] } ?? [:]) { a, _ in a }
    )
}
