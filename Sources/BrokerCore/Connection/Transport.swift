package import NIOCore

/// What carries a connection's bytes: NIO's channel, or anything else that can. Used on the connection's event loop.
package protocol Transport: AnyObject {
    /// Sends and flushes. Keeps the buffer only until it is sent.
    func send(_ buffer: ByteBuffer)
    /// Closes when what was sent has left; afterwards calls `Connection.transportClosed`.
    func close()
    /// Whether to read from the peer: the other side of backpressure.
    func setReading(_ isReading: Bool)
    /// Gives the connection what it left unread, because it can go on now.
    func resume()
    /// Gives the socket away, to another process for instance: the connection ends here without the peer noticing.
    /// Nil where the transport cannot, as with TLS.
    func detach() -> DetachedSocket?
}

extension Transport {
    package func detach() -> DetachedSocket? { nil }
}

/// A socket that its connection has let go, and what was under way.
package struct DetachedSocket: Sendable, Hashable {
    /// Open; whoever has it closes it.
    package var descriptor: Int32
    /// Came from the peer and was not taken.
    package var unread: [UInt8]
    /// Belongs to the peer, ahead of anything else.
    package var unsent: [UInt8]

    package init(descriptor: Int32, unread: [UInt8], unsent: [UInt8]) {
        self.descriptor = descriptor
        self.unread = unread
        self.unsent = unsent
    }
}
