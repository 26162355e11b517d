/// The quality of a sample as a 32-bit status code.
///
/// The upper half is that of an OPC UA StatusCode (OPC 10000-4, 7.39): two bits of severity and a sub-code. The
/// lower half, which OPC UA uses for flags, carries what a driver adds: a `StatusDomain` in bits 8-15 and the
/// protocol's native code in bits 0-7; both 0 where nothing is added. So one number, stored as it is in the
/// historian, tells "bad, modbus, exception 2".
@frozen
package struct Quality: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt32

    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The standard code of `base` with a protocol's own code attached.
    @inlinable
    package init(_ base: Quality, domain: UInt8, native: UInt8) {
        rawValue = base.rawValue & 0xFFFF_0000 | UInt32(domain) << 8 | UInt32(native)
    }

    @inlinable package var isGood: Bool { rawValue >> 30 == 0 }
    @inlinable package var isUncertain: Bool { rawValue >> 30 == 1 }
    @inlinable package var isBad: Bool { rawValue >> 31 == 1 }
    @inlinable package var domain: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 8) }
    @inlinable package var native: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
    /// Without what a driver attached.
    @inlinable package var standard: Quality { Quality(rawValue: rawValue & 0xFFFF_0000) }

    package static let good = Quality(rawValue: 0)
    package static let uncertain = Quality(rawValue: 0x4000_0000)
    package static let uncertainLastUsable = Quality(rawValue: 0x4090_0000)
    package static let uncertainSensorNotAccurate = Quality(rawValue: 0x4093_0000)
    package static let uncertainEngineeringUnitsExceeded = Quality(rawValue: 0x4094_0000)
    package static let uncertainSubNormal = Quality(rawValue: 0x4095_0000)
    package static let bad = Quality(rawValue: 0x8000_0000)
    package static let badInternalError = Quality(rawValue: 0x8002_0000)
    package static let badCommunication = Quality(rawValue: 0x8005_0000)
    package static let badEncoding = Quality(rawValue: 0x8006_0000)
    package static let badDecoding = Quality(rawValue: 0x8007_0000)
    package static let badTimeout = Quality(rawValue: 0x800A_0000)
    package static let badNoCommunication = Quality(rawValue: 0x8031_0000)
    package static let badWaitingForInitialData = Quality(rawValue: 0x8032_0000)
    package static let badAddressInvalid = Quality(rawValue: 0x8033_0000)
    package static let badAddressUnknown = Quality(rawValue: 0x8034_0000)
    package static let badNotReadable = Quality(rawValue: 0x803A_0000)
    package static let badNotWritable = Quality(rawValue: 0x803B_0000)
    package static let badOutOfRange = Quality(rawValue: 0x803C_0000)
    package static let badNotSupported = Quality(rawValue: 0x803D_0000)
    package static let badTypeMismatch = Quality(rawValue: 0x8074_0000)
    package static let badConfigurationError = Quality(rawValue: 0x8089_0000)
    package static let badNotConnected = Quality(rawValue: 0x808A_0000)
    package static let badDeviceFailure = Quality(rawValue: 0x808B_0000)
    package static let badSensorFailure = Quality(rawValue: 0x808C_0000)
    package static let badOutOfService = Quality(rawValue: 0x808D_0000)
    package static let badResourceUnavailable = Quality(rawValue: 0x8004_0000)
    /// A float that JSON cannot carry.
    package static let badNotANumber = Quality(rawValue: 0x8074_0000 | 1)
}

/// What people and programs see of a status code: a stable dotted code and a sentence.
package struct StatusName: Sendable, Hashable {
    package var code: String
    package var message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }
}

/// The names of one protocol's native codes. A driver declares one beside its codec.
package struct StatusDomain: Sendable {
    /// Fixed numbers, because they are stored: 1 Modbus, 2 S7, 3 IEC 60870-5-104, 4 IEC 61850, 5 OPC UA. 0 is none.
    package var number: UInt8
    /// Names by native code.
    package var names: [UInt8: StatusName]

    package init(number: UInt8, names: [UInt8: StatusName]) {
        self.number = number
        self.names = names
    }

    package static let none = StatusDomain(number: 0, names: [:])
}

extension Quality {
    /// The stable code and the sentence: the domain's name for the native code if it has one, else the standard's.
    package func name(in domains: StatusDomain...) -> StatusName { name(in: domains) }

    package func name(in domains: [StatusDomain]) -> StatusName {
        if domain != 0 {
            for candidate in domains where candidate.number == domain {
                if let name = candidate.names[native] { return name }
            }
        }
        if let name = Self.standardNames[rawValue] ?? Self.standardNames[standard.rawValue] { return name }
        let severity = isGood ? "good" : isUncertain ? "uncertain" : "bad"
        return StatusName(
            code: "\(severity).0x\(String(standard.rawValue >> 16, radix: 16))", message: "\(severity)")
    }

    private static let standardNames: [UInt32: StatusName] = {
        let table: [(Quality, String, String)] = [
            (.good, "good", "good"),
            (.uncertain, "uncertain", "the value is uncertain"),
            (.uncertainLastUsable, "uncertain.last_usable", "the last value that was usable"),
            (.uncertainSensorNotAccurate, "uncertain.sensor_not_accurate", "the sensor is not accurate"),
            (.uncertainEngineeringUnitsExceeded, "uncertain.limits_exceeded", "the value exceeds its limits"),
            (.uncertainSubNormal, "uncertain.sub_normal", "fewer sources than required are good"),
            (.bad, "bad", "the value is bad"),
            (.badInternalError, "internal_error", "internal error"),
            (.badCommunication, "device.communication", "the conversation with the device failed"),
            (.badEncoding, "device.encoding", "the value cannot be encoded for the device"),
            (.badDecoding, "device.decoding", "the device's answer cannot be decoded"),
            (.badTimeout, "device.timeout", "the device did not answer in time"),
            (.badNoCommunication, "device.unreachable", "the device cannot be reached"),
            (.badWaitingForInitialData, "device.waiting", "no value has been read yet"),
            (.badAddressInvalid, "tag.address_invalid", "the address is not valid"),
            (.badAddressUnknown, "tag.address_unknown", "the device does not know the address"),
            (.badNotReadable, "tag.not_readable", "the tag cannot be read"),
            (.badNotWritable, "tag.not_writable", "the tag cannot be written"),
            (.badOutOfRange, "value.out_of_range", "the value is out of range"),
            (.badNotSupported, "device.not_supported", "the device does not support this"),
            (.badTypeMismatch, "value.type_mismatch", "the value has the wrong type"),
            (.badNotANumber, "value.not_a_number", "not a finite number"),
            (.badConfigurationError, "device.configuration", "the configuration is wrong"),
            (.badNotConnected, "device.not_connected", "the device is not connected"),
            (.badDeviceFailure, "device.failure", "the device reports a failure"),
            (.badSensorFailure, "device.sensor_failure", "the sensor failed"),
            (.badOutOfService, "device.out_of_service", "the device is out of service"),
            (.badResourceUnavailable, "device.busy", "the device is busy"),
        ]
        return Dictionary(
            table.map { ($0.0.rawValue, StatusName(code: $0.1, message: $0.2)) },
            uniquingKeysWith: { first, _ in first })
    }()
}
