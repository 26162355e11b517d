import Model
import ModbusWire
import Testing
import Wire

/// Decodes one tag out of register bytes that begin at register 1.
func decode(_ address: String, _ type: String, _ hex: String, orders: ModbusOrders = .standard) throws -> Value? {
    let type = try #require(ValueType(type))
    let field = try ModbusField(address: ModbusAddress(address), type: type, orders: orders)
    let descriptor = BatchDescriptor(device: "d", deviceUID: "u", group: "g", tags: [Model.Tag(name: "t", type: type)])
    let builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
    let bytes = try #require(Hex.bytes(hex))
    bytes.withUnsafeBytes { field.decode($0, dataStart: 0, tag: 0, into: builder) }
    let batch = builder.finish()
    return batch.quality(0).isGood ? batch.value(0) : nil
}

@Suite("Registers and values")
struct FieldTests {
    /// Address suffix, type, register bytes, value: most significant byte A or 1 of the anchors' tables.
    static let table: [(String, String, String, Value)] = [
        ("", "int16", "fffe", .int(-2)), ("#L", "uint16", "1234", .uint(0x1234)),
        ("#B", "uint16", "3412", .uint(0x1234)),
        ("#B", "int16", "feff", .int(-2)),
        ("", "uint32", "12345678", .uint(0x1234_5678)), ("#LL", "uint32", "12345678", .uint(0x1234_5678)),
        ("#LB", "uint32", "34127856", .uint(0x1234_5678)), ("#BL", "uint32", "56781234", .uint(0x1234_5678)),
        ("#BB", "uint32", "78563412", .uint(0x1234_5678)), ("#BL", "int32", "fffeffff", .int(-2)),
        ("", "float32", "41200000", .float32(10)), ("#LB", "float32", "20410000", .float32(10)),
        ("#BL", "float32", "00004120", .float32(10)), ("#BB", "float32", "00002041", .float32(10)),
        ("#L", "uint64", "0102030405060708", .uint(0x0102_0304_0506_0708)),
        ("#LL", "uint64", "0102030405060708", .uint(0x0102_0304_0506_0708)),
        ("#LB", "uint64", "0201040306050807", .uint(0x0102_0304_0506_0708)),
        ("#BL", "uint64", "0708050603040102", .uint(0x0102_0304_0506_0708)),
        ("#B", "uint64", "0807060504030201", .uint(0x0102_0304_0506_0708)),
        ("#BB", "uint64", "0807060504030201", .uint(0x0102_0304_0506_0708)),
        ("", "int64", "fffffffffffffffe", .int(-2)), ("", "float64", "4024000000000000", .float64(10)),
        ("#BL", "float64", "0000000000004024", .float64(10)),
        ("", "uint8", "12f4", .uint(0xF4)), ("#B", "uint8", "12f4", .uint(0x12)), ("", "int8", "00fe", .int(-2)),
        (".0", "bool", "0001", .bool(true)), (".15", "bool", "8000", .bool(true)), (".8", "bool", "00ff", .bool(false)),
        (".8#B", "bool", "0001", .bool(true)), ("", "bool", "0001", .bool(true)),
        (".6", "string", "48656c6c6f00", .string("Hello")), (".5H", "string", "48656c6c6f21", .string("Hello")),
        (".6L", "string", "65486c6c006f", .string("Hello")),
        (".5D", "string", "00480065006c006c006f", .string("Hello")),
        (".5E", "string", "480065006c006c006f00", .string("Hello")), (".4", "string", "c3a90000", .string("é")),
        (".3", "bytes", "01020304", .bytes([1, 2, 3])), (".4#B", "bytes", "02010403", .bytes([1, 2, 3, 4])),
        ("", "int16[3]", "0001fffe0003", .array([.int(1), .int(-2), .int(3)])),
        ("#BL", "float32[2]", "0000412000004120", .array([.float32(10), .float32(10)])),
        ("", "uint8[3]", "01020304", .array([.uint(1), .uint(2), .uint(3)])),
        ("#B", "uint8[3]", "02010403", .array([.uint(1), .uint(2), .uint(3)])),
        (".14", "bool[4]", "80000001", .array([.bool(false), .bool(true), .bool(true), .bool(false)])),
    ]

    @Test("every type in every order is read", arguments: table)
    func reading(suffix: String, type: String, hex: String, value: Value) throws {
        #expect(try decode("1!400001" + suffix, type, hex) == value)
    }

    @Test("what is written lies in the registers as it is read", arguments: table)
    func writing(suffix: String, type: String, hex: String, value: Value) throws {
        let field = try ModbusField(address: ModbusAddress("1!400001" + suffix), type: try #require(ValueType(type)))
        var registers = [UInt8](repeating: 0, count: field.span * 2)
        do {
            switch try field.writeRequest(value) {
            case .writeRegister(let address, let word):
                #expect(address == 0)
                registers = [UInt8(word >> 8), UInt8(word & 0xFF)]
            case .writeRegisters(let address, let data):
                #expect(address == 0)
                registers = data
            case .maskRegister(_, let and, let or):
                let word = and & 0 | or & ~and
                registers = [UInt8(word >> 8), UInt8(word & 0xFF)]
                // What the field does not cover stays as it is.
                #expect(and != 0 || field.type == ValueType(.bool, arrayCount: 16))
            case let other: Issue.record("unexpected \(other)")
            }
            #expect(try decode("1!400001" + suffix, type, Hex.text(registers)) == value)
        } catch let error as Problem {
            // Bits that lie in two registers are the one thing that cannot be written at once.
            #expect(error.code == "modbus.address.bits" && field.span == 2)
        }
    }

    @Test("a device's order holds for addresses that say none, and not for those that do")
    func deviceOrders() throws {
        let orders = ModbusOrders(bits16: .B, bits32: .BL, bits64: .BB)
        #expect(try decode("1!400001", "uint16", "3412", orders: orders) == .uint(0x1234))
        #expect(try decode("1!400001#L", "uint16", "3412", orders: orders) == .uint(0x3412))
        #expect(try decode("1!400001", "float32", "00004120", orders: orders) == .float32(10))
        #expect(try decode("1!400001", "uint64", "0807060504030201", orders: orders) == .uint(0x0102_0304_0506_0708))
    }

    @Test("coils and discrete inputs count bits from the least significant")
    func bits() throws {
        #expect(try decode("1!000001", "bool", "01") == .bool(true))
        #expect(try decode("1!000010", "bool", "0002") == .bool(true))
        #expect(try decode("1!100009", "bool", "fffe") == .bool(false))
        #expect(
            try decode("1!000007", "bool[4]", "4001") == .array([.bool(true), .bool(false), .bool(true), .bool(false)]))
    }

    @Test("an answer that is too short, or a text that is no UTF-8, is bad and never a wrong value")
    func bad() throws {
        #expect(try decode("1!400001", "float32", "4120") == nil)
        #expect(try decode("1!400002", "uint16", "4120") == nil)
        #expect(try decode("1!400001.4", "string", "fffe0000") == nil)
        #expect(try decode("1!000009", "bool", "ff") == nil)
    }

    @Test("a write that loses something, or goes where nothing can be written, is refused")
    func refused() throws {
        func attempt(_ address: String, _ type: String, _ value: Value) throws(Problem) -> ModbusRequest {
            try ModbusField(address: ModbusAddress(address), type: ValueType(type) ?? ValueType(.bool)).writeRequest(
                value)
        }
        #expect(
            throws: Problem(
                "write.range", "70000 does not fit uint16 (0 to 65535)", ["value": "70000", "type": "uint16"])
        ) {
            try attempt("1!400001", "uint16", .int(70_000))
        }
        #expect { try attempt("1!300001", "uint16", .int(1)) } throws: {
            ($0 as? Problem)?.code == "modbus.address.read_only"
        }
        #expect { try attempt("1!100001", "bool", .bool(true)) } throws: {
            ($0 as? Problem)?.code == "modbus.address.read_only"
        }
        #expect { try attempt("1!400001", "uint16", .string("x")) } throws: { ($0 as? Problem)?.code == "write.type" }
        #expect { try attempt("1!400001.3", "string", .string("Hello")) } throws: {
            ($0 as? Problem)?.code == "write.range"
        }
        #expect { try attempt("1!400001.3", "bytes", .bytes([1])) } throws: { ($0 as? Problem)?.code == "write.count" }
        #expect { try attempt("1!400001", "int16[2]", .array([.int(1)])) } throws: {
            ($0 as? Problem)?.code == "write.count"
        }
        #expect(try attempt("1!000003", "bool", .int(1)) == .writeCoil(address: 2, isOn: true))
        #expect(
            try attempt("1!000003", "bool[9]", .array(Array(repeating: .bool(true), count: 9)))
                == .writeCoils(address: 2, count: 9, packed: [0xFF, 0x01]))
        #expect(try attempt("1!400001.3", "bool", .bool(true)) == .maskRegister(address: 0, and: 0xFFF7, or: 0x0008))
        #expect(try attempt("1!400001", "uint8", .uint(0xAB)) == .maskRegister(address: 0, and: 0xFF00, or: 0x00AB))
    }
}
