import DriverKit
import Model
import ModbusWire
import NIOCore

/// How far one request may reach.
struct PlanLimits: Sendable, Equatable {
    var registersMax = ModbusLimits.readRegistersMax
    var bitsMax = ModbusLimits.readBitsMax
    /// Unused addresses that are read along.
    var registerGapMax = 10
    var bitGapMax = 64

    func countMax(_ area: ModbusArea) -> Int { area.isBits ? bitsMax : registersMax }
    func gapMax(_ area: ModbusArea) -> Int { area.isBits ? bitGapMax : registerGapMax }
}

/// A tag's place, ready to be planned.
struct PlannedTag {
    var tag: Int
    var field: ModbusField
    var unit: UInt8 { field.address.unit }
}

/// One read request and the tags it brings. Remembers between cycles what has become of it.
final class ReadBlock {
    /// While the parts are asked for instead, the whole is tried again after this time, doubling.
    static let retryFirst: TimeAmount = .minutes(1)
    static let retryMax: TimeAmount = .minutes(16)

    let unit: UInt8
    let request: ModbusRequest
    /// In the order of their addresses.
    let tags: [PlannedTag]
    let decoder: ModbusDecoder
    let start: Int
    let count: Int

    /// What is asked for instead since the device refused the whole.
    private(set) var parts: [ReadBlock] = []
    private var retryAt: NIODeadline = .distantPast
    private var retryPause = ReadBlock.retryFirst
    /// Busy answers in this cycle.
    var busy = 0

    init(_ tags: [PlannedTag]) {
        self.tags = tags
        let first = tags[0].field
        var end = first.end
        for tag in tags { end = max(end, tag.field.end) }
        start = first.start
        count = end - start
        unit = first.address.unit
        request = .read(
            first.area, address: UInt16(truncatingIfNeeded: start), count: UInt16(truncatingIfNeeded: count))
        decoder = ModbusDecoder(start: start, fields: tags.map { ($0.tag, $0.field) })
    }

    /// Calls `body` with every block that is to be asked for now.
    func forEachDue(_ now: NIODeadline, _ body: (ReadBlock) -> Void) {
        if parts.isEmpty || retryAt <= now { return body(self) }
        for part in parts { part.forEachDue(now, body) }
    }

    var leafCount: Int { parts.isEmpty ? 1 : parts.reduce(0) { $0 + $1.leafCount } }

    /// The device granted the whole.
    func granted() {
        guard !parts.isEmpty else { return }
        parts = []
        retryPause = Self.retryFirst
    }

    /// The device refused the whole: the parts to ask for instead, none if it is a single tag.
    func refused(_ now: NIODeadline) -> [ReadBlock] {
        guard tags.count > 1 else { return [] }
        if parts.isEmpty {
            let cut = cut
            parts = [ReadBlock(Array(tags[..<cut])), ReadBlock(Array(tags[cut...]))]
        } else {
            retryPause = min(retryPause * 2, Self.retryMax)
        }
        retryAt = now + retryPause
        return parts
    }

    /// Where to cut: at the widest gap, since what lies in gaps is what devices refuse first; else in the middle.
    private var cut: Int {
        var widest = 0
        var position = tags.count / 2
        var end = tags[0].field.end
        for index in 1..<tags.count {
            let gap = tags[index].field.start - end
            if gap > widest {
                widest = gap
                position = index
            }
            end = max(end, tags[index].field.end)
        }
        return position
    }
}

/// A group's requests.
final class ModbusPlan: ReadPlan {
    let descriptor: BatchDescriptor
    let problems: [Int: Problem]
    /// Tags without a problem that are not read.
    let unreadable: [Int]
    let blocks: [ReadBlock]

    init(
        _ descriptor: BatchDescriptor, _ tags: [PlannedTag], _ limits: PlanLimits, problems: [Int: Problem],
        unreadable: [Int]
    ) {
        self.descriptor = descriptor
        self.problems = problems
        self.unreadable = unreadable
        blocks = Self.blocks(tags, limits)
    }

    var requestCount: Int { blocks.reduce(0) { $0 + $1.leafCount } }

    /// The fewest requests, by units and areas, that read all tags: each goes on while the next tag is near enough
    /// and still fits. Tags are never cut.
    static func blocks(_ tags: [PlannedTag], _ limits: PlanLimits) -> [ReadBlock] {
        let sorted = tags.sorted {
            ($0.unit, $0.field.area.rawValue, $0.field.start, $0.field.end, $0.tag)
                < ($1.unit, $1.field.area.rawValue, $1.field.start, $1.field.end, $1.tag)
        }
        var blocks: [ReadBlock] = []
        var current: [PlannedTag] = []
        var start = 0
        var end = 0
        for tag in sorted {
            if let first = current.first, first.unit == tag.unit, first.field.area == tag.field.area,
                tag.field.start - end <= limits.gapMax(tag.field.area),
                max(end, tag.field.end) - start <= max(limits.countMax(tag.field.area), end - start)
            {
                current.append(tag)
                end = max(end, tag.field.end)
                continue
            }
            if !current.isEmpty { blocks.append(ReadBlock(current)) }
            current = [tag]
            start = tag.field.start
            end = tag.field.end
        }
        if !current.isEmpty { blocks.append(ReadBlock(current)) }
        return blocks
    }
}

/// One reading of a plan: ends when each of its requests has.
final class ReadCycle {
    let builder: SampleBatchBuilder
    private var remaining = 0
    private var continuation: CheckedContinuation<Void, Never>?

    init(_ builder: SampleBatchBuilder) { self.builder = builder }

    func asked() { remaining += 1 }

    func answered() {
        remaining -= 1
        guard remaining == 0, let continuation else { return }
        self.continuation = nil
        continuation.resume()
    }

    /// Resumes when nothing remains.
    func wait(_ continuation: CheckedContinuation<Void, Never>) {
        if remaining == 0 { return continuation.resume() }
        self.continuation = continuation
    }
}
