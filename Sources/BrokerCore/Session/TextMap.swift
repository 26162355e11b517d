/// A text that is equal to another only if its bytes are. Swift's strings are equal when they look the same; client
/// ids and filters are not. [MQTT-4.7.3-4]
struct ExactText: Hashable, Sendable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (a: ExactText, b: ExactText) -> Bool { areSame(a.text, b.text) }

    static func areSame(_ a: String, _ b: String) -> Bool {
        a.utf8.count == b.utf8.count && a.utf8.elementsEqual(b.utf8)
    }

    func hash(into hasher: inout Hasher) {
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if isDone == nil { for byte in text.utf8 { hasher.combine(byte) } }
        hasher.combine(text.utf8.count)
    }
}

/// What belongs to client ids or filters, which are told apart by their bytes.
struct TextMap<Value>: ExpressibleByDictionaryLiteral {
    private var map: [ExactText: Value] = [:]

    init(dictionaryLiteral elements: (String, Value)...) {
        for (text, value) in elements { map[ExactText(text)] = value }
    }

    var count: Int { map.count }
    var isEmpty: Bool { map.isEmpty }
    var keys: [String] { map.keys.map(\.text) }
    var values: Dictionary<ExactText, Value>.Values { map.values }

    subscript(text: String) -> Value? {
        get { map[ExactText(text)] }
        set { map[ExactText(text)] = newValue }
    }

    mutating func removeValue(forKey text: String) -> Value? { map.removeValue(forKey: ExactText(text)) }
}
