import Bus
import Foundation
import Model
import SessionProbe
import Testing

@testable import BrokerCore

/// Valid streams with a few bytes changed, cut or repeated: nearer to trouble than noise.
struct Mutator {
    var random: SplitMix64

    mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<(1 + Int(random.next() % 4)) {
            guard !bytes.isEmpty else { break }
            let index = Int(random.next() % UInt64(bytes.count))
            switch random.next() % 6 {
            case 0: bytes[index] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[index] ^= 1 << UInt8(random.next() % 8)
            case 2: bytes.remove(at: index)
            case 3: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
            case 4: bytes.removeLast(Int(random.next() % UInt64(min(bytes.count, 8))))
            default: bytes.insert(contentsOf: bytes[index..<min(bytes.count, index + 9)], at: index)
            }
        }
        return bytes
    }
}

@Suite("MQTT codec under fire")
struct FuzzSmokeTests {
    @Test("what the fuzzer checks holds for 60,000 seeded inputs")
    func codec() {
        var mutator = Mutator(random: SplitMix64(seed: 2026))
        for (selector, version) in [(UInt8(0), ProtocolVersion.v311), (1, .v5)] {
            let samples = Samples.packets(version).map { $0.encoded(version) }
            for round in 0..<30_000 {
                let input = [selector] + mutator.mutate(samples[round % samples.count])
                input.withUnsafeBytes { MQTTCodecProbe.run($0) }
            }
        }
    }

    /// The seeds of the fuzzer, in the order of their names.
    private static func seeds() throws -> [[UInt8]] {
        let folder = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz/MQTTSession/seeds")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
    }

    @Test("whole sessions keep their promises: every seed, and 1,500 seeded variations of them")
    func sessions() throws {
        let seeds = try Self.seeds()
        #expect(seeds.count > 5)
        for seed in seeds { MQTTSessionProbe.run(seed) }
        var mutator = Mutator(random: SplitMix64(seed: 11))
        for round in 0..<1500 {
            var script = mutator.mutate(seeds[round % seeds.count])
            if round % 3 == 0 { script += mutator.mutate(seeds[(round * 7 + 1) % seeds.count]) }
            MQTTSessionProbe.run(script)
        }
    }

    @Test("whole sessions keep their promises for seeded noise")
    func noise() {
        var random = SplitMix64(seed: 12)
        let letters = Array("ccspprraaauvdlltwqxgh".utf8)
        for _ in 0..<400 {
            var script: [UInt8] = []
            for _ in 0..<120 {
                script.append(letters[Int(random.next() % UInt64(letters.count))])
                for _ in 0..<4 { script.append(UInt8(0x30 + random.next() % 48)) }
            }
            MQTTSessionProbe.run(script)
        }
    }

    @Test("a broker survives what clients should not send, and serves the others on")
    func connections() {
        var mutator = Mutator(random: SplitMix64(seed: 77))
        let desk = Desk(shards: 2)
        let watcher = desk.connected("watcher")
        watcher.subscribe("alive", SubscriptionOptions(qos: .atMostOnce))
        _ = watcher.take()
        let publisher = desk.connected("publisher", shard: 1)
        for round in 0..<3000 {
            let version: ProtocolVersion = round % 2 == 0 ? .v5 : .v311
            let samples = Samples.packets(version).filter { if case .connect = $0 { false } else { true } }
            let client = desk.connected("c\(round % 5)", shard: round % 2, version: version, clean: round % 3 == 0)
            for _ in 0..<4 {
                let pick = Int(mutator.random.next() % UInt64(samples.count))
                client.push(mutator.mutate(samples[pick].encoded(version)))
            }
            desk.settle()
            if round % 2 == 0 { client.vanish() }
        }
        publisher.publish("alive", "yes")
        #expect(watcher.payloads().contains("yes"))
    }
}
