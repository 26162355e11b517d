/// Whether bytes are a UTF-8 Encoded String: well formed, no surrogates, no U+0000. MQTT 5.0, 1.5.4
/// [MQTT-1.5.4-1] [MQTT-1.5.4-2]
package enum UTF8Check {
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if index + 8 <= count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                // No byte with the high bit, and none that is zero.
                let hasZero = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
                if word & 0x8080_8080_8080_8080 == 0, hasZero == 0 {
                    index += 8
                    continue
                }
            }
            let width = sequenceCount(bytes, index)
            if width == 0 { return false }
            index += width
        }
        return true
    }

    /// Bytes of the character at `index`; 0 if it is not one that is allowed.
    private static func sequenceCount(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Int {
        let first = bytes[index]
        if first < 0x80 { return first == 0 ? 0 : 1 }
        let (width, low, high): (Int, UInt8, UInt8)
        switch first {
        case 0xC2...0xDF: (width, low, high) = (2, 0x80, 0xBF)
        case 0xE0: (width, low, high) = (3, 0xA0, 0xBF)
        case 0xED: (width, low, high) = (3, 0x80, 0x9F)
        case 0xE1...0xEF: (width, low, high) = (3, 0x80, 0xBF)
        case 0xF0: (width, low, high) = (4, 0x90, 0xBF)
        case 0xF1...0xF3: (width, low, high) = (4, 0x80, 0xBF)
        case 0xF4: (width, low, high) = (4, 0x80, 0x8F)
        default: return 0
        }
        guard index + width <= bytes.count, bytes[index + 1] >= low, bytes[index + 1] <= high else { return 0 }
        for offset in 2..<max(width, 2) where bytes[index + offset] & 0xC0 != 0x80 { return 0 }
        return width
    }
}
