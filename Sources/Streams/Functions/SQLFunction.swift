/// The arguments of one call; valid during the call.
struct SQLArguments {
    let base: UnsafePointer<Cell>
    let count: Int

    init(base: UnsafeMutablePointer<Cell>, count: Int) {
        self.base = UnsafePointer(base)
        self.count = count
    }

    @inline(__always) subscript(_ index: Int) -> Cell { base[index] }
}

/// A function that statements can call.
struct SQLFunction: Sendable {
    typealias Body = @Sendable (_ context: EvaluationContext, _ arguments: SQLArguments) -> Cell

    /// In lower case; calls are not case-sensitive.
    let name: String
    /// Other names of it, in the dialects that people come from.
    let aliases: [String]
    let argumentsMin: Int
    let argumentsMax: Int
    /// NULL where an argument is NULL; the body sees none then.
    let isStrict: Bool
    let body: Body

    init(
        _ name: String, _ arguments: ClosedRange<Int>, aliases: [String] = [], strict: Bool = true,
        _ body: @escaping Body
    ) {
        self.name = name
        self.aliases = aliases
        argumentsMin = arguments.lowerBound
        argumentsMax = arguments.upperBound
        isStrict = strict
        self.body = body
    }
}

/// All functions, and their names.
enum SQLFunctions {
    static let argumentsMax = 64

    static let all: [SQLFunction] = maths + bits + text + textParts + json + times + casts + conditions + topics

    static let indexes: [String: Int] = {
        var table: [String: Int] = [:]
        for (index, function) in all.enumerated() {
            for name in [function.name] + function.aliases { table[name] = index }
        }
        return table
    }()

    /// The known name nearest to `name`; nil if none is near.
    static func nearest(_ name: String) -> String? {
        let wanted = Array(name.lowercased().utf8)
        var best: (name: String, distance: Int)?
        for candidate in indexes.keys.sorted() {
            let distance = distance(wanted, Array(candidate.utf8))
            if distance <= max(1, wanted.count / 3), distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// Insertions, deletions and replacements between two words.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        guard a.count <= 64, b.count <= 64 else { return .max }
        var row = Array(0...b.count)
        for (i, left) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (left == right ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }
}
