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
}
