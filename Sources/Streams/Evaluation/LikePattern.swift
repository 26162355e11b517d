/// SQL's LIKE: `%` stands for any text, `_` for one character; both can be escaped.
enum LikePattern {
    /// `escape` 0: none. Time grows at most with the product of the lengths.
    static func matches(_ text: UnsafeRawBufferPointer, _ pattern: UnsafeRawBufferPointer, escape: UInt8) -> Bool {
        var t = 0
        var p = 0
        var retryPattern = -1
        var retryText = 0
        while t < text.count {
            if p < pattern.count {
                let byte = pattern[p]
                if escape != 0, byte == escape, p + 1 < pattern.count {
                    if pattern[p + 1] == text[t] {
                        p += 2
                        t += 1
                        continue
                    }
                } else if byte == UInt8(ascii: "%") {
                    p += 1
                    retryPattern = p
                    retryText = t
                    continue
                } else if byte == UInt8(ascii: "_") {
                    p += 1
                    t = next(text, t)
                    continue
                } else if byte == text[t] {
                    p += 1
                    t += 1
                    continue
                }
            }
            guard retryPattern >= 0 else { return false }
            retryText = next(text, retryText)
            t = retryText
            p = retryPattern
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "%") { p += 1 }
        return p == pattern.count
    }

    /// The start of the next character.
    private static func next(_ text: UnsafeRawBufferPointer, _ at: Int) -> Int {
        var at = at + 1
        while at < text.count, text[at] & 0xC0 == 0x80 { at += 1 }
        return at
    }
}
