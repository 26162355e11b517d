import Foundation
import Model
import ModbusWire
import Testing
import Wire

@Suite("Golden traces and fuzzing")
struct TraceTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Traces/modbus")

    static func traces() throws -> [(name: String, trace: Trace)] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".trace") }.sorted().map
        {
            ($0, try Trace(parsing: String(contentsOf: folder.appending(path: $0), encoding: .utf8)))
        }
    }

    @Test("every conversation of the traces is understood as it is annotated, and encodes to the same bytes")
    func conversations() throws {
        var count = 0
        for (name, trace) in try Self.traces() {
            var question: (frame: ModbusFrame, request: ModbusRequest)?
            var outcome = ""
            for (line, entry) in trace.entries {
                switch entry {
                case .toServer(let bytes):
                    let asked = try bytes.withUnsafeBytes { bytes in
                        let frame = try #require(try ModbusFrame.first(in: bytes))
                        let pdu = UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])
                        return (frame: frame, request: try ModbusRequest(decoding: pdu))
                    }
                    var writer = ByteWriter()
                    asked.request.encodeFrame(transaction: asked.frame.transaction, unit: asked.frame.unit, to: &writer)
                    #expect(writer.bytes == bytes, "\(name):\(line)")
                    question = asked
                case .toClient(let bytes):
                    outcome = try answer(bytes, to: try #require(question))
                case .expectation(let text):
                    #expect(outcome == text, "\(name):\(line)")
                    count += 1
                case .note: break
                }
            }
        }
        #expect(count >= 16)
    }

    private func answer(_ bytes: [UInt8], to question: (frame: ModbusFrame, request: ModbusRequest)) throws -> String {
        try bytes.withUnsafeBytes { bytes in
            let frame = try #require(try ModbusFrame.first(in: bytes))
            #expect(frame.transaction == question.frame.transaction && frame.unit == question.frame.unit)
            let pdu = UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])
            do {
                switch try question.request.reply(in: pdu) {
                case .data(let range):
                    var writer = ByteWriter()
                    question.request.encodeReply(data: Array(pdu[range]), to: &writer)
                    #expect(writer.bytes == Array(pdu))
                    return "data " + Hex.text(Array(pdu[range]))
                case .done: return "done"
                case .exception(let exception): return "exception \(exception.rawValue)"
                }
            } catch is ModbusFault {
                return "fault"
            }
        }
    }

    @Test("seeded mutations of the traces, and plain noise, never trap a decoder")
    func smoke() throws {
        var seeds: [[UInt8]] = [Array("1!400001.16H".utf8), Array("1!400010#LB".utf8), Array("1!000001".utf8)]
        for (_, trace) in try Self.traces() {
            for (_, entry) in trace.entries {
                if case .toServer(let bytes) = entry { seeds.append(bytes) }
                if case .toClient(let bytes) = entry { seeds.append(bytes) }
            }
        }
        var random = SplitMix64(seed: 20_260_101)
        for round in 0..<4000 {
            var bytes = seeds[Int(random.next() % UInt64(seeds.count))]
            if round % 5 == 0 { bytes += seeds[Int(random.next() % UInt64(seeds.count))] }
            for _ in 0..<Int(random.next() % 6) where !bytes.isEmpty {
                let index = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
                default: bytes.removeSubrange(index...)
                }
            }
            bytes.withUnsafeBytes { ModbusCodecProbe.run($0) }
        }
    }
}
