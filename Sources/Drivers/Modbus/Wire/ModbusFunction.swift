package import Model

/// The limits of MODBUS Application Protocol V1.1b3; counts are registers or bits in one request.
package enum ModbusLimits {
    /// A PDU: function code and data. 4.1.
    package static let pduBytesMax = 253
    /// An MBAP header and a PDU. Messaging on TCP/IP V1.0b, 4.2.1.
    package static let tcpFrameBytesMax = 260
    package static let readBitsMax = 2000
    package static let readRegistersMax = 125
    package static let writeBitsMax = 1968
    package static let writeRegistersMax = 123
    /// Function 23 alone: its write part.
    package static let readWriteRegistersMax = 121
}

/// The four tables of a device. Raw values are the first digit of an address as users write it.
package enum ModbusArea: UInt8, Sendable, CaseIterable {
    case coil = 0
    case discreteInput = 1
    case inputRegister = 3
    case holdingRegister = 4

    package var isBits: Bool { self == .coil || self == .discreteInput }
    package var isWritable: Bool { self == .coil || self == .holdingRegister }
    /// What reads it.
    package var readFunction: ModbusFunction {
        switch self {
        case .coil: .readCoils
        case .discreteInput: .readDiscreteInputs
        case .inputRegister: .readInputRegisters
        case .holdingRegister: .readHoldingRegisters
        }
    }
    /// The most that one request may read.
    package var readCountMax: Int { isBits ? ModbusLimits.readBitsMax : ModbusLimits.readRegistersMax }
}

/// Function codes. V1.1b3, 6.
package enum ModbusFunction: UInt8, Sendable, CaseIterable {
    case readCoils = 1
    case readDiscreteInputs = 2
    case readHoldingRegisters = 3
    case readInputRegisters = 4
    case writeSingleCoil = 5
    case writeSingleRegister = 6
    case writeMultipleCoils = 15
    case writeMultipleRegisters = 16
    case maskWriteRegister = 22
    case readWriteMultipleRegisters = 23
}

/// The exception code of a refusal. V1.1b3, 7. Devices send codes that the standard does not name; they are kept.
package struct ModbusException: RawRepresentable, Error, Hashable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let illegalFunction = ModbusException(rawValue: 1)
    package static let illegalDataAddress = ModbusException(rawValue: 2)
    package static let illegalDataValue = ModbusException(rawValue: 3)
    package static let serverDeviceFailure = ModbusException(rawValue: 4)
    package static let acknowledge = ModbusException(rawValue: 5)
    package static let serverDeviceBusy = ModbusException(rawValue: 6)
    package static let memoryParityError = ModbusException(rawValue: 8)
    package static let gatewayPathUnavailable = ModbusException(rawValue: 10)
    package static let gatewayTargetFailedToRespond = ModbusException(rawValue: 11)

    /// Whether the same request may succeed a little later.
    package var isTransient: Bool { self == .serverDeviceBusy || self == .acknowledge }

    /// The status of the samples that the refused request would have brought.
    package var quality: Quality {
        let standard: Quality =
            switch self {
            case .illegalFunction: .badNotSupported
            case .illegalDataAddress: .badAddressInvalid
            case .illegalDataValue: .badOutOfRange
            case .serverDeviceFailure, .memoryParityError: .badDeviceFailure
            case .acknowledge, .serverDeviceBusy: .badResourceUnavailable
            case .gatewayPathUnavailable, .gatewayTargetFailedToRespond: .badNoCommunication
            default: .badCommunication
            }
        return Quality(standard, domain: StatusDomain.modbus.number, native: rawValue)
    }

    package var name: StatusName {
        StatusDomain.modbus.names[rawValue]
            ?? StatusName(
                code: "modbus.exception_\(rawValue)", message: "exception \(rawValue), which the standard does not name"
            )
    }
}

extension StatusDomain {
    package static let modbus = StatusDomain(
        number: 1,
        names: [
            1: StatusName(code: "modbus.illegal_function", message: "illegal function"),
            2: StatusName(code: "modbus.illegal_data_address", message: "illegal data address"),
            3: StatusName(code: "modbus.illegal_data_value", message: "illegal data value"),
            4: StatusName(code: "modbus.device_failure", message: "server device failure"),
            5: StatusName(code: "modbus.acknowledge", message: "accepted, the device is still at work"),
            6: StatusName(code: "modbus.device_busy", message: "server device busy"),
            8: StatusName(code: "modbus.memory_parity", message: "memory parity error"),
            10: StatusName(code: "modbus.gateway_path", message: "gateway path unavailable"),
            11: StatusName(code: "modbus.gateway_target", message: "the device behind the gateway did not respond"),
        ])
}

/// Bytes that no device that keeps to the standard sends: the conversation cannot be trusted any more.
package enum ModbusFault: Error, Sendable, Equatable {
    /// The MBAP header's protocol id is not 0.
    case wrongProtocol(UInt16)
    /// The MBAP header's length is not 2...254.
    case wrongLength(Int)
    /// The answer has another function code than the question.
    case wrongFunction(seen: UInt8, expected: UInt8)
    /// The answer's data are shorter or longer than the question asked for.
    case wrongByteCount(seen: Int, expected: Int)
    /// A write's answer does not repeat what was written, or where.
    case wrongEcho
    /// A serial frame whose checksum does not match.
    case wrongChecksum

    package var problem: Problem {
        switch self {
        case .wrongProtocol(let seen):
            Problem("modbus.wrong_protocol", "the answer's protocol id is \(seen); Modbus is 0", ["seen": "\(seen)"])
        case .wrongLength(let seen):
            Problem(
                "modbus.wrong_length", "the answer's length field is \(seen); 2 to 254 are possible",
                ["seen": "\(seen)"])
        case .wrongFunction(let seen, let expected):
            Problem(
                "modbus.wrong_function", "the answer's function code is \(seen) where \(expected) was asked",
                ["seen": "\(seen)", "expected": "\(expected)"])
        case .wrongByteCount(let seen, let expected):
            Problem(
                "modbus.wrong_byte_count", "the answer carries \(seen) bytes of data where \(expected) were asked",
                ["seen": "\(seen)", "expected": "\(expected)"])
        case .wrongEcho:
            Problem("modbus.wrong_echo", "the answer to a write does not repeat what was written")
        case .wrongChecksum:
            Problem("modbus.wrong_checksum", "the frame's checksum does not match")
        }
    }
}
