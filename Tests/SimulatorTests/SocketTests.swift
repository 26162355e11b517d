import Foundation
import Model
import ModbusWire
import Testing
import Wire

@testable import Simulator

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A blocking Modbus client over a plain socket, so that the simulator is not tested with its own library.
final class BlockingClient {
    private let descriptor: CInt
    private var transaction: UInt16 = 0

    init(port: Int, timeoutMilliseconds: Int = 5000) throws {
        #if canImport(Glibc)
            descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var time = timeval(tv_sec: timeoutMilliseconds / 1000, tv_usec: .init(timeoutMilliseconds % 1000 * 1000))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if status != 0 { throw Problem("test.connect", String(cString: strerror(errno))) }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress, $0.count, 0) }
    }

    /// What has come, at least one byte; empty when the peer closed; nil when nothing came in time.
    func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        return count < 0 ? nil : Array(buffer[..<count])
    }

    func ask(_ request: ModbusRequest, unit: UInt8 = 1) throws -> Result<[UInt8], ModbusException> {
        transaction &+= 1
        var writer = ByteWriter()
        request.encodeFrame(transaction: transaction, unit: unit, to: &writer)
        send(writer.bytes)
        var bytes: [UInt8] = []
        while true {
            guard let more = receive(), !more.isEmpty else { throw Problem("test.closed", "no answer") }
            bytes += more
            let answer = try bytes.withUnsafeBytes { bytes -> Result<[UInt8], ModbusException>? in
                guard let frame = try ModbusFrame.first(in: bytes) else { return nil }
                guard frame.transaction == transaction, frame.unit == unit else {
                    throw Problem("test.transaction", "another transaction's answer")
                }
                let pdu = UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])
                switch try request.reply(in: pdu) {
                case .data(let range): return .success(Array(pdu[range]))
                case .done: return .success([])
                case .exception(let exception): return .failure(exception)
                }
            }
            if let answer { return answer }
        }
    }
}

@Suite("The plant on real sockets", .serialized)
struct SocketTests {
    private func withPlant(_ body: (PlantSimulator) async throws -> Void) async throws {
        // The clock stands still, so that only the test steps the plant.
        let simulator = try await PlantSimulator.start(seed: 1, basePort: 0, time: ManualTime())
        do {
            try await body(simulator)
        } catch {
            await simulator.stop()
            throw error
        }
        await simulator.stop()
    }

    private func client(_ simulator: PlantSimulator, _ device: String, timeoutMilliseconds: Int = 5000) throws -> (
        BlockingClient, UInt8
    ) {
        let (endpoint, unit) = try #require(simulator.endpoint(of: device))
        return (try BlockingClient(port: endpoint.port, timeoutMilliseconds: timeoutMilliseconds), unit)
    }

    @Test("every tag of the demo's resources is read with good quality and a plausible value")
    func everyTag() async throws {
        try await withPlant { simulator in
            try await simulator.advance(steps: 200)
            for place in Plant.places {
                let (client, unit) = try client(simulator, place.device)
                for tag in DemoPlant.groups(of: place.device).flatMap(\.tags) {
                    let type = try #require(ValueType(tag.type))
                    let field = try ModbusField(address: ModbusAddress("\(unit)!\(tag.address)"), type: type)
                    let request = ModbusRequest.read(
                        field.area, address: field.address.offset, count: UInt16(field.span))
                    let data = try client.ask(request, unit: unit).get()
                    let descriptor = BatchDescriptor(
                        device: "", deviceUID: "", group: "", tags: [Model.Tag(name: tag.name, type: type)])
                    let builder = SampleBatchBuilder(dense: descriptor, timestamp: Timestamp(nanoseconds: 0))
                    data.withUnsafeBytes {
                        ModbusDecoder(start: field.start, fields: [(0, field)]).decode($0, into: builder)
                    }
                    let batch = builder.finish()
                    #expect(batch.quality(0).isGood, "\(place.device) \(tag.name)")
                    let value = batch.value(0)
                    if let number = value.double {
                        #expect(number.isFinite && number >= 0 && number < 1e9, "\(place.device) \(tag.name) \(value)")
                    }
                    if case .string(let text) = value { #expect(!text.isEmpty) }
                    if tag.isWritable {
                        #expect(throws: Never.self) { try client.ask(try field.writeRequest(value), unit: unit).get() }
                    }
                }
            }
        }
    }

    @Test("a written setpoint changes the plant")
    func setpoint() async throws {
        try await withPlant { simulator in
            let (client, _) = try client(simulator, "boiler-1")
            func temperature() throws -> Float {
                try client.ask(.read(.inputRegister, address: 0, count: 2)).get().read {
                    (reader: inout ByteReader) throws(WireError) in try reader.float32()
                }
            }
            try await simulator.advance(steps: 2400)
            let before = try temperature()
            let field = try ModbusField(address: ModbusAddress("1!400003"), type: ValueType(.float32))
            _ = try client.ask(field.writeRequest(.float64(60))).get()
            try await simulator.advance(steps: 1200)
            let after = try temperature()
            #expect(abs(before - 80) < 1.5 && abs(after - 60) < 1.5)
        }
    }

    @Test("requests fed byte by byte and many at once are answered in order")
    func pieces() async throws {
        try await withPlant { simulator in
            let (client, _) = try client(simulator, "press-1")
            var writer = ByteWriter()
            ModbusRequest.read(.holdingRegister, address: 0, count: 2).encodeFrame(transaction: 9, unit: 1, to: &writer)
            for byte in writer.bytes { client.send([byte]) }
            var bytes: [UInt8] = []
            while bytes.count < 13 { bytes += try #require(client.receive()) }
            #expect(bytes.count == 13 && bytes[1] == 9)
            writer.removeAll()
            for index in 0..<100 {
                ModbusRequest.read(.holdingRegister, address: 0, count: 1).encodeFrame(
                    transaction: UInt16(index), unit: 1, to: &writer)
            }
            client.send(writer.bytes)
            bytes = []
            while bytes.count < 1100 { bytes += try #require(client.receive()) }
            #expect((0..<100).map { Int(bytes[$0 * 11 + 1]) } == Array(0..<100))
        }
    }

    @Test("an unknown unit is answered as a gateway does; bytes that are no Modbus end the connection")
    func strangers() async throws {
        try await withPlant { simulator in
            let (client, _) = try client(simulator, "pump-1")
            #expect(
                try client.ask(.read(.holdingRegister, address: 0, count: 1), unit: 77)
                    == .failure(.gatewayTargetFailedToRespond))
            client.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
            #expect(client.receive() == [])
            let (other, _) = try self.client(simulator, "pump-1")
            #expect(throws: Never.self) { try other.ask(.read(.holdingRegister, address: 0, count: 1)).get() }
        }
    }

    @Test("each fault shows, for its machine alone, and goes away")
    func faults() async throws {
        try await withPlant { simulator in
            let request = ModbusRequest.read(.holdingRegister, address: 0, count: 1)
            let (neighbour, _) = try client(simulator, "pump-2")
            func expect(_ fault: Fault, _ check: (BlockingClient) throws -> Void) async throws {
                try await simulator.setFault(fault, device: "pump-1")
                let (client, _) = try self.client(simulator, "pump-1", timeoutMilliseconds: 200)
                try check(client)
                #expect(throws: Never.self) { try neighbour.ask(request, unit: 2).get() }
                try await simulator.setFault(nil, device: "pump-1")
                let (again, _) = try self.client(simulator, "pump-1")
                #expect(throws: Never.self) { try again.ask(request).get() }
            }
            try await expect(.silent) { client in
                #expect(throws: Problem("test.closed", "no answer")) { try client.ask(request) }
            }
            try await expect(.exception(6)) { (client: BlockingClient) throws in
                let answer = try client.ask(request)
                #expect(answer == .failure(.serverDeviceBusy))
            }
            try await expect(.drop) { client in
                #expect(throws: Problem("test.closed", "no answer")) { try client.ask(request) }
            }
            try await expect(.nonsense) { client in #expect(throws: ModbusFault.self) { try client.ask(request) } }
            try await expect(.wrongTransaction) { client in
                #expect(throws: Problem("test.transaction", "another transaction's answer")) { try client.ask(request) }
            }
            await #expect(throws: Problem.self) { try await simulator.setFault(.silent, device: "pump-9") }
        }
    }

    @Test("a slow device answers one request after the other")
    func slow() async throws {
        let simulator = try await PlantSimulator.start(seed: 1, basePort: 0)
        try await simulator.setFault(.slow(milliseconds: 30), device: "press-1")
        let (client, _) = try client(simulator, "press-1")
        let start = SystemTime().monotonicNanoseconds()
        var writer = ByteWriter()
        for index in 0..<3 {
            ModbusRequest.read(.holdingRegister, address: 0, count: 1).encodeFrame(
                transaction: UInt16(index), unit: 1, to: &writer)
        }
        client.send(writer.bytes)
        var bytes: [UInt8] = []
        while bytes.count < 33 { bytes += try #require(client.receive()) }
        #expect(SystemTime().monotonicNanoseconds() - start >= 90_000_000)
        await simulator.stop()
    }

    @Test("unit 250 sets faults over the wire")
    func controlUnit() async throws {
        try await withPlant { simulator in
            let (client, _) = try client(simulator, "pump-1")
            let request = ModbusRequest.read(.holdingRegister, address: 0, count: 1)
            // Exception 4 for unit 2.
            _ = try client.ask(.writeRegisters(address: 0, data: [0, 3, 0, 4, 0, 2]), unit: 250).get()
            #expect(try client.ask(request, unit: 2) == .failure(.serverDeviceFailure))
            #expect(throws: Never.self) { try client.ask(request, unit: 1).get() }
            _ = try client.ask(.writeRegister(address: 0, value: 0), unit: 250).get()
            #expect(throws: Never.self) { try client.ask(request, unit: 2).get() }
        }
    }

    @Test("a port in use is one clear sentence, and nothing stays open")
    func portInUse() async throws {
        let first = try await PlantSimulator.start(basePort: 0)
        let port = first.endpoints[0].port
        do {
            _ = try await PlantSimulator.start(basePort: port)
            Issue.record("two simulators on one port")
        } catch let problem as Problem {
            #expect(
                problem.message == "cannot listen on 127.0.0.1:\(port): the port is in use; choose another with --port")
        }
        await first.stop()
    }

    @Test("bench devices serve every tag, take writes, and change once a second")
    func bench() async throws {
        let bench = try await BenchSimulator.start(devices: 2, tagsPerDevice: 40_000)
        #expect(bench.ports.count == 2)
        #expect(BenchSimulator.address(ofTag: 0) == "1!400001")
        #expect(BenchSimulator.address(ofTag: 32_750) == "2!400001")
        let client = try BlockingClient(port: bench.ports[1])
        let data = try client.ask(.read(.holdingRegister, address: 0, count: 124)).get()
        let values = try data.read { (reader: inout ByteReader) throws(any Error) -> [Float] in
            try (0..<62).map { _ in try reader.float32() }
        }
        #expect(zip(values, values.dropFirst()).allSatisfy { abs($1 - $0 - 0.1) < 0.001 || $1 == 0 })
        let place = BenchSimulator.place(ofTag: 39_999)
        #expect(throws: Never.self) {
            try client.ask(.read(.holdingRegister, address: UInt16(place.offset), count: 2), unit: UInt8(place.unit))
                .get()
        }
        #expect(
            try client.ask(.read(.holdingRegister, address: UInt16(place.offset) + 2, count: 2), unit: 2)
                == .failure(.illegalDataAddress))
        _ = try client.ask(.writeRegisters(address: 10, data: [1, 2, 3, 4])).get()
        await bench.stop()
    }
}

@Suite("The plant's resources")
struct DemoPlantTests {
    static let examples = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "examples")

    /// With TUNDISH_UPDATE_EXAMPLES=1 in the environment the files are written instead.
    @Test("the example files are what the simulator makes")
    func files() throws {
        if ProcessInfo.processInfo.environment["TUNDISH_UPDATE_EXAMPLES"] == "1" {
            try DemoPlant.devices().write(
                to: Self.examples.appending(path: "plant.yaml"), atomically: true, encoding: .utf8)
            try DemoPlant.rules.write(
                to: Self.examples.appending(path: "rules.yaml"), atomically: true, encoding: .utf8)
        }
        #expect(
            try String(contentsOf: Self.examples.appending(path: "plant.yaml"), encoding: .utf8) == DemoPlant.devices())
        #expect(try String(contentsOf: Self.examples.appending(path: "rules.yaml"), encoding: .utf8) == DemoPlant.rules)
    }

    @Test("faults are read from text, and a wrong one lists the known")
    func faultTexts() throws {
        #expect(
            try FaultCommand(parsing: "press-1=slow:50")
                == FaultCommand(device: "press-1", fault: .slow(milliseconds: 50)))
        #expect(try FaultCommand(parsing: "all none") == FaultCommand(device: "all", fault: nil))
        #expect { try FaultCommand(parsing: "press-1 asleep") } throws: {
            ($0 as? Problem)?.message.contains("silent") == true
        }
        #expect(throws: Problem.self) { try FaultCommand(parsing: "press-1") }
        #expect(throws: Problem.self) { try Fault.parse("slow:0") }
    }
}
