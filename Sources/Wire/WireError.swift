/// Why bytes could not be read. Positions count bytes from the start of what the reader was given.
package enum WireError: Error, Sendable, Equatable {
    /// `needed` bytes were wanted at `position`, `available` were left.
    case truncated(position: Int, needed: Int, available: Int)
    /// A field has a value that its format does not allow.
    case invalid(position: Int, reason: String)
}

/// The order of the bytes of a number.
package enum Endianness: Sendable, Hashable {
    /// Most significant byte first: network order.
    case big
    case little
}
