import Bus
import Model
import Testing

@Suite struct MessageInboxTests {
    private func messages(_ range: Range<Int>) throws -> [Message] {
        let origin = Origin(.system, clientID: "test")
        let topic = try Topic("t")
        return range.map {
            Message(
                topic: topic, payload: .bytes(Bytes("\($0)")), receivedAt: Timestamp(nanoseconds: Int64($0)),
                origin: origin)
        }
    }

    @Test("wakes once for all that comes before the consumer takes it")
    func wakesOnce() throws {
        let wakes = Counter()
        let inbox = MessageInbox(messagesMax: 100) { wakes.add() }
        inbox.offer(try messages(0..<3))
        inbox.offer(try messages(3..<5))
        #expect(wakes.count == 1)
        #expect(inbox.takeAll().map(\.payload.bytes.string) == ["0", "1", "2", "3", "4"])
        #expect(inbox.takeAll().isEmpty)
        inbox.offer(try messages(5..<6))
        #expect(wakes.count == 2)
    }

    @Test("refuses the newest and counts them when it is full")
    func bounded() throws {
        let inbox = MessageInbox(messagesMax: 3) {}
        inbox.offer(try messages(0..<2))
        inbox.offer(try messages(2..<6))
        #expect(inbox.dropped.count == 3)
        #expect(inbox.takeAll().map(\.payload.bytes.string) == ["0", "1", "2"])
        #expect(inbox.count == 0)
    }
}

@Suite struct TypedPayloadTests {
    @Test("is encoded once however many receivers ask")
    func encodesOnce() {
        let calls = Counter()
        struct Encoder: PayloadEncoder {
            let calls: Counter
            var contentType: String { "text/plain" }
            func encode(_ batch: SampleBatch) -> Bytes {
                calls.add()
                return Bytes("\(batch.count) rows")
            }
        }
        let descriptor = BatchDescriptor(
            device: "d", deviceUID: "d", group: "g", tags: [Tag(name: "x", type: ValueType(.bool))])
        let batch = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0)).finish()
        let payload = Payload.samples(TypedPayload(batch, encoder: Encoder(calls: calls)))
        #expect(calls.count == 0)
        #expect(payload.bytes.string == "1 rows" && payload.bytes.string == "1 rows")
        #expect(calls.count == 1)
        #expect(payload.samples === batch)
    }
}
