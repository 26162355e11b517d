#if os(Linux)
    import CEpoll
    package import Dispatch
    import Glibc
    package import NIOCore
    import Synchronization

    /// The bits of epoll's events, as one mask.
    enum EpollEvents {
        static var readable: UInt32 { UInt32(tundish_readable) }
        static var writable: UInt32 { UInt32(tundish_writable) }
        /// The peer sends no more.
        static var peerClosed: UInt32 { UInt32(tundish_peer_closed) }
        static var broken: UInt32 { UInt32(tundish_broken) }
    }

    /// Something that waits for its descriptor on one event loop. Confined to that loop.
    class EpollHandler {
        /// Distinguishes it from an earlier handler of the same descriptor, whose events may still be under way.
        fileprivate(set) var generation: UInt32 = 0

        /// `events`: a mask of `EpollEvents`. Edge triggered: what is not read now is not told again.
        func ready(_ events: UInt32) {}

        /// The loop ends: everything is to be closed.
        func loopStops() {}
    }

    /// An event loop over one epoll instance, with a thread of its own. It does what NIO's own loops do for timers,
    /// tasks and futures, and hands readiness to `EpollHandler`s without a channel between: where one message
    /// arrives per wake-up, nothing is spent but the waiting, the reading and the writing.
    package final class EpollEventLoop: EventLoop, @unchecked Sendable {
        private static let eventsMax = 1024
        /// Rounds of tasks that tasks have queued, before sockets are looked at again.
        private static let roundsMax = 16
        private static let wakeMark = UInt64.max
        /// A loop that has given work to one that sleeps wakes it when it has nothing more to do itself, at the latest
        /// after this many nanoseconds: each wake-up costs two system calls and, where loops share a core, two
        /// switches between threads.
        private static let wakeDelay: Int64 = 100_000
        static let readBytes = 256 << 10

        private let epoll: CInt
        private let wakeUp: CInt
        private let events: UnsafeMutablePointer<tundish_event>
        /// What is being read, of whichever connection; nothing of it is kept over a call.
        let readBuffer: UnsafeMutableRawBufferPointer

        // Of the loop's thread.
        private var thread = pthread_t()
        private var handlers: ContiguousArray<EpollHandler?> = []
        private var generations: UInt32 = 0
        private var tasks: ContiguousArray<() -> Void> = []
        private var running: ContiguousArray<() -> Void> = []
        private var timers = EpollTimers()
        private var isStopping = false
        /// Loops that sleep though this one has given them work.
        private var owedWakes: ContiguousArray<EpollEventLoop> = []
        /// When the first of them was put there: the begin of that turn.
        private var owedSince: Int64 = 0
        /// Monotonic nanoseconds of the turn's begin.
        private(set) var turnTime: Int64 = 0
        /// Counts turns.
        private(set) var turn: UInt64 = 0

        // Of all threads.
        private static let isIdle: UInt8 = 0
        private static let hasWork: UInt8 = 1
        private static let isAsleep: UInt8 = 2
        private let state = Atomic<UInt8>(0)
        private let arriving = Mutex<Arriving>(Arriving())
        private let load = Atomic<Int>(0)

        private struct Arriving {
            var tasks: ContiguousArray<@Sendable () -> Void> = []
            var isClosed = false
        }

        /// Starts its thread.
        init(name: String) throws(EpollError) {
            epoll = tundish_epoll_create()
            if epoll < 0 { throw EpollError("epoll_create1") }
            wakeUp = tundish_eventfd()
            if wakeUp < 0 {
                let error = EpollError("eventfd")
                Glibc.close(epoll)
                throw error
            }
            events = .allocate(capacity: Self.eventsMax)
            readBuffer = .allocate(byteCount: Self.readBytes, alignment: 64)
            tasks.reserveCapacity(64)
            running.reserveCapacity(64)
            if tundish_epoll_add(epoll, wakeUp, EpollEvents.readable, Self.wakeMark) != 0 {
                throw EpollError("epoll_ctl")
            }
            try start(name)
        }

        deinit {
            Glibc.close(epoll)
            Glibc.close(wakeUp)
            events.deallocate()
            readBuffer.deallocate()
        }

        private func start(_ name: String) throws(EpollError) {
            final class Start {
                let loop: EpollEventLoop
                let name: String
                let isRunning = DispatchSemaphore(value: 0)
                init(_ loop: EpollEventLoop, _ name: String) {
                    self.loop = loop
                    self.name = name
                }
            }
            let start = Start(self, name)
            let argument = Unmanaged.passRetained(start)
            var id = pthread_t()
            let status = pthread_create(
                &id, nil,
                { argument in
                    guard let argument else { return nil }
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    tundish_name_thread(start.name)
                    let loop = start.loop
                    loop.thread = pthread_self()
                    tundish_set_own_loop(Unmanaged.passUnretained(loop).toOpaque())
                    start.isRunning.signal()
                    loop.run()
                    return nil
                }, argument.toOpaque())
            guard status == 0 else {
                argument.release()
                throw EpollError("pthread_create", status)
            }
            pthread_detach(id)
            start.isRunning.wait()
        }

        // MARK: The turn

        private func run() {
            turnTime = Self.clock()
            while !isStopping {
                let count = waitForEvents()
                turn &+= 1
                turnTime = Self.clock()
                for index in 0..<count {
                    let mark = events[index].mark
                    if mark == Self.wakeMark { continue }
                    let descriptor = Int(UInt32(truncatingIfNeeded: mark))
                    guard descriptor < handlers.count, let handler = handlers[descriptor],
                        handler.generation == UInt32(truncatingIfNeeded: mark >> 32)
                    else { continue }
                    handler.ready(events[index].events)
                }
                runTasks()
            }
            finish()
        }

        private func waitForEvents() -> Int {
            if !owedWakes.isEmpty {
                if turnTime &- owedSince < Self.wakeDelay, !isStopping {
                    let count = tundish_epoll_wait(epoll, events, CInt(Self.eventsMax), 0)
                    if count > 0 || !tasks.isEmpty {
                        if state.exchange(Self.isIdle, ordering: .acquiringAndReleasing) == Self.hasWork {
                            takeArrived()
                        }
                        return max(0, Int(count))
                    }
                }
                payWakes()
            }
            var milliseconds: CInt = 0
            if tasks.isEmpty, !isStopping {
                milliseconds = timers.milliseconds(from: turnTime)
                if milliseconds != 0 {
                    let (fellAsleep, _) = state.compareExchange(
                        expected: Self.isIdle, desired: Self.isAsleep, ordering: .acquiringAndReleasing)
                    if !fellAsleep { milliseconds = 0 }
                }
            }
            let count = tundish_epoll_wait(epoll, events, CInt(Self.eventsMax), milliseconds)
            if state.exchange(Self.isIdle, ordering: .acquiringAndReleasing) == Self.hasWork { takeArrived() }
            // Only a signal interrupts; there is nothing to do about it but to wait again.
            return max(0, Int(count))
        }

        private func payWakes() {
            for loop in owedWakes { loop.wake() }
            owedWakes.removeAll(keepingCapacity: true)
        }

        private func takeArrived() {
            let arrived = arriving.withLock { arriving in
                var taken: ContiguousArray<@Sendable () -> Void> = []
                swap(&taken, &arriving.tasks)
                return taken
            }
            for task in arrived { tasks.append(task) }
        }

        private func runTasks() {
            while let task = timers.popDue(turnTime) { task() }
            var rounds = 0
            while !tasks.isEmpty, rounds < Self.roundsMax {
                rounds += 1
                swap(&tasks, &running)
                var index = 0
                while index < running.count {
                    running[index]()
                    index += 1
                }
                running.removeAll(keepingCapacity: running.count < 4096)
            }
        }

        private static func clock() -> Int64 {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
        }

        // MARK: Handlers

        /// Connections and others that it carries; may be asked from anywhere.
        var handlerCount: Int { load.load(ordering: .relaxed) }

        /// Counts a connection that is on its way to this loop.
        func reserve() { load.add(1, ordering: .relaxed) }
        func unreserve() { load.subtract(1, ordering: .relaxed) }

        /// Has `handler` told when `descriptor` becomes readable, writable or is closed by its peer. Edge triggered.
        func add(_ handler: EpollHandler, _ descriptor: CInt, isWriting: Bool = true) throws(EpollError) {
            generations &+= 1
            handler.generation = generations
            let index = Int(descriptor)
            if index >= handlers.count {
                handlers.append(contentsOf: repeatElement(nil, count: max(64, index + 1 - handlers.count)))
            }
            let interest = EpollEvents.readable | EpollEvents.peerClosed | (isWriting ? EpollEvents.writable : 0)
            let mark = UInt64(generations) << 32 | UInt64(UInt32(bitPattern: descriptor))
            if tundish_epoll_add(epoll, descriptor, interest, mark) != 0 { throw EpollError("epoll_ctl") }
            handlers[index] = handler
        }

        /// Forgets a descriptor that is about to be closed, which takes it out of epoll, or that goes elsewhere.
        func remove(_ descriptor: CInt, staysOpen: Bool = false) {
            handlers[Int(descriptor)] = nil
            if staysOpen { _ = tundish_epoll_remove(epoll, descriptor) }
        }

        // MARK: EventLoop

        package var inEventLoop: Bool { pthread_equal(thread, pthread_self()) != 0 }

        package func execute(_ task: @escaping @Sendable () -> Void) {
            if inEventLoop {
                tasks.append(task)
                return
            }
            let isClosed = arriving.withLock { arriving in
                if !arriving.isClosed { arriving.tasks.append(task) }
                return arriving.isClosed
            }
            if isClosed { return }
            guard state.exchange(Self.hasWork, ordering: .acquiringAndReleasing) == Self.isAsleep else { return }
            // Whoever finds it asleep must wake it; nobody else will.
            if let own = tundish_own_loop() {
                Unmanaged<EpollEventLoop>.fromOpaque(own).takeUnretainedValue().owe(self)
            } else {
                wake()
            }
        }

        private func owe(_ loop: EpollEventLoop) {
            if owedWakes.isEmpty { owedSince = turnTime }
            owedWakes.append(loop)
        }

        package func _executeIsolatedUnsafeUnchecked(_ task: @escaping () -> Void) {
            preconditionInEventLoop()
            tasks.append(task)
        }

        private func wake() {
            var one: UInt64 = 1
            _ = write(wakeUp, &one, 8)
        }

        @discardableResult
        package func scheduleTask<T>(
            deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T
        ) -> Scheduled<T> {
            let promise = makePromise(of: T.self)
            let timer = EpollTimer(at: Int64(clamping: deadline.uptimeNanoseconds)) {
                do { promise.assumeIsolatedUnsafeUnchecked().succeed(try task()) } catch { promise.fail(error) }
            } onStop: {
                promise.fail(EventLoopError.shutdown)
            }
            if inEventLoop { timers.insert(timer) } else { execute { self.timers.insert(timer) } }
            return Scheduled(promise: promise) {
                if self.inEventLoop { self.timers.cancel(timer) } else { self.execute { self.timers.cancel(timer) } }
            }
        }

        @discardableResult
        package func scheduleTask<T>(
            in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T
        ) -> Scheduled<T> {
            scheduleTask(deadline: .now() + delay, task)
        }

        /// A loop ends with its group only.
        package func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
            queue.async { callback(EventLoopError.unsupportedOperation) }
        }

        // MARK: End

        /// Closes everything and ends the thread; then calls `whenStopped`, from that thread.
        func stop(_ whenStopped: @escaping @Sendable () -> Void) {
            execute {
                self.isStopping = true
                self.whenStopped = whenStopped
            }
        }

        private var whenStopped: (@Sendable () -> Void)?

        private func finish() {
            payWakes()
            for handler in handlers { handler?.loopStops() }
            handlers = []
            // Tasks may queue others a few times, not for ever.
            for _ in 0..<Self.roundsMax {
                takeArrived()
                runTasks()
            }
            arriving.withLock { $0.isClosed = true }
            takeArrived()
            runTasks()
            for onStop in timers.takeAll() { onStop() }
            runTasks()
            // What follows may wait for another loop.
            payWakes()
            tundish_set_own_loop(nil)
            whenStopped?()
            whenStopped = nil
        }
    }

    /// A system call that failed.
    struct EpollError: Error, CustomStringConvertible {
        let call: String
        let number: CInt

        init(_ call: String, _ number: CInt = errno) {
            self.call = call
            self.number = number
        }

        var description: String { "\(call): \(String(cString: strerror(number)))" }
    }
#endif
