import Formats
import Model

/// How two values stand to each other.
enum CellOrder {
    case less, equal, greater
    /// One is NaN.
    case unordered
    /// They are of different kinds.
    case incomparable
}

extension EvaluationContext {
    // MARK: comparison

    func compare(_ operation: Operation, _ left: Cell, _ right: Cell, converts: Bool, _ index: Int32) -> Cell {
        var order = order(left, right)
        if order == .incomparable, converts { order = convertedOrder(left, right) }
        if order == .incomparable {
            // What has different kinds is surely not equal; which is greater has no answer.
            if operation == .equal || operation == .notEqual,
                left.kind == .object || left.kind == .array
                    || right.kind == .object || right.kind == .array
            {
                return .bool(operation == .notEqual)
            }
            return fail(.comparison, at: index, left, right)
        }
        switch operation {
        case .equal: return .bool(order == .equal)
        case .notEqual: return .bool(order != .equal)
        case .less: return .bool(order == .less)
        case .lessOrEqual: return .bool(order == .less || order == .equal)
        case .greater: return .bool(order == .greater)
        default: return .bool(order == .greater || order == .equal)
        }
    }

    /// As EMQX compares: a text that is a number counts as one.
    private func convertedOrder(_ left: Cell, _ right: Cell) -> CellOrder {
        if left.isNumber, right.kind == .text, JSONText.isNumber(right.bytes) {
            return order(left, Cell(JSONText.number(right.bytes)))
        }
        if right.isNumber, left.kind == .text, JSONText.isNumber(left.bytes) {
            return order(Cell(JSONText.number(left.bytes)), right)
        }
        return .incomparable
    }

    /// Neither is NULL.
    func order(_ left: Cell, _ right: Cell) -> CellOrder {
        switch (left.kind, right.kind) {
        case (.integer, .integer): return Self.order(left.int, right.int)
        case (.double, .double): return Self.order(Double(bitPattern: left.bits), Double(bitPattern: right.bits))
        case (.float, .float):
            return Self.order(
                Float(bitPattern: UInt32(truncatingIfNeeded: left.bits)),
                Float(bitPattern: UInt32(truncatingIfNeeded: right.bits)))
        case (.float, .integer), (.float, .double): return floatOrder(left, right)
        case (.integer, .float), (.double, .float): return Self.reversed(floatOrder(right, left))
        case (.integer, .double): return Self.order(left.int, Double(bitPattern: right.bits))
        case (.double, .integer): return Self.reversed(Self.order(right.int, Double(bitPattern: left.bits)))
        case (.unsigned, .unsigned): return Self.order(left.bits, right.bits)
        case (.unsigned, .integer): return .greater
        case (.integer, .unsigned): return .less
        case (.unsigned, .double), (.unsigned, .float): return Self.order(left.bits, right.number)
        case (.double, .unsigned), (.float, .unsigned): return Self.reversed(Self.order(right.bits, left.number))
        case (.text, .text): return Self.order(left.bytes, right.bytes)
        case (.bool, .bool): return Self.order(left.bits, right.bits)
        case (.object, .object), (.array, .array):
            return left.bytes.elementsEqual(right.bytes) ? .equal : .incomparable
        default: return .incomparable
        }
    }

    /// A float counts as the decimal as which it is shown; where the numbers are far apart that need not be found.
    private func floatOrder(_ float: Cell, _ other: Cell) -> CellOrder {
        let wide = Double(Float(bitPattern: UInt32(truncatingIfNeeded: float.bits)))
        let number = other.kind == .integer ? Double(other.int) : Double(bitPattern: other.bits)
        if (wide - number).magnitude > wide.magnitude * 0x1p-22 { return Self.order(wide, number) }
        return Self.order(float.number, number)
    }

    @inline(__always)
    private static func order<T: Comparable>(_ left: T, _ right: T) -> CellOrder {
        left < right ? .less : left == right ? .equal : left > right ? .greater : .unordered
    }

    /// Exact beyond 2^53.
    private static func order(_ left: Int64, _ right: Double) -> CellOrder {
        if left.magnitude <= 1 << 53 { return order(Double(left), right) }
        if right.isNaN { return .unordered }
        if right >= 0x1p63 { return .less }
        if right < -0x1p63 { return .greater }
        let whole = Int64(right)
        if left != whole { return left < whole ? .less : .greater }
        let rest = right - Double(whole)
        return rest > 0 ? .less : rest < 0 ? .greater : .equal
    }

    /// `left` is above Int64.max.
    private static func order(_ left: UInt64, _ right: Double) -> CellOrder {
        if right.isNaN { return .unordered }
        if right >= 0x1p64 { return .less }
        // Doubles of this size have no fraction.
        return right < 0x1p63 ? .greater : order(left, UInt64(right))
    }

    private static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> CellOrder {
        let count = min(left.count, right.count)
        var index = 0
        while index < count {
            if left[index] != right[index] { return left[index] < right[index] ? .less : .greater }
            index += 1
        }
        return order(left.count, right.count)
    }

    private static func reversed(_ order: CellOrder) -> CellOrder {
        switch order {
        case .less: .greater
        case .greater: .less
        default: order
        }
    }

    // MARK: arithmetic

    func sign(_ cell: Cell, _ isNegative: Bool, _ index: Int32) -> Cell {
        switch cell.kind {
        case .null: return .null
        case .integer:
            if !isNegative { return cell }
            return cell.int == .min ? Cell(.unsigned, UInt64(1) << 63) : .integer(-cell.int)
        case .unsigned:
            if !isNegative { return cell }
            return cell.bits == UInt64(1) << 63 ? .integer(.min) : fail(.overflow, at: index)
        case .float, .double: return isNegative ? .double(-cell.number) : cell
        default: return fail(.operands, at: index, cell)
        }
    }

    /// `flavour`: 1 EMQX (+ joins texts), 2 eKuiper (/ of integers is an integer).
    func arithmetic(_ operation: Operation, _ left: Cell, _ right: Cell, _ flavour: Int32, _ index: Int32) -> Cell {
        if left.isNull || right.isNull { return .null }
        if left.kind == .integer, right.kind == .integer {
            return integers(operation, left.int, right.int, flavour, index)
        }
        if operation == .add, flavour == 1, left.kind == .text || right.kind == .text {
            return concatenate(left, right, index)
        }
        guard left.isNumber, right.isNumber else { return fail(.operands, at: index, left, right) }
        if left.kind == .unsigned || right.kind == .unsigned, !isFloat(left), !isFloat(right) {
            return wide(operation, left, right, flavour, index)
        }
        let a = left.number
        let b = right.number
        switch operation {
        case .add: return .double(a + b)
        case .subtract: return .double(a - b)
        case .multiply: return .double(a * b)
        case .divide: return b == 0 ? fail(.divisionByZero, at: index) : .double(a / b)
        case .integerDivide:
            guard b != 0 else { return fail(.divisionByZero, at: index) }
            let quotient = (a / b).rounded(.towardZero)
            guard let whole = Int64(exactly: quotient) else { return fail(.overflow, at: index) }
            return .integer(whole)
        default: return b == 0 ? fail(.divisionByZero, at: index) : .double(a.truncatingRemainder(dividingBy: b))
        }
    }

    private func isFloat(_ cell: Cell) -> Bool { cell.kind == .float || cell.kind == .double }

    private func integers(_ operation: Operation, _ a: Int64, _ b: Int64, _ flavour: Int32, _ index: Int32) -> Cell {
        let result: (partialValue: Int64, overflow: Bool)
        switch operation {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .divide where flavour != 2:
            guard b != 0 else { return fail(.divisionByZero, at: index) }
            return .double(Double(a) / Double(b))
        case .divide, .integerDivide:
            guard b != 0 else { return fail(.divisionByZero, at: index) }
            result = a.dividedReportingOverflow(by: b)
        default:
            guard b != 0 else { return fail(.divisionByZero, at: index) }
            result = b == -1 ? (0, false) : a.remainderReportingOverflow(dividingBy: b)
        }
        if result.overflow { return wide(operation, .integer(a), .integer(b), flavour, index) }
        return .integer(result.partialValue)
    }

    /// Where an operand or the result lies beyond Int64.
    private func wide(_ operation: Operation, _ left: Cell, _ right: Cell, _ flavour: Int32, _ index: Int32) -> Cell {
        let a = left.kind == .unsigned ? Int128(left.bits) : Int128(left.int)
        let b = right.kind == .unsigned ? Int128(right.bits) : Int128(right.int)
        let result: Int128
        switch operation {
        case .add: result = a + b
        case .subtract: result = a - b
        case .multiply:
            let (product, overflow) = a.multipliedReportingOverflow(by: b)
            if overflow { return fail(.overflow, at: index) }
            result = product
        default:
            guard b != 0 else { return fail(.divisionByZero, at: index) }
            if operation == .divide, flavour != 2 { return .double(Double(a) / Double(b)) }
            result = operation == .modulo ? a % b : a / b
        }
        if let small = Int64(exactly: result) { return .integer(small) }
        if let large = UInt64(exactly: result) { return .unsigned(large) }
        return fail(.overflow, at: index)
    }

    // MARK: text

    func concatenate(_ left: Cell, _ right: Cell, _ index: Int32) -> Cell {
        if left.isNull || right.isNull { return .null }
        guard let a = asText(left), let b = asText(right) else { return fail(.operands, at: index, left, right) }
        return joined(a, b)
    }

    func joined(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Cell {
        guard let target = allocate(a.count + b.count) else { return tooLarge() }
        if let source = a.baseAddress { UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: a.count) }
        if let source = b.baseAddress {
            UnsafeMutableRawPointer(target + a.count).copyMemory(from: source, byteCount: b.count)
        }
        return .text(UnsafeRawBufferPointer(start: target, count: a.count + b.count))
    }

    /// As a text: numbers in decimal, booleans as words, JSON as it stands; nil for NULL, or when the arena is full.
    func asText(_ cell: Cell) -> UnsafeRawBufferPointer? {
        switch cell.kind {
        case .text, .object, .array, .number: return cell.bytes
        case .escaped: return asText(decoded(cell))
        case .null, .unloaded: return nil
        case .bool:
            let word: StaticString = cell.isTrue ? "true" : "false"
            return UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        case .integer, .unsigned, .float, .double:
            guard let target = allocate(NumberText.bytesMax) else { return nil }
            let count: Int
            switch cell.kind {
            case .integer: count = NumberText.write(cell.int, to: target)
            case .unsigned: count = NumberText.write(cell.bits, to: target)
            case .float:
                count = NumberText.write(Float(bitPattern: UInt32(truncatingIfNeeded: cell.bits)), to: target)
            default:
                let value = Double(bitPattern: cell.bits)
                guard value.isFinite else { return nil }
                count = NumberText.write(value, to: target)
            }
            return UnsafeRawBufferPointer(start: target, count: count)
        }
    }

    /// Nil where the value has no such form.
    func cast(_ cell: Cell, to type: CastType) -> Cell? {
        if cell.isNull { return .null }
        switch type {
        case .string: return asText(cell).map { .text($0) }
        case .bool:
            switch cell.kind {
            case .bool: return cell
            case .integer, .unsigned: return .bool(cell.bits != 0)
            case .float, .double: return .bool(cell.number != 0)
            case .text:
                if cell.bytes.elementsEqual("true".utf8) || cell.bytes.elementsEqual("1".utf8) { return .bool(true) }
                if cell.bytes.elementsEqual("false".utf8) || cell.bytes.elementsEqual("0".utf8) { return .bool(false) }
                return nil
            default: return nil
            }
        case .integer: return castInteger(cell)
        case .double:
            switch cell.kind {
            case .bool: return .double(cell.isTrue ? 1 : 0)
            case .text: return textNumber(cell).map { .double($0.number) }
            default: return cell.isNumber ? .double(cell.number) : nil
            }
        case .timestamp:
            if cell.kind == .integer { return cell }
            guard cell.kind == .text, let time = Timestamp(rfc3339: String(decoding: cell.bytes, as: UTF8.self)) else {
                return nil
            }
            return .integer(time.milliseconds)
        }
    }

    /// Fractions are cut off.
    private func castInteger(_ cell: Cell) -> Cell? {
        switch cell.kind {
        case .integer, .unsigned: return cell
        case .bool: return .integer(cell.isTrue ? 1 : 0)
        case .float, .double:
            let whole = cell.number.rounded(.towardZero)
            if let value = Int64(exactly: whole) { return .integer(value) }
            return UInt64(exactly: whole).map { Cell.unsigned($0) }
        case .text: return textNumber(cell).flatMap { castInteger($0) }
        default: return nil
        }
    }

    /// The number that a text spells, spaces around it aside.
    func textNumber(_ cell: Cell) -> Cell? {
        var bytes = cell.bytes
        while let first = bytes.first, first == 0x20 { bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst()) }
        while let last = bytes.last, last == 0x20 { bytes = UnsafeRawBufferPointer(rebasing: bytes.dropLast()) }
        guard JSONText.isNumber(bytes) else { return nil }
        return Cell(JSONText.number(bytes))
    }
}
