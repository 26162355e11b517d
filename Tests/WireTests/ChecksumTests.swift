import Model
import Testing
import Wire

@Suite("Checksums")
struct ChecksumTests {
    @Test("CRC-16/MODBUS of the catalogue's check string")
    func modbus() {
        #expect(CRC16.modbus(Array("123456789".utf8)) == 0x4B37)
        #expect(CRC16.modbus([]) == 0xFFFF)
        // A whole frame, its checksum included, leaves 0.
        let frame: [UInt8] = [0x02, 0x07]
        let crc = CRC16.modbus(frame)
        #expect(crc == 0x1241)
        #expect(CRC16.modbus(frame + [UInt8(crc & 0xFF), UInt8(crc >> 8)]) == 0)
    }

    @Test("CRC-32C of the vectors of RFC 3720, B.4")
    func castagnoli() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
        #expect(CRC32C.checksum([]) == 0)
    }

    @Test("CRC-32C of pieces equals that of the whole, wherever it is cut")
    func pieces() {
        var random = SplitMix64(seed: 7)
        let bytes = (0..<100).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let whole = CRC32C.checksum(bytes)
        for cut in 0...bytes.count {
            let first = CRC32C.checksum(Array(bytes[..<cut]))
            #expect(CRC32C.checksum(Array(bytes[cut...]), continuing: first) == whole)
        }
    }
}
