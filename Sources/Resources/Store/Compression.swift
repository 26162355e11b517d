import CZlib

/// zlib streams behind their plain length (four bytes, big endian).
enum Compression {
    static let bytesMax = 64 << 20

    /// Nil if it does not get smaller.
    static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count <= bytesMax else { return nil }
        var length = compressBound(uLong(bytes.count))
        var result = [UInt8](repeating: 0, count: 4 + Int(length))
        let code = result.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBufferPointer { source -> Int32 in
                guard let base = target.baseAddress else { return Z_BUF_ERROR }
                return compress2(base + 4, &length, source.baseAddress, uLong(source.count), 6)
            }
        }
        guard code == Z_OK, 4 + Int(length) < bytes.count else { return nil }
        for index in 0..<4 { result[index] = UInt8(truncatingIfNeeded: bytes.count >> (24 - 8 * index)) }
        result.removeLast(result.count - 4 - Int(length))
        return result
    }

    /// Nil if the bytes are not what `compress` gave.
    static func expand(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count > 4 else { return nil }
        let count = bytes[0..<4].reduce(0) { $0 << 8 | Int($1) }
        guard count <= bytesMax else { return nil }
        var length = uLong(count)
        var result = [UInt8](repeating: 0, count: max(count, 1))
        let code = result.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBufferPointer { source -> Int32 in
                guard let base = source.baseAddress else { return Z_BUF_ERROR }
                return uncompress(target.baseAddress, &length, base + 4, uLong(source.count - 4))
            }
        }
        return code == Z_OK && Int(length) == count ? Array(result.prefix(count)) : nil
    }
}
