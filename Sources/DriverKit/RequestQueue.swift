package import NIOCore

/// The requests of one connection: who goes next, what is outstanding, what took too long.
///
/// Requests of one lane (a unit behind a gateway, say) go in order, by default one at a time; lanes take turns and
/// may be outstanding together, so that a unit that is silent keeps none but itself waiting. Writes go ahead of all
/// reads that wait. Everything happens on the event loop and by callback; nothing is allocated per request beyond
/// the request itself, and there is one timer for all of them.
///
/// The owner calls `submit` for as many requests as it has and then `pump`; on bytes from the device `answer` for
/// each response and then `pump`.
package final class RequestQueue<Request> {
    package struct Settings: Sendable {
        /// Requests outstanding on the connection.
        package var inFlightMax = 8
        /// Requests outstanding per lane.
        package var inFlightPerLaneMax = 1
        package var timeout: TimeAmount = .seconds(1)
        /// Least time between two requests of the connection.
        package var interval: TimeAmount = .zero
        /// Requests that wait; more are refused.
        package var waitingMax = 65_536
        package var health = LaneHealth.Settings()

        package init() {}
    }

    package enum Priority: Sendable {
        case read
        case write
    }

    package enum Failure: Sendable, Equatable {
        /// No answer in time.
        case timeout
        /// Not sent, because its unit is silent.
        case laneSilent
        /// The connection ended.
        case cancelled
    }

    package enum Answer {
        case request(Request, lane: Int)
        /// The late answer of a request that was given up.
        case late
        /// No request has this id.
        case unknown
    }

    private struct Lane {
        let number: Int
        var writes = Fifo<Request>()
        var reads = Fifo<Request>()
        var inFlight = 0
        /// After a busy answer.
        var notBefore: NIODeadline?
        var health = LaneHealth()
    }

    private struct Outstanding {
        var id: UInt16
        var lane: Int
        var request: Request
        var priority: Priority
        var sentAt: NIODeadline
        var deadline: NIODeadline
    }

    private static var lateIDsMax: Int { 256 }

    package let settings: Settings
    /// Counted here; bytes and errors are the owner's to add.
    package var counters = DriverCounters()

    private let eventLoop: any EventLoop
    private let send: (Request, UInt16) -> Void
    private let failed: (Request, Failure) -> Void
    private var lanes: [Lane] = []
    private var laneIndexes: [Int: Int] = [:]
    private var outstanding: [Outstanding] = []
    private var lateIDs: [UInt16] = []
    private var waitingWrites = 0
    private var waitingReads = 0
    private var turn = 0
    private var nextID: UInt16 = 0
    private var nextSendAt: NIODeadline?
    private var timer: (task: Scheduled<Void>, deadline: NIODeadline)?
    private var isPumping = false
    private var isStopped = false

    /// `send` writes the request, under the id it is answered with, to the link; `failed` tells its end otherwise.
    /// Both are called from within this object's methods and must not call `pump`.
    package init(
        _ settings: Settings, on eventLoop: any EventLoop, send: @escaping (Request, UInt16) -> Void,
        failed: @escaping (Request, Failure) -> Void
    ) {
        self.settings = settings
        self.eventLoop = eventLoop
        self.send = send
        self.failed = failed
    }

    deinit { timer?.task.cancel() }

    package var waiting: Int { waitingWrites + waitingReads }
    package var inFlight: Int { outstanding.count }

    // MARK: asking

    /// Queues a request. False, and counted, if too many wait or the queue was stopped: then nothing else is heard
    /// of it.
    package func submit(_ request: Request, lane number: Int, _ priority: Priority) -> Bool {
        guard !isStopped, waiting < settings.waitingMax else {
            counters.refused &+= 1
            return false
        }
        let index = lane(number)
        enqueue(request, index, priority, first: false)
        return true
    }

    /// Whether the lane's unit is known to be silent: then its reads are not worth sending.
    package func isSilent(lane number: Int) -> Bool {
        guard let index = laneIndexes[number] else { return false }
        return lanes[index].health.isDemoted(at: eventLoop.now)
    }

    package func countSkipped(_ count: Int) { counters.skippedSilent &+= UInt64(count) }

    /// Sends what may be sent now.
    package func pump() {
        guard !isPumping, !isStopped else { return }
        isPumping = true
        defer { isPumping = false }
        if waiting > 0, outstanding.count < settings.inFlightMax {
            let now = eventLoop.now
            while outstanding.count < settings.inFlightMax, isPauseOver(now), let (index, priority) = next(now) {
                sendNext(index, priority, now)
            }
        }
        armTimer()
    }

    // MARK: answers

    /// The answer with this id has come. Frees its place; the caller judges the answer and then calls `pump`.
    package func answer(id: UInt16) -> Answer {
        guard let position = outstanding.firstIndex(where: { $0.id == id }) else {
            guard let late = lateIDs.firstIndex(of: id) else { return .unknown }
            lateIDs.remove(at: late)
            return .late
        }
        let entry = outstanding[position]
        outstanding.swapAt(position, outstanding.count - 1)
        outstanding.removeLast()
        lanes[entry.lane].inFlight -= 1
        counters.responses &+= 1
        counters.roundTrip(nanoseconds: (eventLoop.now - entry.sentAt).nanoseconds)
        return .request(entry.request, lane: lanes[entry.lane].number)
    }

    /// The lane's unit is alive.
    package func laneAnswered(_ number: Int) {
        guard let index = laneIndexes[number], lanes[index].health.isSuspect else { return }
        lanes[index].health.answered()
    }

    /// The lane's unit was found silent otherwise than by a time-out: a gateway says that it does not answer. Fails
    /// the lane's waiting reads.
    package func laneSilent(_ number: Int) { silence(lane(number)) }

    /// Asks again after `delay`, before all else of its lane: the device was busy.
    package func retry(_ request: Request, lane number: Int, _ priority: Priority, after delay: TimeAmount) {
        let index = lane(number)
        counters.retries &+= 1
        lanes[index].notBefore = eventLoop.now + delay
        enqueue(request, index, priority, first: true)
    }

    /// Ends everything; nothing is accepted any more. Each request that was outstanding or waited fails once.
    package func stop() {
        guard !isStopped else { return }
        isStopped = true
        timer?.task.cancel()
        timer = nil
        let sent = outstanding
        outstanding.removeAll()
        lateIDs.removeAll()
        var rest: [Request] = []
        for index in lanes.indices {
            rest += lanes[index].writes.removeAll() + lanes[index].reads.removeAll()
            lanes[index].inFlight = 0
        }
        waitingWrites = 0
        waitingReads = 0
        for entry in sent { failed(entry.request, .cancelled) }
        for request in rest { failed(request, .cancelled) }
    }

    // MARK: choosing

    private func lane(_ number: Int) -> Int {
        if let index = laneIndexes[number] { return index }
        lanes.append(Lane(number: number))
        laneIndexes[number] = lanes.count - 1
        return lanes.count - 1
    }

    private func enqueue(_ request: Request, _ index: Int, _ priority: Priority, first: Bool) {
        switch priority {
        case .write:
            if first { lanes[index].writes.prepend(request) } else { lanes[index].writes.append(request) }
            waitingWrites += 1
        case .read:
            if first { lanes[index].reads.prepend(request) } else { lanes[index].reads.append(request) }
            waitingReads += 1
        }
    }

    private func isPauseOver(_ now: NIODeadline) -> Bool {
        guard let nextSendAt else { return true }
        return nextSendAt <= now
    }

    /// The lane whose turn it is, and whether its write or its read goes.
    private func next(_ now: NIODeadline) -> (Int, Priority)? {
        if waitingWrites > 0, let index = nextLane(now, where: { !$0.writes.isEmpty }) { return (index, .write) }
        if waitingReads > 0, let index = nextLane(now, where: { !$0.reads.isEmpty }) { return (index, .read) }
        return nil
    }

    private func nextLane(_ now: NIODeadline, where wants: (borrowing Lane) -> Bool) -> Int? {
        for step in 0..<lanes.count {
            var index = turn + step
            if index >= lanes.count { index -= lanes.count }
            guard lanes[index].inFlight < settings.inFlightPerLaneMax, wants(lanes[index]) else { continue }
            if let notBefore = lanes[index].notBefore {
                guard notBefore <= now else { continue }
                lanes[index].notBefore = nil
            }
            return index
        }
        return nil
    }

    private func sendNext(_ index: Int, _ priority: Priority, _ now: NIODeadline) {
        let taken: Request?
        switch priority {
        case .write:
            taken = lanes[index].writes.popFirst()
            waitingWrites -= 1
        case .read:
            taken = lanes[index].reads.popFirst()
            waitingReads -= 1
        }
        guard let request = taken else { return }
        turn = index + 1 == lanes.count ? 0 : index + 1
        lanes[index].inFlight += 1
        if settings.interval > .zero { nextSendAt = now + settings.interval }
        let id = freeID()
        outstanding.append(
            Outstanding(
                id: id, lane: index, request: request, priority: priority, sentAt: now,
                deadline: now + settings.timeout))
        counters.requests &+= 1
        send(request, id)
    }

    private func freeID() -> UInt16 {
        repeat {
            nextID &+= 1
        } while outstanding.contains { $0.id == nextID } || lateIDs.contains(nextID)
        return nextID
    }

    // MARK: time

    private func armTimer() {
        var earliest: NIODeadline?
        func consider(_ deadline: NIODeadline) {
            if let known = earliest, known <= deadline { return }
            earliest = deadline
        }
        // All have the same time-out, so none runs out before the timer that an earlier one has armed.
        if let armed = timer, waiting == 0 || (nextSendAt == nil && !lanes.contains { $0.notBefore != nil }),
            outstanding.allSatisfy({ $0.deadline >= armed.deadline })
        {
            return
        }
        for entry in outstanding { consider(entry.deadline) }
        if waiting > 0 {
            if let nextSendAt, outstanding.count < settings.inFlightMax { consider(nextSendAt) }
            for lane in lanes { if let notBefore = lane.notBefore { consider(notBefore) } }
        }
        guard let earliest else { return }
        if let timer, timer.deadline <= earliest { return }
        timer?.task.cancel()
        let task = eventLoop.assumeIsolated().scheduleTask(deadline: earliest) { [weak self] in
            guard let self else { return }
            timerFired()
        }
        timer = (task, earliest)
    }

    private func timerFired() {
        timer = nil
        let now = eventLoop.now
        while let position = outstanding.firstIndex(where: { $0.deadline <= now }) {
            let entry = outstanding.remove(at: position)
            lanes[entry.lane].inFlight -= 1
            counters.timeouts &+= 1
            if lateIDs.count == Self.lateIDsMax { lateIDs.removeFirst() }
            lateIDs.append(entry.id)
            failed(entry.request, .timeout)
            silence(entry.lane)
        }
        pump()
    }

    private func silence(_ index: Int) {
        lanes[index].health.silent(at: eventLoop.now, settings.health)
        let reads = lanes[index].reads.removeAll()
        waitingReads -= reads.count
        counters.skippedSilent &+= UInt64(reads.count)
        for request in reads { failed(request, .laneSilent) }
    }
}
