package import Model
import Wire

extension ModbusField {
    /// The request that writes `value`, which may have any type that converts to the field's without loss. Whole
    /// fields are written by one request, so that a device never shows half a number: coils by function 5 or 15,
    /// registers by 6 or 16, and by 22 what is only a part of a register (bits, 8-bit numbers).
    package func writeRequest(_ value: Value) throws(Problem) -> ModbusRequest {
        guard area.isWritable else {
            throw Self.problem(address, "read_only", "area \(area.rawValue) is read-only; areas 0 and 4 can be written")
        }
        let value = try converted(value)
        let elements: [Value]
        if case .array(let values) = value { elements = values } else { elements = [value] }
        switch coding {
        case .bit: return writeCoils(elements)
        case .registerBit(let bit): return try writeBits(elements, from: bit)
        case .number(.int8) where !type.isArray, .number(.uint8) where !type.isArray:
            let byte = UInt16(truncatingIfNeeded: (elements[0].slot ?? 0) & 0xFF)
            return byteFlip == 1
                ? .maskRegister(address: address.offset, and: 0xFF00, or: byte)
                : .maskRegister(address: address.offset, and: 0x00FF, or: byte << 8)
        case .number, .string, .bytes: return try writeRegisters(value, elements)
        }
    }

    private func converted(_ value: Value) throws(Problem) -> Value {
        do {
            return try value.converted(to: type)
        } catch {
            switch error {
            case .wrongKind:
                throw Problem("write.type", "\(value) is not \(type)", ["value": "\(value)", "type": "\(type)"])
            case .outOfRange:
                let range = type.scalar.integerRange.map { " (\($0.min) to \($0.max))" } ?? ""
                throw Problem(
                    "write.range", "\(value) does not fit \(type)\(range)", ["value": "\(value)", "type": "\(type)"])
            case .wrongCount(_, let seen):
                throw Problem(
                    "write.count", "\(type) takes \(type.arrayCount) values, not \(seen)",
                    ["type": "\(type)", "seen": "\(seen)"])
            }
        }
    }

    private func writeCoils(_ elements: [Value]) -> ModbusRequest {
        if !type.isArray { return .writeCoil(address: address.offset, isOn: elements[0] == .bool(true)) }
        var packed = [UInt8](repeating: 0, count: (elements.count + 7) / 8)
        for (index, element) in elements.enumerated() where element == .bool(true) {
            packed[index >> 3] |= 1 << UInt8(index & 7)
        }
        return .writeCoils(address: address.offset, count: UInt16(elements.count), packed: packed)
    }

    private func writeBits(_ elements: [Value], from first: Int) throws(Problem) -> ModbusRequest {
        guard span == 1 else {
            throw Self.problem(
                address, "bits", "bits of several registers cannot be written at once; use one tag per register")
        }
        var and: UInt16 = 0xFFFF
        var or: UInt16 = 0
        for (index, element) in elements.enumerated() {
            let bit = UInt16(1) << UInt16(first + index)
            and &= ~bit
            if element == .bool(true) { or |= bit }
        }
        return .maskRegister(address: address.offset, and: order.arrange(and), or: order.arrange(or))
    }

    private func writeRegisters(_ value: Value, _ elements: [Value]) throws(Problem) -> ModbusRequest {
        guard span <= ModbusLimits.writeRegistersMax else {
            throw Self.problem(
                address, "size",
                "\(type) takes \(span) registers; one request writes at most \(ModbusLimits.writeRegistersMax)")
        }
        var data = [UInt8](repeating: 0, count: span * 2)
        switch value {
        case .string(let text): try place(Array(text.utf8), in: &data)
        case .bytes(let bytes):
            guard bytes.count == elementCount else {
                throw Problem(
                    "write.count", "the tag takes \(elementCount) bytes, not \(bytes.count)",
                    ["seen": "\(bytes.count)"])
            }
            try place(bytes, in: &data)
        default:
            for (index, element) in elements.enumerated() { store(element.slot ?? 0, index, in: &data) }
        }
        if span == 1 {
            return .writeRegister(address: address.offset, value: UInt16(data[0]) << 8 | UInt16(data[1]))
        }
        return .writeRegisters(address: address.offset, data: data)
    }

    private func place(_ bytes: [UInt8], in data: inout [UInt8]) throws(Problem) {
        guard bytes.count <= elementCount else {
            throw Problem(
                "write.range", "the text has \(bytes.count) bytes; the tag holds \(elementCount)",
                ["seen": "\(bytes.count)", "allowed": "\(elementCount)"])
        }
        for (index, byte) in bytes.enumerated() { data[textByte(index)] = byte }
    }

    private func store(_ slot: UInt64, _ index: Int, in data: inout [UInt8]) {
        let width = (type.scalar.bitWidth ?? 16) / 8
        data.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress, (index + 1) * width <= buffer.count else { return }
            switch width {
            case 1: base.storeBytes(of: UInt8(truncatingIfNeeded: slot), toByteOffset: index ^ byteFlip, as: UInt8.self)
            case 2: base.storeBig(order.arrange(UInt16(truncatingIfNeeded: slot)), at: index * 2)
            case 4: base.storeBig(order.arrange(UInt32(truncatingIfNeeded: slot)), at: index * 4)
            default: base.storeBig(order.arrange(slot), at: index * 8)
            }
        }
    }
}
