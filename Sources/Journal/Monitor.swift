#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// State behind a lock, with a condition to wait for: what a thread that blocks needs and `Mutex` does not offer.
package final class Monitor<State>: @unchecked Sendable {
    // The lock guards the state: that is what makes it Sendable.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    package func withLock<R>(_ body: (inout State) throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Changes the state, then wakes all who wait if `body` says so.
    package func signal(_ body: (inout State) -> Bool) {
        pthread_mutex_lock(mutex)
        let wakes = body(&state)
        pthread_mutex_unlock(mutex)
        if wakes { pthread_cond_broadcast(condition) }
    }

    /// Blocks until `ready` holds, then changes the state under the same lock.
    package func wait<R>(until ready: (borrowing State) -> Bool, _ body: (inout State) -> R) -> R {
        pthread_mutex_lock(mutex)
        while !ready(state) { pthread_cond_wait(condition, mutex) }
        defer { pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Blocks until `ready` holds or the time has passed. For work that must also be done when nothing comes.
    package func wait<R>(
        until ready: (borrowing State) -> Bool, milliseconds: Int, _ body: (inout State) -> R
    ) -> R {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += milliseconds / 1000
        deadline.tv_nsec += (milliseconds % 1000) * 1_000_000
        if deadline.tv_nsec >= 1_000_000_000 {
            deadline.tv_sec += 1
            deadline.tv_nsec -= 1_000_000_000
        }
        pthread_mutex_lock(mutex)
        while !ready(state) {
            if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
        }
        defer { pthread_mutex_unlock(mutex) }
        return body(&state)
    }
}

/// A thread of its own, for work that blocks on files and must not hold up the cooperative pool or an event loop.
package enum WorkerThread {
    /// Runs `body` on a new thread and returns at once. The thread ends with `body`. `name` appears in errors.
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(run: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 1 << 20)
        #if canImport(Darwin)
            var thread: pthread_t?
        #else
            var thread = pthread_t()
        #endif
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                #if canImport(Darwin)
                    Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                #else
                    if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                #endif
                return nil
            }, box.toOpaque())
        pthread_attr_destroy(&attributes)
        // Without threads nothing works; the operating system is out of memory or at its process limit.
        precondition(result == 0, "cannot start the thread \(name): error \(result)")
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
