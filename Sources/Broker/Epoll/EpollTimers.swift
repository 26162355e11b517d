#if os(Linux)
    /// What an event loop does at a certain time.
    final class EpollTimer: @unchecked Sendable {
        /// Monotonic nanoseconds.
        let at: Int64
        fileprivate var order: UInt64 = 0
        fileprivate var body: (() -> Void)?
        fileprivate var onStop: (() -> Void)?

        init(at: Int64, body: @escaping () -> Void, onStop: @escaping () -> Void) {
            self.at = at
            self.body = body
            self.onStop = onStop
        }

        fileprivate static func < (a: EpollTimer, b: EpollTimer) -> Bool {
            a.at != b.at ? a.at < b.at : a.order < b.order
        }
    }

    /// Timers of one loop, the earliest first; of the same time, in the order in which they were asked for. One that is
    /// cancelled is emptied at once and taken out when it is due or when half of all are such.
    struct EpollTimers {
        private var heap: ContiguousArray<EpollTimer> = []
        private var orders: UInt64 = 0
        private var cancelled = 0

        mutating func insert(_ timer: EpollTimer) {
            // Cancelled before it got here.
            guard timer.body != nil else { return }
            orders &+= 1
            timer.order = orders
            heap.append(timer)
            siftUp(heap.count - 1)
        }

        mutating func cancel(_ timer: EpollTimer) {
            guard timer.body != nil else { return }
            timer.body = nil
            timer.onStop = nil
            guard timer.order != 0 else { return }
            cancelled += 1
            if cancelled > 64, cancelled * 2 > heap.count {
                heap.removeAll { $0.body == nil }
                cancelled = 0
                for index in stride(from: heap.count / 2, through: 0, by: -1) { siftDown(index) }
            }
        }

        mutating func popDue(_ now: Int64) -> (() -> Void)? {
            while let first = heap.first, first.at <= now {
                let last = heap.removeLast()
                if !heap.isEmpty {
                    heap[0] = last
                    siftDown(0)
                }
                guard let body = first.body else {
                    cancelled -= 1
                    continue
                }
                first.body = nil
                first.onStop = nil
                return body
            }
            return nil
        }

        /// How long to wait for the first, rounded up; -1 without one.
        func milliseconds(from now: Int64) -> CInt {
            guard let first = heap.first else { return -1 }
            if first.at <= now { return 0 }
            return CInt(clamping: (first.at &- now &+ 999_999) / 1_000_000)
        }

        /// Empties it; what those that waited are to be told.
        mutating func takeAll() -> [() -> Void] {
            let all = heap
            heap = []
            cancelled = 0
            return all.compactMap { timer in
                defer {
                    timer.body = nil
                    timer.onStop = nil
                }
                return timer.onStop
            }
        }

        private mutating func siftUp(_ start: Int) {
            var index = start
            while index > 0 {
                let parent = (index - 1) / 2
                guard heap[index] < heap[parent] else { return }
                heap.swapAt(parent, index)
                index = parent
            }
        }

        private mutating func siftDown(_ start: Int) {
            var index = start
            while true {
                var least = index
                for child in [2 * index + 1, 2 * index + 2]
                where child < heap.count && heap[child] < heap[least] {
                    least = child
                }
                if least == index { return }
                heap.swapAt(least, index)
                index = least
            }
        }
    }
#endif
