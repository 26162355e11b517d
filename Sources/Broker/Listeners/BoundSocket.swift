package import Model
package import NIOCore
import NIOPosix

/// A socket that listens, whatever carries it.
struct BoundSocket: Sendable {
    /// What it is bound to; nil for a Unix socket.
    var port: Int?
    var close: @Sendable () async -> Void

    init(_ channel: any Channel) {
        port = channel.localAddress?.port
        close = {
            do { try await channel.close().get() } catch ChannelError.alreadyClosed {} catch {
                // A listening socket that cannot be closed is closed by the process's end; nobody can act on it.
            }
        }
    }

    init(port: Int?, close: @escaping @Sendable () async -> Void) {
        self.port = port
        self.close = close
    }
}

/// The event loops of a broker: one shard on each, which carries all protocols.
package enum BrokerLoops {
    /// Starts `threads` loops: epoll's on Linux, NIO's elsewhere or where `isPortable` asks for them.
    package static func make(threads: Int, isPortable: Bool = false) throws(Problem) -> any EventLoopGroup {
        #if os(Linux)
            if !isPortable { return try EpollEventLoopGroup(count: threads) }
        #endif
        return MultiThreadedEventLoopGroup(numberOfThreads: threads)
    }
}
