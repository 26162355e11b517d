import Model
import Wire

/// The bytes of a segment file.
///
/// A file is named by the position of its first record, 16 hexadecimal digits and `.seg`. It begins with 24 bytes:
/// `TNDJRNL1`, that position (Int64), the CRC-32C of the 16 bytes before, four zero bytes. Then come records: a word
/// with the payload's length in bits 0-27 and the kind in bits 28-31; the CRC-32C of that word, the record's
/// position (Int64) and the payload; the payload. All little-endian. The position in the checksum keeps bytes of
/// another time or place from being taken for a record.
///
/// The first record of a segment is the table of cursors, so that the newest segment alone tells where every reader
/// stands; later ones replace it.
enum JournalFormat {
    static let headerBytes = 24
    static let frameBytes = 8
    static let payloadBytesMax = 1 << 28 - 1
    private static let magic: [UInt8] = Array("TNDJRNL1".utf8)

    enum Kind: UInt32 {
        case data = 0
        case cursors = 1
    }

    static func fileName(base: Int64) -> String {
        let digits = String(UInt64(bitPattern: base), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + ".seg"
    }

    static func base(fileName: String) -> Int64? {
        guard fileName.utf8.count == 20, fileName.hasSuffix(".seg"), let base = UInt64(fileName.dropLast(4), radix: 16),
            base <= UInt64(Int64.max), self.fileName(base: Int64(base)) == fileName
        else { return nil }
        return Int64(base)
    }

    static func header(base: Int64) -> [UInt8] {
        var bytes = magic
        withUnsafeBytes(of: base.littleEndian) { bytes.append(contentsOf: $0) }
        let sum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
        withUnsafeBytes(of: sum.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: [0, 0, 0, 0])
        return bytes
    }

    static func isHeader(_ bytes: UnsafeRawBufferPointer, base: Int64) -> Bool {
        bytes.count >= headerBytes && bytes.prefix(headerBytes).elementsEqual(header(base: base))
    }

    static func checksum(word: UInt32, position: Int64, payload: UnsafeRawBufferPointer) -> UInt32 {
        let first = withUnsafeBytes(of: word.littleEndian) { CRC32C.checksum($0) }
        let second = withUnsafeBytes(of: position.littleEndian) { CRC32C.checksum($0, continuing: first) }
        return CRC32C.checksum(payload, continuing: second)
    }

    /// Writes a record of `frameBytes + payload.count` bytes.
    static func frame(
        _ payload: UnsafeRawBufferPointer, kind: Kind, position: Int64, into target: UnsafeMutableRawPointer
    ) {
        let word = UInt32(payload.count) | kind.rawValue << 28
        target.storeBytes(of: word.littleEndian, as: UInt32.self)
        target.storeBytes(
            of: checksum(word: word, position: position, payload: payload).littleEndian, toByteOffset: 4,
            as: UInt32.self)
        if let source = payload.baseAddress { (target + frameBytes).copyMemory(from: source, byteCount: payload.count) }
    }

    /// What stands at the beginning of `bytes`.
    enum Scan: Equatable {
        case record(kind: UInt32, payload: Range<Int>)
        /// The record needs this many bytes, more than there are.
        case needs(Int)
        /// Not a record of this position: torn, damaged, or never written.
        case invalid
    }

    static func scan(_ bytes: UnsafeRawBufferPointer, position: Int64) -> Scan {
        guard bytes.count >= frameBytes else { return .needs(frameBytes) }
        let word = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        let sum = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        let length = Int(word & 0x0FFF_FFFF)
        guard Kind(rawValue: word >> 28) != nil else { return .invalid }
        guard bytes.count >= frameBytes + length else { return .needs(frameBytes + length) }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[frameBytes..<frameBytes + length])
        guard checksum(word: word, position: position, payload: payload) == sum else { return .invalid }
        return .record(kind: word >> 28, payload: frameBytes..<frameBytes + length)
    }

    /// Cursor table: for each reader a byte with the length of its name, the name, its position (Int64).
    static func encode(_ cursors: [String: Int64]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, position) in cursors.sorted(by: { $0.key < $1.key }) {
            bytes.append(UInt8(name.utf8.count))
            bytes.append(contentsOf: name.utf8)
            withUnsafeBytes(of: position.littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    static func cursors(_ bytes: UnsafeRawBufferPointer) -> [String: Int64]? {
        var cursors: [String: Int64] = [:]
        var offset = 0
        while offset < bytes.count {
            let length = Int(bytes[offset])
            guard offset + 1 + length + 8 <= bytes.count else { return nil }
            let name = String(decoding: bytes[offset + 1..<offset + 1 + length], as: UTF8.self)
            cursors[name] = Int64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 1 + length, as: Int64.self))
            offset += 1 + length + 8
        }
        return cursors
    }
}

/// A segment file: positions from `base` up to `end` are in it.
struct JournalSegment: Sendable {
    var base: Int64
    var end: Int64
    var path: String

    var fileBytes: Int { JournalFormat.headerBytes + Int(end - base) }
    func fileOffset(of position: Int64) -> Int { JournalFormat.headerBytes + Int(position - base) }
}
