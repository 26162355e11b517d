package import DriverKit
package import Model
package import NIOCore

/// A link whose other end is a closure: what the driver writes is answered at once, late, or not at all. Confined to
/// one event loop, which may be an embedded one.
package final class ScriptedLink: Link {
    package private(set) var isOpen = true
    /// Everything that was written, one element a write.
    package private(set) var written: [[UInt8]] = []
    package var onWrite: (([UInt8]) -> Void)?
    private var receiver: (any LinkReceiver)?
    private var unconsumed: [UInt8] = []

    package init() {}

    package func start(_ receiver: any LinkReceiver) { self.receiver = receiver }

    package func write(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        guard isOpen else { return }
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            count = fill(UnsafeMutableRawBufferPointer(buffer))
        }
        written.append(bytes)
        onWrite?(bytes)
    }

    package func close() {
        isOpen = false
        receiver = nil
    }

    /// Bytes from the device, all at once.
    package func receive(_ bytes: [UInt8]) {
        guard let receiver else { return }
        unconsumed += bytes
        let count = unconsumed.withUnsafeBytes { receiver.received($0) }
        unconsumed.removeFirst(count)
    }

    /// The device closes.
    package func end(_ problem: Problem = Problem("device.connection_lost", "the device closed the connection")) {
        guard let receiver else { return }
        isOpen = false
        self.receiver = nil
        receiver.closed(problem)
    }
}

/// A connector for settings that never get that far.
package struct NoLinks: LinkConnector {
    package init() {}

    package func connect(
        host: String, port: Int, timeout: TimeAmount, on eventLoop: any EventLoop
    ) async throws(Problem) -> any Link {
        throw Problem("device.unreachable", "\(host):\(port): there is no network in this test")
    }
}
