import Model

/// Points of one series from several sources, brought into order.
enum MergedPoints {
    /// In order of time; of several points with the same time only the one that came last.
    static func sorted(_ points: PointBuffer) -> PointBuffer {
        var isSorted = true
        for row in 1..<max(points.count, 1) where points.times[row] <= points.times[row - 1] {
            isSorted = false
            break
        }
        if isSorted { return points }
        // The row number decides between equal times, so that the order of arrival is kept.
        let order = points.times.indices.sorted { a, b in
            points.times[a] == points.times[b] ? a < b : points.times[a] < points.times[b]
        }
        var result = PointBuffer()
        result.times.reserveCapacity(points.count)
        result.slots.reserveCapacity(points.count)
        result.blob = points.blob
        for (place, row) in order.enumerated() {
            if place + 1 < order.count, points.times[order[place + 1]] == points.times[row] { continue }
            result.append(time: points.times[row], slot: points.slots[row], status: points.status(row))
        }
        return result
    }
}

extension PointBuffer {
    /// The bytes of a row of a variable-length type.
    func bytes(_ row: Int) -> [UInt8] {
        let offset = Int(slots[row] >> 32)
        return Array(blob[offset..<offset + Int(slots[row] & 0xFFFF_FFFF)])
    }

    func withColumns(_ body: (PointColumns) -> Void) {
        times.withUnsafeBufferPointer { times in
            slots.withUnsafeBufferPointer { slots in
                statuses.withUnsafeBufferPointer { statuses in
                    guard let times = times.baseAddress, let slots = slots.baseAddress else { return }
                    body(PointColumns(times: times, slots: slots, statuses: statuses.baseAddress, count: count))
                }
            }
        }
    }

    /// Keeps the rows in the range.
    mutating func cut(to range: Range<Int>) {
        if range == 0..<count { return }
        times = Array(times[range])
        slots = Array(slots[range])
        if !statuses.isEmpty { statuses = Array(statuses[range]) }
    }

    /// The rows whose time lies in from..<to, if times are in order.
    func rows(from: Int64, to: Int64) -> Range<Int> {
        let lower = firstRow { $0 >= from }
        return lower..<max(lower, firstRow { $0 >= to })
    }

    private func firstRow(_ holds: (Int64) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if holds(times[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
