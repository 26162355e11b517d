import Model
import ModbusWire
import Testing

@Suite("Modbus addresses")
struct AddressTests {
    @Test(
        "texts of every form are read and printed canonically",
        arguments: [
            ("1!40001", "1!400001"), ("1!400001", "1!400001"), ("1!00001", "1!000001"), ("2!165536", "2!165536"),
            ("255!365536", "255!365536"), ("0!41", "0!400001"), ("1!400001.3", "1!400001.3"),
            ("1!400010#LB", "1!400010#LB"), ("1!400010#bb", "1!400010#BB"), ("1!400020.16", "1!400020.16"),
            ("1!400020.16L", "1!400020.16L"), ("1!400020.16d", "1!400020.16D"), ("1!400003.5#B", "1!400003.5#B"),
            ("1!400003#B.5", "1!400003.5#B"),
        ])
    func forms(text: String, canonical: String) throws {
        let address = try ModbusAddress(text)
        #expect(address.description == canonical)
        #expect(try ModbusAddress(canonical) == address)
    }

    @Test("the same register has the same offset in five and in six digits, and base 0 moves it by one")
    func offsets() throws {
        #expect(try ModbusAddress("1!40001").offset == 0)
        #expect(try ModbusAddress("1!40010") == ModbusAddress("1!400010"))
        #expect(try ModbusAddress("1!40001", base: 0).offset == 1)
        #expect(try ModbusAddress("1!40000", base: 0).offset == 0)
        #expect(try ModbusAddress("1!465535", base: 0).offset == 65_535)
        #expect(try ModbusAddress("1!40001", base: 0).text(base: 0) == "1!400001")
    }

    @Test(
        "a wrong address names the column and what is allowed",
        arguments: [
            ("1!50001", "address \"1!50001\", column 3: area must be 0, 1, 3 or 4, not \"50001\""),
            ("1!20001", "address \"1!20001\", column 3: area must be 0, 1, 3 or 4, not \"20001\""),
            ("", "address \"\", column 1: expected the unit, a number from 0 to 255, as in \"1!40001\""),
            (
                "256!40001",
                "address \"256!40001\", column 1: expected the unit, a number from 0 to 255, as in \"1!40001\", not \"256!40001\""
            ),
            (
                "1.40001",
                "address \"1.40001\", column 2: expected \"!\" after the unit, as in \"1!40001\", not \".40001\""
            ),
            (
                "1!40000",
                "address \"1!40000\", column 4: expected an offset from 1 to 65536 after the area, not \"0000\""
            ),
            (
                "1!465537",
                "address \"1!465537\", column 4: expected an offset from 1 to 65536 after the area, not \"65537\""
            ),
            ("1!4", "address \"1!4\", column 4: expected an offset from 1 to 65536 after the area"),
            ("1!40001#LX", "address \"1!40001#LX\", column 9: the order must be L, B, LL, LB, BL or BB, not \"LX\""),
            ("1!40001.", "address \"1!40001.\", column 9: expected a bit, a length or a count of bytes after \".\""),
            ("1!40001.4X", "address \"1!40001.4X\", column 10: a string's form must be H, L, D or E, not \"X\""),
            ("1!40001 ", "address \"1!40001 \", column 8: expected \".\", \"#\" or the end of the address, not \" \""),
            ("1!40001.1.2", "address \"1!40001.1.2\", column 10: only one \".\" is allowed, not \".2\""),
        ])
    func errors(text: String, message: String) {
        #expect {
            try ModbusAddress(text)
        } throws: { error in
            (error as? Problem)?.message == message
        }
    }

    @Test("an endless address is refused unread")
    func endless() {
        #expect(throws: Problem.self) { try ModbusAddress("1!4" + String(repeating: "0", count: 1_000_000)) }
        #expect(throws: Problem.self) { try ModbusAddress("1!40001" + String(repeating: "#L", count: 40)) }
    }

    @Test(
        "a type that cannot lie at an address is refused with the reason",
        arguments: [
            ("1!00001", "int16", "coils and discrete inputs are bool, not int16"),
            ("1!00001.2", "bool", "a coil or discrete input has neither \".\" nor \"#\""),
            ("1!40001.16", "bool", "a register's bit must be 0 to 15, not 16"),
            ("1!40001#LL", "int16", "the order of int16 must be one of #L, #B, not #LL"),
            ("1!40001#B", "float32", "the order of float32 must be one of #LL, #LB, #BL, #BB, not #B"),
            ("1!40001", "string", "a string needs its length in bytes, 1 to 250, as in \"1!40001.20H\""),
            ("1!40001", "bytes", "bytes need their count, 1 to 250, as in \"1!40001.8\""),
            ("1!40001.4", "float32", "\".\" is for bool, string and bytes, not for float32"),
            ("1!40001.4H", "bool", "only a string has a form H, L, D or E, not bool"),
            ("1!40001", "timestamp", "Modbus knows no timestamp; read a number and convert it in a rule"),
            ("1!40001", "float32[63]", "float32[63] takes 126 registers; one request reads at most 125"),
            ("1!465536", "float32", "float32 reaches beyond the last address, 65536"),
            ("1!40001.126D", "string", "string takes 126 registers; one request reads at most 125"),
        ])
    func types(text: String, type: String, reason: String) throws {
        let address = try ModbusAddress(text)
        let type = try #require(ValueType(type))
        #expect {
            try ModbusField(address: address, type: type)
        } throws: { error in
            (error as? Problem)?.message == "address \"\(address)\": \(reason)"
        }
    }
}
