import Bus
import Formats
import Model

/// Evaluates programs over one message at a time. Belongs to one worker.
///
/// NULL: arithmetic, comparison and most functions give NULL where an operand is NULL; AND and OR follow
/// three-valued logic; only TRUE passes WHERE. A field that the payload does not have is NULL.
final class EvaluationContext {
    private static let stackCells = 16_384
    private static let noProgram = Program(nodes: [], lists: [], positions: [], constants: [])

    // The message.
    private(set) var message: Message?
    private(set) var payload = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var batch: SampleBatch?
    private var payloadBytes = Bytes()
    private var binding: FieldBinding?
    private var table: FieldTable?
    private var cells: UnsafeMutablePointer<Cell>
    private var slots: UnsafeMutablePointer<JSONSlot>
    private var capacity = 64
    private var reading = Reading.unread
    private var jsonFailure: JSONFailure?
    private var canonical = Bytes()

    // The rule.
    private var nodes: UnsafePointer<Node>
    private var lists: UnsafePointer<Int32>
    private var slotMap: UnsafePointer<Int32>
    var ruleName = ""
    private(set) var failure: EvaluationFailure?
    /// The call whose function runs.
    private(set) var currentCall: Int32 = -1

    // What lasts.
    private(set) var arena = Arena()
    private let stack: UnsafeMutablePointer<Cell>
    private var stackUsed = 0
    private let functions: UnsafePointer<SQLFunction>
    let time: any TimeSource
    let random: any RandomSource
    let nodeName: String
    private var messageCounter: UInt64 = 0

    private enum Reading {
        case unread, read, failed
    }

    init(time: any TimeSource, random: any RandomSource = SystemRandom(), nodeName: String = "tundish") {
        self.time = time
        self.random = random
        self.nodeName = nodeName
        cells = .allocate(capacity: capacity)
        slots = .allocate(capacity: capacity)
        stack = .allocate(capacity: Self.stackCells)
        let table = UnsafeMutablePointer<SQLFunction>.allocate(capacity: SQLFunctions.all.count)
        for (index, function) in SQLFunctions.all.enumerated() { (table + index).initialize(to: function) }
        functions = UnsafePointer(table)
        nodes = Self.noProgram.nodes
        lists = Self.noProgram.lists
        slotMap = Self.noProgram.lists
    }

    deinit {
        cells.deallocate()
        slots.deallocate()
        stack.deallocate()
        UnsafeMutablePointer(mutating: functions).deinitialize(count: SQLFunctions.all.count)
        functions.deallocate()
    }

    // MARK: message and rule

    /// Goes to a message. `table` has the fields of all rules that will look at it; the message must stay alive until
    /// the next `begin` or `end`: the context keeps it.
    func begin(_ message: Message, _ table: FieldTable) {
        arena.reset()
        self.message = message
        self.table = table
        reading = .unread
        jsonFailure = nil
        messageCounter &+= 1
        if table.count > capacity { grow(table.count) }
        for index in 0..<table.count { cells[index] = Cell(.unloaded) }
        switch message.payload {
        case .bytes(let bytes):
            batch = nil
            binding = nil
            payloadBytes = bytes
            // The storage is immutable and kept by `payloadBytes`.
            payload = bytes.withUnsafeBytes { $0 }
        case .samples(let typed):
            batch = typed.batch
            binding = table.binding(typed.batch.descriptor)
            payload = UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }

    /// Lets the message go.
    func end() {
        message = nil
        batch = nil
        binding = nil
        table = nil
        payloadBytes = Bytes()
        canonical = Bytes()
        payload = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func grow(_ count: Int) {
        cells.deallocate()
        slots.deallocate()
        capacity = max(count, capacity * 2)
        cells = .allocate(capacity: capacity)
        slots = .allocate(capacity: capacity)
    }

    /// Goes to a rule, which must stay alive meanwhile. `slotMap` leads from the rule's fields to the table's.
    @inline(__always)
    func enter(_ program: Program, _ slotMap: UnsafePointer<Int32>) {
        nodes = program.nodes
        lists = program.lists
        self.slotMap = slotMap
        failure = nil
        stackUsed = 0
    }

    @inline(never)
    func fail(_ failure: EvaluationFailure) {
        if self.failure == nil { self.failure = failure }
    }

    @inline(never)
    func fail(_ code: EvaluationFailure.Code, at node: Int32, _ left: Cell = .null, _ right: Cell = Cell(.unloaded))
        -> Cell
    {
        var failure = EvaluationFailure(code)
        failure.node = node
        failure.left = left.kind
        failure.right = right.kind
        fail(failure)
        return .null
    }

    // MARK: fields

    /// The field as the payload has it, not converted; what a projection copies.
    func raw(_ field: Int32) -> Cell {
        let slot = Int(slotMap[Int(field)])
        guard batch == nil else { return load(slot) }
        guard read() else { return unreadable(slot) }
        return cell(slots[slot], payload)
    }

    @inline(__always)
    private func field(_ field: Int32) -> Cell {
        let slot = Int(slotMap[Int(field)])
        let known = cells[slot]
        if known.kind != .unloaded { return known }
        return load(slot)
    }

    @inline(never)
    private func load(_ slot: Int) -> Cell {
        let cell: Cell
        if let batch, let binding {
            cell = decoded(load(slot, batch, binding))
        } else if read() {
            cell = decoded(self.cell(slots[slot], payload))
        } else {
            return unreadable(slot)
        }
        cells[slot] = cell
        return cell
    }

    /// The whole payload is a text where it is not JSON; a field of it is a failure.
    private func unreadable(_ slot: Int) -> Cell {
        if let table, table.whole == slot { return .text(payload) }
        var failure = EvaluationFailure(.notJSON)
        failure.number = Int64(jsonFailure?.offset ?? 0)
        failure.reason = jsonFailure?.reason
        fail(failure)
        return .null
    }

    /// Reads the payload, or the canonical form of a batch, unless that has been done.
    private func read() -> Bool {
        switch reading {
        case .read: return true
        case .failed: return false
        case .unread: break
        }
        guard let table else { return false }
        if let batch, let binding {
            canonical = binding.canonical(batch)
            payload = canonical.withUnsafeBytes { $0 }
        }
        jsonFailure = table.set.scan(payload, into: slots)
        reading = jsonFailure == nil ? .read : .failed
        return jsonFailure == nil
    }

    @inline(__always)
    private func cell(_ slot: JSONSlot, _ text: UnsafeRawBufferPointer) -> Cell {
        let kind: Cell.Kind
        switch slot.kind {
        case .absent, .null: return .null
        case .true: return .bool(true)
        case .false: return .bool(false)
        case .number: kind = .number
        case .string: kind = .text
        case .escapedString: kind = .escaped
        case .object: kind = .object
        case .array: kind = .array
        }
        guard let base = text.baseAddress else { return .null }
        return Cell(kind, UnsafeRawBufferPointer(start: base + Int(slot.offset), count: Int(slot.count)))
    }

    /// Numbers and strings converted, the rest as it is.
    @inline(__always)
    func decoded(_ cell: Cell) -> Cell {
        switch cell.kind {
        case .number: return Cell(JSONText.number(cell.bytes))
        case .escaped:
            guard let target = arena.allocate(Int(cell.count)) else { return tooLarge() }
            let count = JSONText.unescape(cell.bytes, to: target)
            return .text(UnsafeRawBufferPointer(start: target, count: count))
        default: return cell
        }
    }

    /// A slot found by `JSONFieldSet.scan` or `JSONText` in any text that lives as long as the message.
    func decodedCell(_ slot: JSONSlot, in text: UnsafeRawBufferPointer) -> Cell { decoded(cell(slot, text)) }

    func tooLarge() -> Cell { fail(.tooLarge, at: -1) }

    /// Text that the message's evaluation keeps.
    func text(_ source: some Collection<UInt8>) -> Cell {
        guard let target = arena.allocate(source.count) else { return tooLarge() }
        var at = 0
        for byte in source {
            target[at] = byte
            at += 1
        }
        return .text(UnsafeRawBufferPointer(start: target, count: at))
    }

    func text(_ source: String) -> Cell { text(source.utf8) }

    /// JSON text that the message's evaluation keeps.
    func json(_ kind: Cell.Kind, _ body: (inout JSONWriter) -> Void) -> Cell {
        var writer = JSONWriter()
        body(&writer)
        var cell = writer.withUnsafeBytes { text($0) }
        if cell.kind == .text { cell.kind = kind }
        return cell
    }

    func allocate(_ count: Int) -> UnsafeMutablePointer<UInt8>? { arena.allocate(count) }

    // MARK: typed samples

    private func load(_ slot: Int, _ batch: SampleBatch, _ binding: FieldBinding) -> Cell {
        let target = binding.targets[slot]
        switch target.kind {
        case .absent: return .null
        case .device: return .text(binding.deviceText)
        case .group: return .text(binding.groupText)
        case .timestamp: return .integer(batch.timestamp.milliseconds)
        case .value:
            guard let row = batch.row(ofTag: Int(target.tag)), !batch.quality(row).isBad else { return .null }
            return value(batch, row, target)
        case .quality:
            guard let row = batch.row(ofTag: Int(target.tag)) else { return .null }
            let quality = batch.quality(row)
            return quality.isUncertain ? text(quality.name(in: batch.descriptor.statusDomain).code) : .null
        case .canonical:
            guard read() else { return .null }
            return cell(slots[slot], payload)
        }
    }

    private func value(_ batch: SampleBatch, _ row: Int, _ target: FieldBinding.Target) -> Cell {
        let slot = batch.slots[row]
        switch target.type {
        case .bool: return .bool(slot != 0)
        case .int8, .int16, .int32, .int64: return Cell(.integer, slot)
        case .uint8, .uint16, .uint32, .uint64: return .unsigned(slot)
        case .float32:
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: slot))
            return value.isFinite ? .float(value) : .null
        case .float64:
            let value = Double(bitPattern: slot)
            return value.isFinite ? .double(value) : .null
        case .timestamp: return text(Timestamp(nanoseconds: Int64(bitPattern: slot)).description)
        case .string: return text(batch.blobBytes(row))
        case .bytes:
            let digits = Array("0123456789abcdef".utf8)
            return text(batch.blobBytes(row).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
        }
    }

    // MARK: nodes

    @inline(__always)
    func isTrue(_ node: Int32) -> Bool { evaluate(node).isTrue }

    /// What a projection writes: fields are not converted.
    @inline(__always)
    func project(_ node: Int32) -> Cell {
        let entry = nodes + Int(node)
        if entry.pointee.operation == .field { return raw(entry.pointee.a) }
        return evaluate(node)
    }

    func evaluate(_ index: Int32) -> Cell {
        let node = nodes + Int(index)
        switch node.pointee.operation {
        case .constant: return node.pointee.constant
        case .field: return field(node.pointee.a)
        case .fieldOrMeta:
            if batch != nil || read() {
                let cell = field(node.pointee.a)
                if !cell.isNull { return cell }
            }
            return meta(node.pointee.b)
        case .meta: return meta(node.pointee.b)
        case .and: return and(node, index)
        case .or: return or(node, index)
        case .not:
            let cell = evaluate(node.pointee.a)
            if cell.kind == .bool { return .bool(cell.bits == 0) }
            return cell.isNull ? .null : fail(.operands, at: index, cell)
        case .negate, .plus: return sign(evaluate(node.pointee.a), node.pointee.operation == .negate, index)
        case .add, .subtract, .multiply, .divide, .integerDivide, .modulo:
            return arithmetic(
                node.pointee.operation, evaluate(node.pointee.a), evaluate(node.pointee.b), node.pointee.c, index)
        case .concatenate: return concatenate(evaluate(node.pointee.a), evaluate(node.pointee.b), index)
        case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual:
            let left = evaluate(node.pointee.a)
            let right = evaluate(node.pointee.b)
            if left.isNull || right.isNull { return .null }
            return compare(node.pointee.operation, left, right, converts: node.pointee.c == 1, index)
        case .topicMatch:
            let topic = evaluate(node.pointee.a)
            let filter = evaluate(node.pointee.b)
            if topic.isNull || filter.isNull { return .null }
            guard topic.kind == .text, filter.kind == .text else { return fail(.operands, at: index, topic, filter) }
            return .bool(TopicFilter.matches(pattern: filter.bytes, topic: topic.bytes))
        case .between: return between(node, index)
        case .list: return list(node, index)
        case .like: return like(node, index)
        case .isNull: return .bool(evaluate(node.pointee.a).isNull)
        case .choose: return choose(node, index)
        case .call: return call(node, index)
        case .element: return element(node, index)
        case .member:
            let base = evaluate(node.pointee.a)
            guard base.kind == .object else { return .null }
            return decodedCell(JSONText.member(of: base.bytes, node.pointee.constant.bytes), in: base.bytes)
        case .cast:
            let cell = evaluate(node.pointee.a)
            guard let type = CastType(rawValue: UInt8(truncatingIfNeeded: node.pointee.c)) else { return .null }
            return cast(cell, to: type) ?? fail(.cast, at: index, cell)
        }
    }

    private func and(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let left = evaluate(node.pointee.a)
        if left.kind == .bool, left.bits == 0 { return left }
        guard left.kind == .bool || left.isNull else { return fail(.operands, at: index, left) }
        let right = evaluate(node.pointee.b)
        if right.kind == .bool { return right.bits == 0 || left.kind == .bool ? right : .null }
        return right.isNull ? .null : fail(.operands, at: index, right)
    }

    private func or(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let left = evaluate(node.pointee.a)
        if left.isTrue { return left }
        guard left.kind == .bool || left.isNull else { return fail(.operands, at: index, left) }
        let right = evaluate(node.pointee.b)
        if right.kind == .bool { return right.bits != 0 || left.kind == .bool ? right : .null }
        return right.isNull ? .null : fail(.operands, at: index, right)
    }

    private func between(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let value = evaluate(node.pointee.a)
        let low = evaluate(node.pointee.b)
        let high = evaluate(node.pointee.c)
        let converts = node.pointee.constant.isTrue
        let above =
            value.isNull || low.isNull ? Cell.null : compare(.greaterOrEqual, value, low, converts: converts, index)
        if above.kind == .bool, !above.isTrue { return above }
        let below =
            value.isNull || high.isNull ? Cell.null : compare(.lessOrEqual, value, high, converts: converts, index)
        if below.kind == .bool, !below.isTrue { return below }
        return above.isNull || below.isNull ? .null : .bool(true)
    }

    /// NULL where nothing equals and the value or an entry is NULL. Entries of another kind are not equal.
    private func list(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let value = evaluate(node.pointee.a)
        if value.isNull { return .null }
        var sawNull = false
        for at in Int(node.pointee.b)..<Int(node.pointee.b + node.pointee.c) {
            let entry = evaluate(lists[at])
            if entry.isNull {
                sawNull = true
            } else if order(value, entry) == .equal {
                return .bool(true)
            }
        }
        return sawNull ? .null : .bool(false)
    }

    private func like(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let value = evaluate(node.pointee.a)
        let pattern = evaluate(node.pointee.b)
        if value.isNull || pattern.isNull { return .null }
        guard value.kind == .text, pattern.kind == .text else { return fail(.operands, at: index, value, pattern) }
        return .bool(LikePattern.matches(value.bytes, pattern.bytes, escape: UInt8(truncatingIfNeeded: node.pointee.c)))
    }

    private func choose(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        for pair in 0..<Int(node.pointee.c) {
            let at = Int(node.pointee.b) + pair * 2
            if evaluate(lists[at]).isTrue { return evaluate(lists[at + 1]) }
            if failure != nil { return .null }
        }
        return node.pointee.a >= 0 ? evaluate(node.pointee.a) : .null
    }

    private func call(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let count = Int(node.pointee.c)
        guard stackUsed + count <= Self.stackCells else { return fail(.tooLarge, at: index) }
        let arguments = stack + stackUsed
        stackUsed += count
        defer { stackUsed -= count }
        let function = functions + Int(node.pointee.a)
        for position in 0..<count {
            let cell = evaluate(lists[Int(node.pointee.b) + position])
            if cell.isNull, function.pointee.isStrict { return .null }
            arguments[position] = cell
        }
        if failure != nil { return .null }
        currentCall = index
        return function.pointee.body(self, SQLArguments(base: arguments, count: count))
    }

    /// What a function does with an argument that it cannot take; `number` counts from 1.
    func bad(_ argument: Cell, _ number: Int) -> Cell {
        var failure = EvaluationFailure(.argument)
        failure.node = currentCall
        failure.left = argument.kind
        failure.number = Int64(number)
        fail(failure)
        return .null
    }

    func bad(_ code: EvaluationFailure.Code) -> Cell { fail(code, at: currentCall) }

    private func element(_ node: UnsafePointer<Node>, _ index: Int32) -> Cell {
        let base = evaluate(node.pointee.a)
        let place = evaluate(node.pointee.b)
        if base.isNull || place.isNull { return .null }
        guard place.kind == .integer else { return fail(.operands, at: index, place) }
        guard base.kind == .array else { return .null }
        var wanted = place.int
        if wanted < 0 {
            wanted += Int64(JSONText.count(of: base.bytes))
        } else if node.pointee.c == 1 {
            wanted -= 1
        }
        guard wanted >= 0, wanted <= Int64(Int32.max) else { return .null }
        return decodedCell(JSONText.element(of: base.bytes, Int(wanted)), in: base.bytes)
    }

    private func meta(_ index: Int32) -> Cell {
        guard let message, let meta = Meta(rawValue: index) else { return .null }
        return metadata(meta, message, messageCounter)
    }
}
