/// First in, first out, without moving what is queued.
struct RingQueue<Element> {
    private var slots: ContiguousArray<Element?> = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    var first: Element? { count == 0 ? nil : slots[head] }

    /// The oldest is at 0.
    subscript(index: Int) -> Element? { index < count ? slots[(head &+ index) & (slots.count &- 1)] : nil }

    mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        slots[(head &+ count) & (slots.count &- 1)] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[head]
        slots[head] = nil
        head = (head &+ 1) & (slots.count &- 1)
        count -= 1
        if count == 0, slots.count > 64 { self = RingQueue() }
        return element
    }

    /// All elements, oldest first.
    var elements: [Element] {
        (0..<count).compactMap { slots[(head + $0) & (slots.count - 1)] }
    }

    mutating func removeAll() { self = RingQueue() }

    private mutating func grow() {
        var larger = ContiguousArray<Element?>(repeating: nil, count: max(8, slots.count * 2))
        for index in 0..<count { larger[index] = slots[(head + index) & (slots.count - 1)] }
        slots = larger
        head = 0
    }
}
