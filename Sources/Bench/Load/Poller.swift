#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Model

/// Linux's epoll, level-triggered, for descriptors numbered by their user.
final class Poller {
    struct Event {
        var index: Int
        /// Also when the peer has gone or something failed: reading tells.
        var isReadable: Bool
        var isWritable: Bool
    }

    /// Swift's Glibc module leaves epoll out.
    private typealias Create = @convention(c) (CInt) -> CInt
    private typealias Control = @convention(c) (CInt, CInt, CInt, UnsafeMutableRawPointer?) -> CInt
    private typealias Wait = @convention(c) (CInt, UnsafeMutableRawPointer?, CInt, CInt) -> CInt

    /// `struct epoll_event`: a mask of 32 bits and 64 bits of the user's, packed on x86-64 alone.
    #if arch(x86_64)
        private static let stride = 12
        private static let userOffset = 4
    #else
        private static let stride = 16
        private static let userOffset = 8
    #endif
    private static let readable: UInt32 = 0x001
    private static let writable: UInt32 = 0x004
    private static let eventsMax = 512

    private let descriptor: CInt
    private let control: Control
    private let wait: Wait
    private let events = UnsafeMutableRawPointer.allocate(byteCount: Poller.stride * Poller.eventsMax, alignment: 8)

    init() throws(Problem) {
        guard let create = dlsym(nil, "epoll_create1"), let control = dlsym(nil, "epoll_ctl"),
            let wait = dlsym(nil, "epoll_wait")
        else { throw Problem("bench.platform", "the load generator needs Linux: there is no epoll") }
        descriptor = unsafeBitCast(create, to: Create.self)(0)
        self.control = unsafeBitCast(control, to: Control.self)
        self.wait = unsafeBitCast(wait, to: Wait.self)
        guard descriptor >= 0 else { throw Problem("bench.generator", "epoll: \(errorText(errno))") }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        events.deallocate()
    }

    func add(_ socket: CInt, index: Int) throws(Problem) {
        try change(1, socket, index: index, mask: Self.readable)
    }

    /// Whether to be told of room for writing too.
    func watchWriting(_ socket: CInt, index: Int, _ isOn: Bool) throws(Problem) {
        try change(3, socket, index: index, mask: Self.readable | (isOn ? Self.writable : 0))
    }

    private func change(_ operation: CInt, _ socket: CInt, index: Int, mask: UInt32) throws(Problem) {
        let event = UnsafeMutableRawPointer.allocate(byteCount: Self.stride, alignment: 8)
        defer { event.deallocate() }
        event.storeBytes(of: mask, as: UInt32.self)
        event.storeBytes(of: UInt64(index), toByteOffset: Self.userOffset, as: UInt64.self)
        guard control(descriptor, operation, socket, event) == 0 else {
            throw Problem("bench.generator", "epoll: \(errorText(errno))")
        }
    }

    /// How many descriptors have something; at most 512 at a time.
    func poll(milliseconds: Int) throws(Problem) -> Int {
        let count = wait(descriptor, events, CInt(Self.eventsMax), CInt(milliseconds))
        if count < 0 {
            guard errno == EINTR else { throw Problem("bench.generator", "epoll: \(errorText(errno))") }
            return 0
        }
        return Int(count)
    }

    @inline(__always)
    func event(_ number: Int) -> Event {
        let at = events + number * Self.stride
        let mask = at.loadUnaligned(as: UInt32.self)
        return Event(
            index: Int(at.loadUnaligned(fromByteOffset: Self.userOffset, as: UInt64.self)),
            isReadable: mask & ~Self.writable != 0, isWritable: mask & Self.writable != 0)
    }
}
