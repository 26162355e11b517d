package import Model

/// Rows of one lane, in order, column by column. Immutable; a retry gets the same object.
package struct SinkBatch: Sendable {
    package let columns: [SinkColumn]
    /// One list per column, all of the same length.
    package let values: [[Value?]]
    /// The lane that the rows belong to, by hash of their key: 0..<lanes.
    package let lane: Int
    /// Counts the lane's batches without gaps, from 1, also across restarts.
    package let sequence: UInt64
    /// What the rows take in the buffer.
    package let bytes: Int

    /// `values` has one list for each column; they must have equal lengths.
    package init(columns: [SinkColumn], values: [[Value?]], lane: Int, sequence: UInt64, bytes: Int) {
        precondition(columns.count == values.count && values.allSatisfy { $0.count == values.first?.count })
        self.columns = columns
        self.values = values
        self.lane = lane
        self.sequence = sequence
        self.bytes = bytes
    }

    package var count: Int { values.first?.count ?? 0 }
    package func row(_ index: Int) -> [Value?] { values.map { $0[index] } }
}

/// What became of a batch that was not an error as a whole.
package struct SinkOutcome: Sendable {
    /// Rows that the other side will never take. They are set apart with its words; all others are durable there.
    package var refused: [RefusedRow]
    /// The batch had been written before; nothing was doubled.
    package var wasKnown: Bool

    package init(refused: [RefusedRow] = [], wasKnown: Bool = false) {
        self.refused = refused
        self.wasKnown = wasKnown
    }
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
        /// The batch alone is at fault, and the other side does not say which row. The host halves it to find the
        /// rows, and sets them apart.
        case badBatch
    }

    package var kind: Kind
    package var problem: Problem
    /// The connection can be used again; otherwise the host closes it.
    package var isConnectionSound: Bool
    /// How long the other side has asked us to wait, such as by `Retry-After`.
    package var retryAfter: Duration?

    package init(_ kind: Kind, _ problem: Problem, isConnectionSound: Bool = false, retryAfter: Duration? = nil) {
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
