#if os(Linux)
    import Glibc
    import NIOCore
    import Synchronization
    import Testing

    @testable import Broker

    @Suite("Epoll event loop", .timeLimit(.minutes(1)))
    struct EpollLoopTests {
        func withLoops(_ count: Int, _ body: (EpollEventLoopGroup) async throws -> Void) async throws {
            let group = try EpollEventLoopGroup(count: count)
            do { try await body(group) } catch {
                try await group.shutdownGracefully()
                throw error
            }
            try await group.shutdownGracefully()
        }

        @Test("tasks of one thread run in their order, on the loop")
        func order() async throws {
            try await withLoops(1) { group in
                let loop = group.any()
                let seen = Mutex<[Int]>([])
                for number in 0..<10_000 {
                    loop.execute { seen.withLock { $0.append(loop.inEventLoop ? number : -1) } }
                }
                try await loop.submit {}.get()
                #expect(seen.withLock { $0 } == Array(0..<10_000))
                #expect(!loop.inEventLoop)
            }
        }

        @Test("two loops that wake each other lose no task")
        func pingPong() async throws {
            try await withLoops(2) { group in
                let (a, b) = (group.loops[0], group.loops[1])
                let rounds = Mutex<Int>(0)
                @Sendable func bounce(_ left: Int, _ done: EventLoopPromise<Void>) {
                    rounds.withLock { $0 += 1 }
                    if left == 0 { return done.succeed(()) }
                    (a.inEventLoop ? b : a).execute { bounce(left - 1, done) }
                }
                let done = a.makePromise(of: Void.self)
                a.execute { bounce(20_000, done) }
                try await done.futureResult.get()
                #expect(rounds.withLock { $0 } == 20_001)
            }
        }

        @Test("timers fire by time, those of the same time in order, cancelled ones never")
        func timers() async throws {
            try await withLoops(1) { group in
                let loop = group.any()
                let seen = Mutex<[String]>([])
                let start = NIODeadline.now()
                @Sendable func note(_ text: String) { seen.withLock { $0.append(text) } }
                let last = loop.scheduleTask(deadline: start + .milliseconds(60)) { note("d") }
                let never = loop.scheduleTask(in: .milliseconds(30)) { note("never") }
                loop.scheduleTask(deadline: start + .milliseconds(20)) { note("b") }
                loop.scheduleTask(deadline: start + .milliseconds(20)) { note("c") }
                loop.scheduleTask(deadline: start + .milliseconds(5)) { note("a") }
                never.cancel()
                try await last.futureResult.get()
                #expect(seen.withLock { $0 } == ["a", "b", "c", "d"])
                #expect(NIODeadline.now() - start >= .milliseconds(60))
                await #expect(throws: EventLoopError.self) { try await never.futureResult.get() }
            }
        }

        @Test("thousands of cancelled timers do not pile up, and the others stay in order")
        func manyTimers() {
            var timers = EpollTimers()
            var seen: [Int64] = []
            let all = (0..<5000).map { index in
                EpollTimer(at: Int64((index * 7919) % 5000)) {
                } onStop: {
                }
            }
            let kept = (0..<10).map { index in
                EpollTimer(at: Int64(index * 500)) {
                    seen.append(Int64(index * 500))
                } onStop: {
                }
            }
            for timer in all { timers.insert(timer) }
            for timer in kept { timers.insert(timer) }
            for timer in all { timers.cancel(timer) }
            #expect(timers.milliseconds(from: -2_000_000) <= 3)
            while let body = timers.popDue(10_000) { body() }
            #expect(seen == kept.map(\.at))
            #expect(timers.milliseconds(from: 0) == -1)
        }

        @Test("a repeated task repeats until it is cancelled; futures hop between loops")
        func repeats() async throws {
            try await withLoops(2) { group in
                let loop = group.loops[0]
                let count = Mutex<Int>(0)
                let ended = loop.makePromise(of: Void.self)
                loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(1), notifying: ended) { task in
                    if count.withLock({
                        $0 += 1
                        return $0
                    }) == 5 {
                        task.cancel()
                    }
                }
                try await ended.futureResult.get()
                #expect(count.withLock { $0 } == 5)
                let sum = loop.submit { 20 }.and(group.loops[1].submit { 22 }).map { $0 + $1 }
                #expect(try await sum.get() == 42)
            }
        }

        @Test("at the end, timers that wait fail and threads end")
        func shutdown() async throws {
            let group = try EpollEventLoopGroup(count: 2)
            let failures = Mutex<[EventLoopError]>([])
            let waiting = group.any().scheduleTask(in: .hours(1)) {}
            waiting.futureResult.whenFailure { error in
                if let error = error as? EventLoopError { failures.withLock { $0.append(error) } }
            }
            try await group.any().submit {}.get()
            try await group.shutdownGracefully()
            #expect(failures.withLock { $0 } == [.shutdown])
        }
    }
#endif
