#if os(Linux)
    package import Dispatch
    package import Model
    package import NIOCore
    import Synchronization

    /// The loops that carry the broker's connections on Linux.
    package final class EpollEventLoopGroup: EventLoopGroup {
        let loops: [EpollEventLoop]
        private let turn = Atomic<Int>(0)

        /// Starts `count` threads.
        package init(count: Int) throws(Problem) {
            do throws(EpollError) {
                var loops: [EpollEventLoop] = []
                for index in 0..<max(1, count) { loops.append(try EpollEventLoop(name: "broker-\(index)")) }
                self.loops = loops
            } catch {
                throw Problem(
                    "broker.no_event_loop", "cannot start an event loop: \(error)", ["reason": error.description])
            }
        }

        package func next() -> any EventLoop {
            loops[Int(UInt(bitPattern: turn.add(1, ordering: .relaxed).oldValue) % UInt(loops.count))]
        }

        package func any() -> any EventLoop { loops[0] }

        package func makeIterator() -> EventLoopIterator { EventLoopIterator(loops) }

        /// The loop with the fewest connections; among equals they take turns. The caller's connection is counted.
        func reserveLeastLoaded() -> EpollEventLoop {
            let first = Int(UInt(bitPattern: turn.add(1, ordering: .relaxed).oldValue) % UInt(loops.count))
            var best = loops[first]
            for offset in 1..<max(1, loops.count) {
                let loop = loops[(first + offset) % loops.count]
                if loop.handlerCount < best.handlerCount { best = loop }
            }
            best.reserve()
            return best
        }

        package func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
            let group = DispatchGroup()
            for loop in loops {
                group.enter()
                loop.stop { group.leave() }
            }
            group.notify(queue: queue) { callback(nil) }
        }
    }
#endif
