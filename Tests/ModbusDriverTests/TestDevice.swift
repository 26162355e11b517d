import DriverConformance
import DriverKit
import Model
import ModbusWire
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// A Modbus TCP device on a loopback socket, for the driver's tests: registers and coils per unit, with faults on
/// demand.
final class TestDevice: DriverPeer {
    struct Unit {
        var registers = [UInt16](repeating: 0, count: 1000)
        var coils = [Bool](repeating: false, count: 1000)
        /// Answered with exception 2 wherever a request touches them.
        var holes: Set<Int> = []
        var isSilent = false
        /// Exceptions for the next requests, whatever they are.
        var exceptions: [UInt8] = []
        var knowsMask = true
    }

    struct State {
        var units: [UInt8: Unit] = [1: Unit()]
        var isSilent = false
        var delay: TimeAmount = .zero
        var channels: [ObjectIdentifier: any Channel] = [:]
        var listener: (any Channel)?
        /// Units and requests in the order in which they came.
        var log: [(unit: UInt8, request: ModbusRequest)] = []
        /// Added to the transaction id of answers.
        var transactionError: UInt16 = 0
        var unconfirmed: [UInt8]?
    }

    let state: Mutex<State>
    let port: Int
    private let group: any EventLoopGroup

    /// Takes a port and keeps it for its life, so that stopping and starting gives the same address.
    init(group: any EventLoopGroup) async throws {
        self.group = group
        let probe = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        port = probe.localAddress?.port ?? 0
        try await probe.close()
        var state = State()
        state.units[1] = Self.filled()
        self.state = Mutex(state)
    }

    var log: [ModbusRequest] { state.withLock { $0.log.map(\.request) } }
    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    // MARK: the device

    func start() async throws {
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [self] channel in
                change { $0.channels[ObjectIdentifier(channel)] = channel }
                channel.closeFuture.whenComplete { [self] _ in
                    change { $0.channels[ObjectIdentifier(channel)] = nil }
                }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DeviceHandler(self))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        change { $0.listener = listener }
    }

    func stop() async {
        let listener = state.withLock { state in
            defer { state.listener = nil }
            return state.listener
        }
        try? await listener?.close()
        await dropConnections()
    }

    func dropConnections() async {
        let channels = state.withLock { Array($0.channels.values) }
        for channel in channels { try? await channel.close() }
    }

    func setSilent(_ isSilent: Bool) { change { $0.isSilent = isSilent } }
    func setDelay(_ delay: TimeAmount) { change { $0.delay = delay } }
    var openConnections: Int { state.withLock { $0.channels.count } }

    /// The answer's PDU; nil for none.
    func answer(_ unit: UInt8, _ pdu: UnsafeRawBufferPointer) -> [UInt8]? {
        state.withLock { state in
            var reply = ByteWriter()
            let request: ModbusRequest
            do throws(ModbusException) {
                request = try ModbusRequest(decoding: pdu)
            } catch {
                error.encode(refusing: pdu.first ?? 0, to: &reply)
                return reply.bytes
            }
            state.log.append((unit, request))
            guard !state.isSilent else { return nil }
            guard var own = state.units[unit] else {
                ModbusException.gatewayTargetFailedToRespond.encode(refusing: request.function.rawValue, to: &reply)
                return reply.bytes
            }
            if own.isSilent { return nil }
            defer { state.units[unit] = own }
            if !own.exceptions.isEmpty {
                let code = own.exceptions.removeFirst()
                ModbusException(rawValue: code).encode(refusing: request.function.rawValue, to: &reply)
            } else {
                own.serve(request, &reply)
            }
            return reply.bytes
        }
    }

    // MARK: contents

    static func filled() -> Unit {
        var unit = Unit()
        for (index, value) in [0x0041, 0x8001, 0x1234, 0x5678, 0x9ABC, 0xDEF0].enumerated() {
            unit.registers[index] = UInt16(value)
        }
        let pi = Float(3.140625).bitPattern
        (unit.registers[10], unit.registers[11]) = (UInt16(pi >> 16), UInt16(truncatingIfNeeded: pi))
        let e = Double(2.71828).bitPattern
        for index in 0..<4 { unit.registers[12 + index] = UInt16(truncatingIfNeeded: e >> (48 - 16 * UInt64(index))) }
        for (index, pair) in ["Hé", "l", "lo"].enumerated() {
            let bytes = Array(pair.utf8) + [0]
            if index == 0 {
                unit.registers[20] = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
                unit.registers[21] = UInt16(bytes[2]) << 8 | UInt16(UInt8(ascii: "l"))
            } else if index == 1 {
                unit.registers[22] = UInt16(UInt8(ascii: "l")) << 8 | UInt16(UInt8(ascii: "o"))
            }
        }
        unit.coils[3] = true
        unit.holes = Set(600..<605)
        return unit
    }

    static func tag(_ name: String, _ address: String, _ type: ValueType, _ access: TagAccess = .read) -> TagSpec {
        TagSpec(tag: Tag(name: name, type: type, access: access), address: address)
    }

    var settings: ConfigValue {
        .object([
            "host": .string("127.0.0.1"), "port": .integer(Int64(port)), "timeout": .duration(400_000_000),
        ])
    }

    var readable: [(spec: TagSpec, value: Value)] {
        [
            (Self.tag("bool", "1!000004", ValueType(.bool)), .bool(true)),
            (Self.tag("bit", "1!400002.15", ValueType(.bool)), .bool(true)),
            (Self.tag("int8", "1!400001", ValueType(.int8)), .int(65)),
            (Self.tag("uint8", "1!300001", ValueType(.uint8)), .uint(65)),
            (Self.tag("int16", "1!400002", ValueType(.int16)), .int(-32767)),
            (Self.tag("uint16", "1!400002", ValueType(.uint16)), .uint(0x8001)),
            (Self.tag("int32", "1!400003", ValueType(.int32)), .int(0x1234_5678)),
            (Self.tag("uint32", "1!400003#BL", ValueType(.uint32)), .uint(0x5678_1234)),
            (Self.tag("int64", "1!400003", ValueType(.int64)), .int(0x1234_5678_9ABC_DEF0)),
            (Self.tag("uint64", "1!400003#BB", ValueType(.uint64)), .uint(0xF0DE_BC9A_7856_3412)),
            (Self.tag("float32", "1!400011", ValueType(.float32)), .float32(3.140625)),
            (Self.tag("float64", "1!400013", ValueType(.float64)), .float64(2.71828)),
            (Self.tag("string", "1!400021.6H", ValueType(.string)), .string("Héllo")),
            (Self.tag("bytes", "1!400003.4", ValueType(.bytes)), .bytes([0x12, 0x34, 0x56, 0x78])),
            (Self.tag("array", "1!400003", ValueType(.uint16, arrayCount: 2)), .array([.uint(0x1234), .uint(0x5678)])),
        ]
    }

    var writable: [(spec: TagSpec, value: Value)] {
        [
            (Self.tag("coil", "1!000010", ValueType(.bool), .readWrite), .bool(true)),
            (Self.tag("word", "1!400100", ValueType(.uint16), .readWrite), .uint(4711)),
            (Self.tag("next", "1!400101", ValueType(.int16), .readWrite), .int(-5)),
            (Self.tag("float", "1!400102#BL", ValueType(.float32), .readWrite), .float32(-1.5)),
            (Self.tag("far", "1!400200", ValueType(.float64), .readWrite), .float64(1e100)),
            (Self.tag("bit", "1!400210.4", ValueType(.bool), .readWrite), .bool(true)),
            (Self.tag("low", "1!400212", ValueType(.uint8), .readWrite), .uint(200)),
            (Self.tag("text", "1!400220.8L", ValueType(.string), .readWrite), .string("Zürich")),
            (
                Self.tag("array", "1!400230", ValueType(.int32, arrayCount: 3), .readWrite),
                .array([.int(1), .int(-2), .int(3)])
            ),
        ]
    }

    var missing: [TagSpec] {
        [
            Self.tag("hole", "1!400603", ValueType(.uint16)), Self.tag("beyond", "1!402000", ValueType(.uint16)),
            Self.tag("edge", "1!400600", ValueType(.uint32)),
        ]
    }

    var malformed: [TagSpec] {
        [
            Self.tag("area", "1!50001", ValueType(.uint16)), Self.tag("order", "1!40001#XX", ValueType(.uint16)),
            Self.tag("unwritable", "1!30001", ValueType(.uint16), .readWrite),
        ]
    }

    var refused: TagWrite? {
        TagWrite(Self.tag("hole", "1!400602", ValueType(.uint16), .readWrite), .uint(1))
    }

    var long: [TagSpec] {
        (0..<30).map { Self.tag("t\($0)", "1!4\(String(10001 + $0 * 20).dropFirst())", ValueType(.uint16)) }
    }
}

extension TestDevice.Unit {
    mutating func serve(_ request: ModbusRequest, _ reply: inout ByteWriter) {
        func refuse(_ exception: ModbusException) { exception.encode(refusing: request.function.rawValue, to: &reply) }
        func exists(_ address: UInt16, _ count: Int) -> Bool {
            let range = Int(address)..<Int(address) + count
            return range.upperBound <= registers.count && holes.isDisjoint(with: range)
        }
        switch request {
        case .read(let area, let address, let count):
            guard exists(address, Int(count)) else { return refuse(.illegalDataAddress) }
            var data = ByteWriter()
            if area.isBits {
                for start in stride(from: 0, to: Int(count), by: 8) {
                    var byte: UInt8 = 0
                    for bit in 0..<min(8, Int(count) - start) where coils[Int(address) + start + bit] {
                        byte |= 1 << UInt8(bit)
                    }
                    data.uint8(byte)
                }
            } else {
                for index in 0..<Int(count) { data.uint16(registers[Int(address) + index]) }
            }
            return request.encodeReply(data: data.bytes, to: &reply)
        case .writeCoil(let address, let isOn):
            guard exists(address, 1) else { return refuse(.illegalDataAddress) }
            coils[Int(address)] = isOn
        case .writeCoils(let address, let count, let packed):
            guard exists(address, Int(count)) else { return refuse(.illegalDataAddress) }
            for index in 0..<Int(count) { coils[Int(address) + index] = packed[index / 8] >> UInt8(index % 8) & 1 == 1 }
        case .writeRegister(let address, let value):
            guard exists(address, 1) else { return refuse(.illegalDataAddress) }
            registers[Int(address)] = value
        case .writeRegisters(let address, let data):
            guard exists(address, data.count / 2) else { return refuse(.illegalDataAddress) }
            for index in 0..<data.count / 2 {
                registers[Int(address) + index] = UInt16(data[index * 2]) << 8 | UInt16(data[index * 2 + 1])
            }
        case .maskRegister(let address, let and, let or):
            guard knowsMask else { return refuse(.illegalFunction) }
            guard exists(address, 1) else { return refuse(.illegalDataAddress) }
            registers[Int(address)] = registers[Int(address)] & and | or & ~and
        case .readWriteRegisters: return refuse(.illegalFunction)
        }
        request.encodeReply(to: &reply)
    }
}

/// Serves one connection, one request after another.
private final class DeviceHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let device: TestDevice
    private var input = ByteBuffer()
    private var isBusy = false

    init(_ device: TestDevice) { self.device = device }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        input.writeBuffer(&bytes)
        serve(context)
    }

    private func serve(_ context: ChannelHandlerContext) {
        while !isBusy {
            var answer: [UInt8]?
            let count = input.withUnsafeReadableBytes { bytes -> Int? in
                guard let frame = try? ModbusFrame.first(in: bytes) else { return nil }
                if let pdu = device.answer(frame.unit, UnsafeRawBufferPointer(rebasing: bytes[frame.pdu])) {
                    var writer = ByteWriter()
                    let transaction = frame.transaction &+ device.state.withLock { $0.transactionError }
                    ModbusFrame.append(transaction: transaction, unit: frame.unit, to: &writer) { $0.append(pdu) }
                    answer = writer.bytes
                }
                return frame.byteCount
            }
            guard let count else { return }
            input.moveReaderIndex(forwardBy: count)
            guard let answer else { continue }
            let delay = device.state.withLock { $0.delay }
            if delay == .zero {
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: answer)), promise: nil)
                continue
            }
            isBusy = true
            context.eventLoop.assumeIsolated().scheduleTask(in: delay) {
                context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: answer)), promise: nil)
                self.isBusy = false
                self.serve(context)
            }
        }
    }
}
