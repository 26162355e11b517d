package import Wire

/// A question to a device, of any function this codec speaks. Addresses are those of the PDU, counted from 0;
/// register data are wire bytes, high byte of each register first.
package enum ModbusRequest: Sendable, Hashable {
    /// Functions 1 to 4.
    case read(ModbusArea, address: UInt16, count: UInt16)
    /// Function 5.
    case writeCoil(address: UInt16, isOn: Bool)
    /// Function 6.
    case writeRegister(address: UInt16, value: UInt16)
    /// Function 15. Eight coils a byte, the first in the least significant bit.
    case writeCoils(address: UInt16, count: UInt16, packed: [UInt8])
    /// Function 16.
    case writeRegisters(address: UInt16, data: [UInt8])
    /// Function 22: register = (register AND and) OR (or AND NOT and).
    case maskRegister(address: UInt16, and: UInt16, or: UInt16)
    /// Function 23: writes, then reads.
    case readWriteRegisters(readAddress: UInt16, readCount: UInt16, writeAddress: UInt16, data: [UInt8])

    package var function: ModbusFunction {
        switch self {
        case .read(let area, _, _): area.readFunction
        case .writeCoil: .writeSingleCoil
        case .writeRegister: .writeSingleRegister
        case .writeCoils: .writeMultipleCoils
        case .writeRegisters: .writeMultipleRegisters
        case .maskRegister: .maskWriteRegister
        case .readWriteRegisters: .readWriteMultipleRegisters
        }
    }

    /// Bytes of data that a granted request brings back; nil where the answer is an echo.
    package var replyByteCount: Int? {
        switch self {
        case .read(let area, _, let count): area.isBits ? (Int(count) + 7) / 8 : Int(count) * 2
        case .readWriteRegisters(_, let count, _, _): Int(count) * 2
        default: nil
        }
    }

    /// Whether counts keep within the protocol's limits and the 65,536 addresses of a table.
    package var isWithinLimits: Bool {
        func fits(_ address: UInt16, _ count: Int, _ limit: Int) -> Bool {
            count >= 1 && count <= limit && Int(address) + count <= 65_536
        }
        switch self {
        case .read(let area, let address, let count): return fits(address, Int(count), area.readCountMax)
        case .writeCoil, .writeRegister, .maskRegister: return true
        case .writeCoils(let address, let count, let packed):
            return fits(address, Int(count), ModbusLimits.writeBitsMax) && packed.count == (Int(count) + 7) / 8
        case .writeRegisters(let address, let data):
            return data.count % 2 == 0 && fits(address, data.count / 2, ModbusLimits.writeRegistersMax)
        case .readWriteRegisters(let readAddress, let readCount, let writeAddress, let data):
            return fits(readAddress, Int(readCount), ModbusLimits.readRegistersMax) && data.count % 2 == 0
                && fits(writeAddress, data.count / 2, ModbusLimits.readWriteRegistersMax)
        }
    }

    /// Appends the PDU. The request must be within its limits.
    package func encode(to writer: inout ByteWriter) {
        assert(isWithinLimits)
        writer.uint8(function.rawValue)
        switch self {
        case .read(_, let address, let count):
            writer.uint16(address)
            writer.uint16(count)
        case .writeCoil(let address, let isOn):
            writer.uint16(address)
            writer.uint16(isOn ? 0xFF00 : 0)
        case .writeRegister(let address, let value):
            writer.uint16(address)
            writer.uint16(value)
        case .writeCoils(let address, let count, let packed):
            writer.uint16(address)
            writer.uint16(count)
            writer.uint8(UInt8(truncatingIfNeeded: packed.count))
            writer.append(packed)
        case .writeRegisters(let address, let data):
            writer.uint16(address)
            writer.uint16(UInt16(truncatingIfNeeded: data.count / 2))
            writer.uint8(UInt8(truncatingIfNeeded: data.count))
            writer.append(data)
        case .maskRegister(let address, let and, let or):
            writer.uint16(address)
            writer.uint16(and)
            writer.uint16(or)
        case .readWriteRegisters(let readAddress, let readCount, let writeAddress, let data):
            writer.uint16(readAddress)
            writer.uint16(readCount)
            writer.uint16(writeAddress)
            writer.uint16(UInt16(truncatingIfNeeded: data.count / 2))
            writer.uint8(UInt8(truncatingIfNeeded: data.count))
            writer.append(data)
        }
    }

    /// Reads a request's PDU, as a device does. What is thrown is the exception to answer with: `illegalFunction`,
    /// `illegalDataValue` for counts and lengths that the standard forbids, `illegalDataAddress` beyond the table.
    package init(decoding pdu: UnsafeRawBufferPointer) throws(ModbusException) {
        var reader = ByteReader(pdu)
        do {
            guard let function = ModbusFunction(rawValue: try reader.uint8()) else {
                throw ModbusException.illegalFunction
            }
            self = try Self.body(of: function, &reader)
            guard reader.isAtEnd else { throw ModbusException.illegalDataValue }
        } catch let exception as ModbusException {
            throw exception
        } catch {
            throw .illegalDataValue
        }
        if !isWithinLimits { throw hasCountInLimits ? .illegalDataAddress : .illegalDataValue }
    }

    private static func body(of function: ModbusFunction, _ reader: inout ByteReader) throws -> ModbusRequest {
        let address = try reader.uint16()
        switch function {
        case .readCoils: return .read(.coil, address: address, count: try reader.uint16())
        case .readDiscreteInputs: return .read(.discreteInput, address: address, count: try reader.uint16())
        case .readHoldingRegisters: return .read(.holdingRegister, address: address, count: try reader.uint16())
        case .readInputRegisters: return .read(.inputRegister, address: address, count: try reader.uint16())
        case .writeSingleCoil:
            let value = try reader.uint16()
            guard value == 0 || value == 0xFF00 else { throw ModbusException.illegalDataValue }
            return .writeCoil(address: address, isOn: value != 0)
        case .writeSingleRegister: return .writeRegister(address: address, value: try reader.uint16())
        case .writeMultipleCoils:
            let count = try reader.uint16()
            return .writeCoils(address: address, count: count, packed: try reader.array(Int(try reader.uint8())))
        case .writeMultipleRegisters:
            let count = try reader.uint16()
            let data = try reader.array(Int(try reader.uint8()))
            guard data.count == Int(count) * 2 else { throw ModbusException.illegalDataValue }
            return .writeRegisters(address: address, data: data)
        case .maskWriteRegister:
            return .maskRegister(address: address, and: try reader.uint16(), or: try reader.uint16())
        case .readWriteMultipleRegisters:
            let readCount = try reader.uint16()
            let writeAddress = try reader.uint16()
            let writeCount = try reader.uint16()
            let data = try reader.array(Int(try reader.uint8()))
            guard data.count == Int(writeCount) * 2 else { throw ModbusException.illegalDataValue }
            return .readWriteRegisters(
                readAddress: address, readCount: readCount, writeAddress: writeAddress, data: data)
        }
    }

    /// Whether the counts alone are allowed: what is then wrong is where they reach to.
    private var hasCountInLimits: Bool {
        switch self {
        case .read(let area, _, let count): ModbusRequest.read(area, address: 0, count: count).isWithinLimits
        case .writeCoil, .writeRegister, .maskRegister: true
        case .writeCoils(_, let count, let packed):
            ModbusRequest.writeCoils(address: 0, count: count, packed: packed).isWithinLimits
        case .writeRegisters(_, let data): ModbusRequest.writeRegisters(address: 0, data: data).isWithinLimits
        case .readWriteRegisters(_, let count, _, let data):
            ModbusRequest.readWriteRegisters(readAddress: 0, readCount: count, writeAddress: 0, data: data)
                .isWithinLimits
        }
    }
}
