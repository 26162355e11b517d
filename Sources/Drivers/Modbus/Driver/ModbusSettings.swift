import DriverKit
import Model
import ModbusWire
import NIOCore

/// A device's `connection:`.
struct ModbusSettings: Sendable {
    var host: String
    var port: Int
    var connectTimeout: Duration
    var connectDelay: Duration
    /// Of addresses that name none.
    var unit: Int
    var addressBase: Int
    var orders: ModbusOrders
    var limits: PlanLimits
    var retryBusyMax: Int
    var busyDelay: Duration
    var queue: RequestQueue<ModbusJob>.Settings

    init(_ value: ConfigValue) throws(Problem) {
        guard let host = value["host"]?.string, !host.isEmpty else {
            throw Problem(
                "device.configuration", "connection: host is missing; it is a name or an address, such as 192.168.0.10")
        }
        func integer(_ key: String) -> Int {
            Int(value[key]?.integer ?? Self.schema.field(key)?.defaultValue?.integer ?? 0)
        }
        func duration(_ key: String) -> Duration {
            value[key]?.duration ?? Self.schema.field(key)?.defaultValue?.duration ?? .zero
        }
        func order(_ key: String, bits: Int) throws(Problem) -> OrderCode {
            let text = value[key]?.string ?? Self.schema.field(key)?.defaultValue?.string ?? ""
            guard let code = OrderCode(rawValue: text), OrderCode.allowed(bits: bits).contains(code) else {
                let allowed = OrderCode.allowed(bits: bits).map(\.rawValue).joined(separator: ", ")
                throw Problem(
                    "device.configuration", "connection: \(key) \"\(text)\" is none of \(allowed)",
                    ["key": key, "seen": text])
            }
            return code
        }
        self.host = host
        port = integer("port")
        connectTimeout = duration("connectTimeout")
        connectDelay = duration("connectDelay")
        unit = integer("unit")
        addressBase = integer("addressBase")
        orders = ModbusOrders(
            bits16: try order("order16", bits: 16), bits32: try order("order32", bits: 32),
            bits64: try order("order64", bits: 64))
        limits = PlanLimits(
            registersMax: integer("registersMax"), bitsMax: integer("bitsMax"),
            registerGapMax: integer("registerGapMax"),
            bitGapMax: integer("bitGapMax"))
        retryBusyMax = integer("retryBusyMax")
        busyDelay = duration("busyDelay")
        queue = RequestQueue<ModbusJob>.Settings()
        queue.timeout = TimeAmount(duration("timeout"))
        queue.interval = TimeAmount(duration("requestInterval"))
        queue.inFlightMax = integer("inFlightMax")
        queue.inFlightPerLaneMax = integer("inFlightPerUnitMax")
    }

    static let schema = Schema([
        Field(
            "host", .string, required: true, help: "Name or address of the device or gateway.", chinese: "设备或网关的主机名或地址。"
        ),
        Field("port", .port, default: .integer(502), help: "TCP port.", chinese: "TCP 端口。"),
        Field(
            "timeout", .duration(.milliseconds(10) ... .seconds(60)), default: .duration(1_000_000_000),
            help: "How long an answer may take.", chinese: "等待应答的最长时间。"),
        Field(
            "connectTimeout", .duration(.milliseconds(10) ... .seconds(60)), default: .duration(3_000_000_000),
            help: "How long connecting may take.", chinese: "建立连接的最长时间。"),
        Field(
            "unit", .integer(0...255), default: .integer(1), help: "The unit of addresses that name none.",
            chinese: "地址未写站号时使用的站号。"),
        Field(
            "addressBase", .integer(0...1), default: .integer(1), help: "The number of the first register: 1 or 0.",
            chinese: "首个寄存器的编号：1 或 0。"),
        Field(
            "order16", .choice(["L", "B"]), default: .string("L"),
            help: "Byte order of 16-bit numbers whose address says none.", chinese: "16 位数值的默认字节序。"),
        Field(
            "order32", .choice(["LL", "LB", "BL", "BB"]), default: .string("LL"),
            help: "Byte order of 32-bit numbers: LL ABCD, LB BADC, BL CDAB, BB DCBA.", chinese: "32 位数值的默认字节序。"),
        Field(
            "order64", .choice(["LL", "LB", "BL", "BB"]), default: .string("LL"),
            help: "Byte order of 64-bit numbers: LL 12345678, LB 21436587, BL 78563412, BB 87654321.",
            chinese: "64 位数值的默认字节序。"),
        Field(
            "inFlightMax", .integer(1...64), default: .integer(8),
            help: "Requests outstanding on the connection, of different units.", chinese: "连接上同时等待应答的请求数（不同站号）。"),
        Field(
            "inFlightPerUnitMax", .integer(1...16), default: .integer(1),
            help: "Requests outstanding per unit; most devices take one at a time.", chinese: "每个站号同时等待应答的请求数。"),
        Field(
            "registersMax", .integer(1...125), default: .integer(125), help: "Registers read by one request.",
            chinese: "一次请求读取的寄存器数。"),
        Field(
            "bitsMax", .integer(1...2000), default: .integer(2000), help: "Bits read by one request.",
            chinese: "一次请求读取的位数。"),
        Field(
            "registerGapMax", .integer(0...124), default: .integer(10),
            help: "Unused registers that are read along to save a request.", chinese: "为合并请求可一并读取的空闲寄存器数。"),
        Field(
            "bitGapMax", .integer(0...1999), default: .integer(64), help: "The same for bits.",
            chinese: "为合并请求可一并读取的空闲位数。"),
        Field(
            "retryBusyMax", .integer(0...10), default: .integer(3),
            help: "How often a request is repeated when the device is busy.",
            chinese: "设备忙时的重试次数。"),
        Field(
            "busyDelay", .duration(.milliseconds(1) ... .seconds(10)), default: .duration(100_000_000),
            help: "Pause before such a repetition.", chinese: "设备忙时重试前的等待时间。"),
        Field(
            "connectDelay", .duration(.zero ... .seconds(60)), default: .duration(0),
            help: "Pause after connecting, for devices that need it.", chinese: "连接成功后的等待时间。"),
        Field(
            "requestInterval", .duration(.zero ... .seconds(10)), default: .duration(0),
            help: "Least time between two requests.", chinese: "两次请求之间的最短间隔。"),
    ])
}
