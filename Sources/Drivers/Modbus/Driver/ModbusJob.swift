import DriverKit
import Model
import ModbusWire

/// What a queue of Modbus requests holds.
enum ModbusJob {
    case read(ReadBlock, ReadCycle)
    case write(WriteJob)

    var unit: UInt8 {
        switch self {
        case .read(let block, _): block.unit
        case .write(let job): job.unit
        }
    }

    var request: ModbusRequest {
        switch self {
        case .read(let block, _): block.request
        case .write(let job): job.request
        }
    }
}

/// The writes of one call, which ends when each has its outcome.
final class WriteBatch {
    var outcomes: [TagWriteOutcome]
    private var remaining = 0
    private var continuation: CheckedContinuation<Void, Never>?

    init(count: Int) { outcomes = [TagWriteOutcome](repeating: .failed(.badInternalError), count: count) }

    func asked() { remaining += 1 }

    func answered(_ items: [Int], _ outcome: TagWriteOutcome) {
        for item in items { outcomes[item] = outcome }
        remaining -= 1
        guard remaining == 0, let continuation else { return }
        self.continuation = nil
        continuation.resume()
    }

    /// The job goes on as several.
    func replaced(by count: Int) { remaining += count - 1 }

    func wait(_ continuation: CheckedContinuation<Void, Never>) {
        if remaining == 0 { return continuation.resume() }
        self.continuation = continuation
    }
}

/// One write request, of one tag or of several that lie side by side.
final class WriteJob {
    let unit: UInt8
    /// What is sent next; while a register is read to be changed, that read.
    var request: ModbusRequest
    /// The items that end with it.
    let items: [Int]
    /// What it was made of, to be sent one by one if the device refuses the whole.
    let parts: [(request: ModbusRequest, item: Int)]
    unowned let batch: WriteBatch
    var busy = 0
    /// The change of a register that a device without function 22 gets: read, changed here, written.
    var mask: (address: UInt16, and: UInt16, or: UInt16)?

    init(
        unit: UInt8, _ request: ModbusRequest, items: [Int], parts: [(request: ModbusRequest, item: Int)] = [],
        batch: WriteBatch
    ) {
        self.unit = unit
        self.request = request
        self.items = items
        self.parts = parts
        self.batch = batch
    }
}

/// Joins the writes of one call into as few requests as functions 15, 16 and 22 allow.
enum WriteMerger {
    struct Item {
        var index: Int
        var unit: UInt8
        var request: ModbusRequest
    }

    /// Requests of one unit that touch the same place keep their order; else those of neighbours are joined.
    static func jobs(_ items: [Item], batch: WriteBatch) -> [WriteJob] {
        var jobs: [WriteJob] = []
        var units: [UInt8] = []
        for item in items where !units.contains(item.unit) { units.append(item.unit) }
        for unit in units {
            let own = items.filter { $0.unit == unit }
            jobs += masks(own, unit, batch)
            jobs += joined(own.compactMap { Span($0, isBits: false) }, unit, batch)
            jobs += joined(own.compactMap { Span($0, isBits: true) }, unit, batch)
        }
        return jobs
    }

    /// Bits of one register are changed together.
    private static func masks(_ items: [Item], _ unit: UInt8, _ batch: WriteBatch) -> [WriteJob] {
        var order: [UInt16] = []
        var merged: [UInt16: (and: UInt16, or: UInt16, items: [Int])] = [:]
        for item in items {
            guard case .maskRegister(let address, let and, let or) = item.request else { continue }
            guard let old = merged[address] else {
                order.append(address)
                merged[address] = (and, or, [item.index])
                continue
            }
            merged[address] = (
                old.and & and, (old.or & ~old.and & and) | (or & ~and), old.items + [item.index]
            )
        }
        return order.compactMap { address in
            merged[address].map {
                WriteJob(
                    unit: unit, .maskRegister(address: address, and: $0.and, or: $0.or), items: $0.items, batch: batch)
            }
        }
    }

    private struct Span {
        var item: Item
        var start: Int
        /// Registers' bytes, or one byte of 0 or 1 a coil.
        var data: [UInt8]
        var isBits: Bool
        var end: Int { start + (isBits ? data.count : data.count / 2) }

        init?(_ item: Item, isBits: Bool) {
            self.item = item
            self.isBits = isBits
            switch item.request {
            case .writeRegister(let address, let value) where !isBits:
                (start, data) = (Int(address), [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)])
            case .writeRegisters(let address, let bytes) where !isBits: (start, data) = (Int(address), bytes)
            case .writeCoil(let address, let isOn) where isBits: (start, data) = (Int(address), [isOn ? 1 : 0])
            case .writeCoils(let address, let count, let packed) where isBits:
                start = Int(address)
                data = (0..<Int(count)).map { packed[$0 >> 3] >> UInt8($0 & 7) & 1 }
            default: return nil
            }
        }

        var request: ModbusRequest {
            let address = UInt16(truncatingIfNeeded: start)
            guard isBits else { return .writeRegisters(address: address, data: data) }
            var packed = [UInt8](repeating: 0, count: (data.count + 7) / 8)
            for (index, bit) in data.enumerated() { packed[index >> 3] |= bit << UInt8(index & 7) }
            return .writeCoils(address: address, count: UInt16(truncatingIfNeeded: data.count), packed: packed)
        }
    }

    private static func joined(_ spans: [Span], _ unit: UInt8, _ batch: WriteBatch) -> [WriteJob] {
        func single(_ span: Span) -> WriteJob {
            WriteJob(unit: unit, span.item.request, items: [span.item.index], batch: batch)
        }
        let sorted = spans.sorted { ($0.start, $0.item.index) < ($1.start, $1.item.index) }
        guard zip(sorted, sorted.dropFirst()).allSatisfy({ $0.end <= $1.start }) else { return spans.map(single) }
        var jobs: [WriteJob] = []
        var run: [Span] = []
        func close() {
            if run.count == 1 {
                jobs.append(single(run[0]))
            } else if var whole = run.first {
                for next in run.dropFirst() { whole.data += next.data }
                jobs.append(
                    WriteJob(
                        unit: unit, whole.request, items: run.map(\.item.index),
                        parts: run.map { ($0.item.request, $0.item.index) }, batch: batch))
            }
            run = []
        }
        for span in sorted {
            let max = span.isBits ? ModbusLimits.writeBitsMax : ModbusLimits.writeRegistersMax
            if let first = run.first, let last = run.last, last.end != span.start || span.end - first.start > max {
                close()
            }
            run.append(span)
        }
        close()
        return jobs
    }
}
