package import Model
package import NIOCore

/// A byte stream to a device, on one event loop. The seam below every driver's session: TCP in life, a script in
/// tests, a serial line later.
package protocol Link: AnyObject {
    /// False once either side has closed.
    var isOpen: Bool { get }

    /// Begins delivering to `receiver`, which the link holds strongly until it is closed. Called once.
    func start(_ receiver: any LinkReceiver)

    /// Queues bytes: `fill` gets room for `capacity` and returns how many it wrote. What is queued leaves when the
    /// current turn of the loop ends, in one write; after `close` it is dropped.
    func write(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int)

    /// Closes at once. The receiver hears nothing more. Idempotent.
    func close()
}

/// The upper end of a link. Called on the link's event loop.
package protocol LinkReceiver: AnyObject {
    /// All bytes that are there and not consumed yet; returns how many of them it has consumed. What is left comes
    /// again, at the front of the next call.
    func received(_ bytes: UnsafeRawBufferPointer) -> Int

    /// The other side or the network ended the link. At most once, and never after `Link.close`.
    func closed(_ problem: Problem)
}

/// Opens links.
package protocol LinkConnector: Sendable {
    /// Connects on `eventLoop`, from which it must be called, within `timeout`.
    ///
    /// Errors: `device.unreachable`, `device.connect_timeout`.
    func connect(host: String, port: Int, timeout: TimeAmount, on eventLoop: any EventLoop) async throws(Problem)
        -> any Link
}

extension Link {
    package func write(_ bytes: [UInt8]) {
        write(capacity: bytes.count) { target in
            target.copyBytes(from: bytes)
            return bytes.count
        }
    }
}
