/// The book of what arrived: every publisher numbers its messages, and every subscriber must see 0, 1, 2, ... of each
/// publisher of its group.
struct DeliveryAccount {
    struct Totals: Codable, Equatable {
        /// Arrivals, repeated ones included.
        var arrived = 0
        /// Numbers that were passed over or had not come when the run ended.
        var missing = 0
        /// Numbers that came again, or after a later one.
        var repeated = 0
        /// Messages of a publisher whose topic the subscriber has not subscribed to.
        var stray = 0

        /// What is wrong with a run whose subscribers got this; nil if nothing is.
        func fault(qos: Int) -> String? {
            if missing > 0 { return "\(missing) messages missing" }
            if stray > 0 { return "\(stray) messages at the wrong subscriber" }
            if repeated > 0, qos != 1 { return "\(repeated) messages twice or out of order" }
            return nil
        }
    }

    let shape: LoadShape
    /// Of each subscriber and each publisher of its group: the number that must come next.
    private var due: [UInt32]
    private(set) var totals = Totals()

    init(shape: LoadShape) {
        self.shape = shape
        due = Array(repeating: 0, count: shape.subscribersTotal * shape.publishers)
    }

    /// Enters an arrival; whether it is the publisher's for this subscriber.
    @inline(__always)
    mutating func arrived(subscriber: Int, publisher: Int, sequence: UInt32) -> Bool {
        let first = subscriber / shape.subscribers * shape.publishers
        let offset = publisher - first
        guard offset >= 0, offset < shape.publishers else {
            totals.stray += 1
            return false
        }
        totals.arrived += 1
        let slot = subscriber * shape.publishers + offset
        let expected = due[slot]
        if sequence == expected {
            due[slot] = expected &+ 1
        } else if sequence > expected {
            totals.missing += Int(sequence - expected)
            due[slot] = sequence &+ 1
        } else {
            totals.repeated += 1
        }
        return true
    }

    /// Ends the book: what was sent of each publisher and has not come is missing.
    mutating func close(sent: [UInt32]) -> Totals {
        for subscriber in 0..<shape.subscribersTotal {
            let first = subscriber / shape.subscribers * shape.publishers
            for offset in 0..<shape.publishers {
                let slot = subscriber * shape.publishers + offset
                let count = sent[first + offset]
                if count > due[slot] { totals.missing += Int(count - due[slot]) }
                due[slot] = max(due[slot], count)
            }
        }
        return totals
    }
}
