package import Model

/// Rows of one lane, in order, column by column. Immutable; a retry gets the same rows, unless some were set apart.
package struct SinkBatch: Sendable {
    package let columns: [SinkColumn]
    /// One list per column, all of the same length.
    package let values: [[Value?]]
    /// The rows as they came, JSON objects; as many as there are values in a column.
    package let texts: [Bytes]
    /// The rows' numbers: they grow in the buffer, for ever, with gaps.
    package let numbers: [UInt64]
    /// What the other side is to remember with the rows: all rows of the lane up to this one are dealt with.
    package let mark: SinkMark
    /// What the rows take in the buffer.
    package let bytes: Int

    /// `values` has one list for each column; they must have the length of `texts` and `numbers`.
    package init(columns: [SinkColumn], values: [[Value?]], texts: [Bytes], numbers: [UInt64], mark: SinkMark) {
        precondition(columns.count == values.count && values.allSatisfy { $0.count == texts.count })
        precondition(texts.count == numbers.count)
        self.columns = columns
        self.values = values
        self.texts = texts
        self.numbers = numbers
        self.mark = mark
        bytes = texts.reduce(0) { $0 + $1.count }
    }

    package var count: Int { texts.count }
    package var lane: Int { mark.lane }
    package func row(_ index: Int) -> [Value?] { values.map { $0[index] } }

    /// Only these rows. The mark is that of the last of them, or `mark` where they end the batch.
    func part(_ range: Range<Int>) -> SinkBatch {
        var mark = mark
        if range.upperBound < count { mark.number = numbers[range.upperBound - 1] }
        return SinkBatch(
            columns: columns, values: values.map { Array($0[range]) }, texts: Array(texts[range]),
            numbers: Array(numbers[range]), mark: mark)
    }

    /// Without the rows for which `isLeftOut` holds; nil if none are left.
    func filtered(without isLeftOut: (Int) -> Bool) -> SinkBatch? {
        let kept = (0..<count).filter { !isLeftOut($0) }
        if kept.count == count { return self }
        guard !kept.isEmpty else { return nil }
        return SinkBatch(
            columns: columns, values: values.map { column in kept.map { column[$0] } }, texts: kept.map { texts[$0] },
            numbers: kept.map { numbers[$0] }, mark: mark)
    }
}

/// How far a lane has come. What the other side remembers, so that it can tell what it has already.
package struct SinkMark: Sendable, Hashable {
    /// The division into lanes under which it was made (`LanePolicy.division`).
    package var division: String
    package var lane: Int
    /// Rows of the lane with numbers up to this are dealt with.
    package var number: UInt64

    package init(division: String, lane: Int, number: UInt64) {
        self.division = division
        self.lane = lane
        self.number = number
    }
}

/// What became of a batch that was not an error as a whole.
package struct SinkOutcome: Sendable {
    /// Rows that the other side will never take. They are set apart with its words; all others are durable there.
    package var refused: [RefusedRow]

    package init(refused: [RefusedRow] = []) { self.refused = refused }
}

package struct RefusedRow: Sendable, Hashable {
    /// The row's place in the batch.
    package var index: Int
    /// The other side's stable code, such as an SQLSTATE; empty if it has none.
    package var code: String
    /// The other side's own words, unchanged.
    package var reason: String

    package init(index: Int, code: String, reason: String) {
        self.index = index
        self.code = code
        self.reason = reason
    }
}

/// Why a connection or a batch failed.
package struct SinkError: Error, Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Tried again, later and later, with the same batch: the network, a restart, a deadlock, too much load.
        case transient
        /// Trying again changes nothing until a person does: wrong password, missing table, wrong type. The host
        /// holds the lane, shows the problem, and tries again when the resource changes or the probe succeeds.
        case permanent
        /// Rows are at fault and nothing was written. The host sets those in `refused` apart and writes the others,
        /// or halves the batch to find them where the other side does not say which.
        case badBatch
    }

    package var kind: Kind
    package var problem: Problem
    /// The connection can be used again; otherwise the host closes it.
    package var isConnectionSound: Bool
    /// How long the other side has asked us to wait, such as by `Retry-After`.
    package var retryAfter: Duration?
    /// Of a `badBatch`: the rows at fault, as far as the other side says which.
    package var refused: [RefusedRow]

    package init(
        _ kind: Kind, _ problem: Problem, isConnectionSound: Bool = false, retryAfter: Duration? = nil,
        refused: [RefusedRow] = []
    ) {
        self.refused = refused
        self.kind = kind
        self.problem = problem
        self.isConnectionSound = isConnectionSound
        self.retryAfter = retryAfter
    }
}

/// What a probe found.
package enum SinkHealth: Sendable, Hashable {
    case ready
    /// Works, but a person should know: a column that nobody fills, a clock that is off.
    case degraded(Problem)
    case unavailable(Problem)
}
