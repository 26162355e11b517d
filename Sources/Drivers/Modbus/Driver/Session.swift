import DriverKit
import Model
import ModbusWire
import NIOCore
import Wire

/// The conversation over one connection: requests out, answers in, and what each answer means. Confined to the
/// event loop; ends with the connection.
final class ModbusSession: LinkReceiver {
    /// A device that has said nothing for this long, while asked, is taken for gone: the connection may be dead
    /// without anybody having been told.
    static let silenceMax: TimeAmount = .seconds(10)

    private let settings: ModbusSettings
    private let eventLoop: any EventLoop
    private let link: any Link
    private let peer: String
    /// Nil once closed.
    private var events: DriverEvents?
    private var queue: RequestQueue<ModbusJob>?
    private var writer = ByteWriter(capacity: ModbusLimits.tcpFrameBytesMax)
    private var heardAt: NIODeadline
    /// Units that refused function 22.
    private var unitsWithoutMask: Set<UInt8> = []
    private var failure: Problem?
    private(set) var base: DriverCounters

    init(
        _ settings: ModbusSettings, _ link: any Link, _ events: DriverEvents, on eventLoop: any EventLoop,
        counters: DriverCounters
    ) {
        self.settings = settings
        self.link = link
        self.events = events
        self.eventLoop = eventLoop
        peer = "\(settings.host):\(settings.port)"
        heardAt = eventLoop.now
        base = counters
        let queue = RequestQueue<ModbusJob>(
            settings.queue, on: eventLoop, send: { [unowned self] in send($0, $1) },
            failed: { [unowned self] in failed($0, $1) })
        queue.counters = counters
        self.queue = queue
        link.start(self)
    }

    var counters: DriverCounters { queue?.counters ?? base }

    // MARK: asking

    func read(_ plan: ModbusPlan, into builder: SampleBatchBuilder) async {
        let cycle = ReadCycle(builder)
        let now = eventLoop.now
        for block in plan.blocks {
            if let queue, queue.isSilent(lane: Int(block.unit)) {
                queue.countSkipped(1)
                block.decoder.fail(.badTimeout, into: builder)
                continue
            }
            block.forEachDue(now) { ask($0, cycle) }
        }
        queue?.pump()
        await withCheckedContinuation { cycle.wait($0) }
    }

    private func ask(_ block: ReadBlock, _ cycle: ReadCycle) {
        block.busy = 0
        guard let queue else { return block.decoder.fail(.badNoCommunication, into: cycle.builder) }
        guard queue.submit(.read(block, cycle), lane: Int(block.unit), .read) else {
            return block.decoder.fail(.badResourceUnavailable, into: cycle.builder)
        }
        cycle.asked()
    }

    func write(_ jobs: [WriteJob], _ batch: WriteBatch) async {
        for job in jobs {
            batch.asked()
            ask(job)
        }
        queue?.pump()
        await withCheckedContinuation { batch.wait($0) }
    }

    private func ask(_ job: WriteJob) {
        if case .maskRegister(let address, let and, let or) = job.request, unitsWithoutMask.contains(job.unit) {
            changeInSteps(job, address, and, or)
        }
        guard let queue else { return job.batch.answered(job.items, .failed(.badNoCommunication)) }
        if !queue.submit(.write(job), lane: Int(job.unit), .write) {
            job.batch.answered(job.items, .failed(.badResourceUnavailable))
        }
    }

    private func send(_ job: ModbusJob, _ id: UInt16) {
        writer.removeAll()
        job.request.encodeFrame(transaction: id, unit: job.unit, to: &writer)
        writer.withUnsafeBytes { bytes in
            link.write(capacity: bytes.count) { target in
                target.copyMemory(from: bytes)
                return bytes.count
            }
            queue?.counters.bytesSent &+= UInt64(bytes.count)
        }
    }

    // MARK: answers

    func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        heardAt = eventLoop.now
        var consumed = 0
        do throws(ModbusFault) {
            while queue != nil {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                guard let frame = try ModbusFrame.first(in: rest) else { break }
                consumed += frame.byteCount
                queue?.counters.bytesReceived &+= UInt64(frame.byteCount)
                try take(frame, UnsafeRawBufferPointer(rebasing: rest[frame.pdu]))
            }
        } catch {
            var problem = error.problem
            problem.message = "\(peer): \(problem.message)"
            drop(problem)
        }
        queue?.pump()
        return consumed
    }

    private func take(_ frame: ModbusFrame, _ pdu: UnsafeRawBufferPointer) throws(ModbusFault) {
        guard let queue else { return }
        switch queue.answer(id: frame.transaction) {
        case .late: return
        case .unknown:
            drop(
                Problem(
                    "modbus.transaction_mismatch",
                    "\(peer): an answer came with transaction id \(frame.transaction), which was not asked",
                    ["seen": "\(frame.transaction)"]))
        case .request(let job, let lane):
            guard frame.unit == job.unit else {
                end(job, .badCommunication)
                return drop(
                    Problem(
                        "modbus.unit_mismatch",
                        "\(peer): unit \(frame.unit) answered where unit \(job.unit) was asked",
                        ["seen": "\(frame.unit)", "expected": "\(job.unit)"]))
            }
            let reply: ModbusReply
            do throws(ModbusFault) {
                reply = try job.request.reply(in: pdu)
            } catch {
                end(job, .badCommunication)
                throw error
            }
            if case .exception(let exception) = reply {
                queue.counters.errors &+= 1
                return refused(job, lane, exception)
            }
            queue.laneAnswered(lane)
            granted(job, reply, pdu)
        }
    }

    private func granted(_ job: ModbusJob, _ reply: ModbusReply, _ pdu: UnsafeRawBufferPointer) {
        switch job {
        case .read(let block, let cycle):
            if case .data(let range) = reply {
                block.decoder.decode(UnsafeRawBufferPointer(rebasing: pdu[range]), into: cycle.builder)
            }
            block.granted()
            cycle.answered()
        case .write(let write):
            if case .data(let range) = reply, let mask = write.mask, range.count == 2 {
                // The second step: what was read, changed.
                let old = UInt16(pdu[range.lowerBound]) << 8 | UInt16(pdu[range.lowerBound + 1])
                write.mask = nil
                write.request = .writeRegister(
                    address: mask.address, value: (old & mask.and) | (mask.or & ~mask.and))
                queue?.retry(.write(write), lane: Int(write.unit), .write, after: .zero)
                return
            }
            write.batch.answered(write.items, .written)
        }
    }

    private func refused(_ job: ModbusJob, _ lane: Int, _ exception: ModbusException) {
        if exception == .gatewayPathUnavailable || exception == .gatewayTargetFailedToRespond {
            end(job, exception.quality)
            queue?.laneSilent(lane)
            return
        }
        queue?.laneAnswered(lane)
        if exception.isTransient, isRetried(job, lane) { return }
        switch job {
        case .read(let block, let cycle):
            // Another function or a busy device would refuse the parts as well.
            let parts = exception == .illegalFunction || exception.isTransient ? [] : block.refused(eventLoop.now)
            if parts.isEmpty { return end(job, exception.quality) }
            for part in parts { part.forEachDue(eventLoop.now) { ask($0, cycle) } }
            cycle.answered()
        case .write(let write):
            if exception == .illegalFunction, case .maskRegister(let address, let and, let or) = write.request {
                unitsWithoutMask.insert(write.unit)
                changeInSteps(write, address, and, or)
                queue?.retry(job, lane: lane, .write, after: .zero)
                return
            }
            guard write.parts.count > 1, !exception.isTransient else { return end(job, exception.quality) }
            write.batch.replaced(by: write.parts.count)
            for part in write.parts {
                ask(WriteJob(unit: write.unit, part.request, items: [part.item], batch: write.batch))
            }
        }
    }

    /// Without function 22 a register is read, changed and written; nothing of ours comes in between, but something
    /// of the device's own may.
    private func changeInSteps(_ job: WriteJob, _ address: UInt16, _ and: UInt16, _ or: UInt16) {
        job.mask = (address, and, or)
        job.request = .read(.holdingRegister, address: address, count: 1)
    }

    private func isRetried(_ job: ModbusJob, _ lane: Int) -> Bool {
        let delay = TimeAmount(settings.busyDelay)
        switch job {
        case .read(let block, _):
            guard block.busy < settings.retryBusyMax else { return false }
            block.busy += 1
            queue?.retry(job, lane: lane, .read, after: delay)
        case .write(let write):
            guard write.busy < settings.retryBusyMax else { return false }
            write.busy += 1
            queue?.retry(job, lane: lane, .write, after: delay)
        }
        return true
    }

    private func failed(_ job: ModbusJob, _ reason: RequestQueue<ModbusJob>.Failure) {
        switch reason {
        case .timeout:
            end(job, .badTimeout)
            guard eventLoop.now - heardAt >= max(Self.silenceMax, settings.queue.timeout * 4) else { return }
            // Not from within the queue, which is calling.
            eventLoop.assumeIsolated().execute { [weak self] in
                guard let self else { return }
                drop(Problem("device.timeout", "\(peer): the device has stopped answering"))
            }
        case .laneSilent: end(job, .badTimeout)
        case .cancelled: end(job, failure == nil ? .badNoCommunication : .badCommunication)
        }
    }

    private func end(_ job: ModbusJob, _ quality: Quality) {
        switch job {
        case .read(let block, let cycle):
            block.decoder.fail(quality, into: cycle.builder)
            cycle.answered()
        case .write(let write): write.batch.answered(write.items, .failed(quality))
        }
    }

    // MARK: the end

    func closed(_ problem: Problem) { drop(problem, isNonsense: false) }

    private func drop(_ problem: Problem, isNonsense: Bool = true) {
        guard let events else { return }
        if isNonsense { failure = problem }
        close()
        events.connectionLost(problem)
    }

    func close() {
        events = nil
        guard let queue else { return }
        queue.stop()
        base = queue.counters
        self.queue = nil
        link.close()
    }
}
