import Testing

@testable import Journal

@Suite("CRC-32C")
struct CRC32CTests {
    @Test("gives the check values of RFC 3720, B.4")
    func knownValues() {
        func sum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.checksum($0) } }
        #expect(sum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(sum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(sum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(sum(Array(0..<32)) == 0x46DD_794E)
    }

    @Test("is the same however the bytes are cut")
    func pieces() {
        let bytes = (0..<100).map { UInt8($0 * 7 & 0xFF) }
        let whole = bytes.withUnsafeBytes { CRC32C.checksum($0) }
        for cut in 0...100 {
            var sum = CRC32C()
            bytes[..<cut].withUnsafeBytes { sum.add($0) }
            bytes[cut...].withUnsafeBytes { sum.add($0) }
            #expect(sum.value == whole)
        }
    }
}
