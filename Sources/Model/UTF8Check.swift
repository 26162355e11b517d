/// Whether bytes are UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
package enum UTF8Check {
    /// Without `allowsNull` there must be no U+0000 either, as in MQTT's strings. MQTT 5.0, 1.5.4
    /// [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    package static func isValid(_ bytes: UnsafeRawBufferPointer, allowsNull: Bool = true) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if index + 8 <= count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
                if word & 0x8080_8080_8080_8080 == 0, allowsNull || zeros == 0 {
                    index += 8
                    continue
                }
            }
            let width = sequenceCount(bytes, index, allowsNull)
            if width == 0 { return false }
            index += width
        }
        return true
    }

    /// Bytes of the character at `index`; 0 if it is not one that is allowed.
    private static func sequenceCount(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ allowsNull: Bool) -> Int {
        let first = bytes[index]
        if first < 0x80 { return first == 0 && !allowsNull ? 0 : 1 }
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
