import Model

/// A pass over everything that a shard needs from the log, which writes it down anew, so that what is older can go.
struct Compaction {
    /// What stands before this block is to become unnecessary.
    var before: UInt64
}

extension Shard {
    func tickLog() {}
}
