import Model
import Testing

@Suite struct ValueTests {
    @Test("types read back from their names", arguments: ["bool", "uint16", "float32[8]", "timestamp", "string"])
    func typeNames(text: String) { #expect(ValueType(text)?.description == text) }

    @Test(
        "refuses unknown types, empty arrays and arrays of text",
        arguments: [
            "", "float", "int128", "float32[0]", "float32[", "string[3]", "float32[99999999]", "float32[x]",
        ])
    func badTypes(text: String) { #expect(ValueType(text) == nil) }

    @Test("integers convert only when they fit")
    func integerRanges() throws {
        #expect(try Value.int(-128).converted(to: ValueType(.int8)) == .int(-128))
        #expect(throws: ConversionFailure.outOfRange(expected: ValueType(.int8))) {
            try Value.int(128).converted(to: ValueType(.int8))
        }
        #expect(try Value.float64(65_535).converted(to: ValueType(.uint16)) == .uint(65_535))
        #expect(throws: ConversionFailure.outOfRange(expected: ValueType(.uint16))) {
            try Value.float64(1.5).converted(to: ValueType(.uint16))
        }
        #expect(try Value.uint(.max).converted(to: ValueType(.uint64)) == .uint(.max))
        #expect(throws: ConversionFailure.outOfRange(expected: ValueType(.uint64))) {
            try Value.int(-1).converted(to: ValueType(.uint64))
        }
        #expect(throws: ConversionFailure.outOfRange(expected: ValueType(.int64))) {
            try Value.float64(.nan).converted(to: ValueType(.int64))
        }
    }

    @Test("bool takes 0 and 1 only; text is no number")
    func bools() throws {
        #expect(try Value.int(1).converted(to: ValueType(.bool)) == .bool(true))
        #expect(throws: ConversionFailure.outOfRange(expected: ValueType(.bool))) {
            try Value.int(2).converted(to: ValueType(.bool))
        }
        #expect(throws: ConversionFailure.wrongKind(expected: ValueType(.float32))) {
            try Value.string("1").converted(to: ValueType(.float32))
        }
        #expect(throws: ConversionFailure.outOfRange(expected: ValueType(.float32))) {
            try Value.float64(1e300).converted(to: ValueType(.float32))
        }
    }

    @Test("arrays need their exact count and convert each element")
    func arrays() throws {
        let type = ValueType(.int16, arrayCount: 2)
        #expect(try Value.array([.uint(1), .float64(2)]).converted(to: type) == .array([.int(1), .int(2)]))
        #expect(throws: ConversionFailure.wrongCount(expected: type, seen: 1)) {
            try Value.array([.int(1)]).converted(to: type)
        }
    }

    @Test("bytes come from hex, timestamps from text and milliseconds")
    func bytesAndTimes() throws {
        #expect(try Value.string("00ffA1").converted(to: ValueType(.bytes)) == .bytes([0, 255, 161]))
        #expect(throws: ConversionFailure.wrongKind(expected: ValueType(.bytes))) {
            try Value.string("0").converted(to: ValueType(.bytes))
        }
        #expect(
            try Value.string("1970-01-01T00:00:01Z").converted(to: ValueType(.timestamp))
                == .timestamp(Timestamp(milliseconds: 1000)))
        #expect(try Value.int(5).converted(to: ValueType(.timestamp)) == .timestamp(Timestamp(milliseconds: 5)))
    }
}

@Suite struct QualityTests {
    @Test("severity is in the upper two bits")
    func severity() {
        #expect(Quality.good.isGood && !Quality.good.isBad && !Quality.good.isUncertain)
        #expect(Quality.uncertainLastUsable.isUncertain && Quality.badTimeout.isBad)
    }

    @Test("names the native code of its domain, else the standard code")
    func names() {
        let modbus = StatusDomain(
            number: 1, names: [2: StatusName(code: "modbus.illegal_data_address", message: "illegal data address")])
        let quality = Quality(.badAddressUnknown, domain: 1, native: 2)
        #expect(quality.name(in: modbus).code == "modbus.illegal_data_address")
        #expect(quality.name().code == "tag.address_unknown")
        #expect(quality.domain == 1 && quality.native == 2 && quality.standard == .badAddressUnknown)
        #expect(Quality.badTimeout.name().code == "device.timeout")
        #expect(Quality.badNoCommunication.name().code == "device.unreachable")
        #expect(Quality(rawValue: 0x80FF_0000).name().code == "bad.0x80ff")
    }
}
