package import DriverKit
import Formats
package import Model

/// The spec of the resource kind `Device`, with the connections of the drivers that there are.
package func deviceSchema(drivers: [any Driver.Type]) -> Schema {
    var names: [String] = []
    var connections: [String: Schema] = [:]
    for driver in drivers {
        let info = driver.info
        names.append(info.name)
        connections[info.name] = info.connection
    }
    return Schema([
        Field(
            "driver", .choice(names), required: true, help: "The protocol that the device speaks.",
            chinese: "设备所用的协议。"),
        Field(
            "connection", .chosen(by: "driver", connections), required: true, help: "How the device is reached.",
            chinese: "如何连接到设备。"),
        Field(
            "enabled", .bool, default: .bool(true), help: "Whether the device is read at all.",
            chinese: "是否采集该设备。"),
        Field("description", .string, help: "For people.", chinese: "供人阅读的说明。"),
        Field(
            "groups", .list(.object(groupSchema), countMax: DeviceConfiguration.groupsMax), default: .list([]),
            help: "Tags that are read and published together.", chinese: "一起采集并一起发布的点位。"),
    ])
}

private let groupSchema = Schema([
    Field("name", .string(.name), required: true, help: "Unique in the device.", chinese: "在设备内唯一。"),
    Field(
        "interval", .duration(DeviceConfiguration.intervalMin ... .seconds(86_400)), default: .duration(1_000_000_000),
        help: "Time from one cycle to the next.", chinese: "采集周期。"),
    Field(
        "topic", .string(.topic),
        help: "Where the group publishes; {device} and {group} are filled in. Default tundish/{device}/{group}.",
        chinese: "发布的主题；可用 {device} 和 {group}，默认 tundish/{device}/{group}。"),
    Field(
        "format", .choice(GroupFormat.allCases.map(\.rawValue)), default: .string("values"),
        help: "The shape of the message.", chinese: "消息格式。"),
    Field(
        "dialect", .choice(FormatDialect.allCases.map(\.rawValue)), default: .string("tundish"),
        help: "neuron gives Neuron's exact shapes.", chinese: "neuron 表示与 Neuron 完全相同的格式。"),
    Field("qos", .integer(0...2), default: .integer(0), help: "MQTT quality of service.", chinese: "MQTT 服务质量等级。"),
    Field(
        "retain", .bool, default: .bool(false), help: "Keep the last message for new subscribers.",
        chinese: "为新订阅者保留最后一条消息。"),
    Field(
        "record", .bool, default: .bool(true), help: "Whether the historian keeps the samples.",
        chinese: "是否存入历史库。"),
    Field(
        "report", .choice(["cycle", "change"]), default: .string("cycle"),
        help: "Publish all tags each cycle, or only what changed.", chinese: "每周期发布全部点位，或只发布变化的点位。"),
    Field(
        "heartbeat", .duration(.milliseconds(100) ... .seconds(86_400)),
        help: "With report: change, everything is published after this time at the latest.",
        chinese: "按变化上报时，最长多久完整发布一次。"),
    Field(
        "deadband", .number(0...Double.greatestFiniteMagnitude),
        help: "By how much a number must change; for tags that say none.", chinese: "数值变化的死区，点位未设置时使用。"),
    Field(
        "deadbandPercent", .number(0...100), unit: "%", help: "The same in percent of the value reported last.",
        chinese: "以上次上报值的百分比表示的死区。"),
    Field(
        "tags", .list(.object(tagSchema), countMax: DeviceConfiguration.tagsPerGroupMax), default: .list([]),
        help: "What is read.", chinese: "采集的点位。"),
])

private let tagSchema = Schema([
    Field(
        "name", .string(StringRule(.text, lengthMax: 256)), required: true, help: "Unique in the group.",
        chinese: "在组内唯一。"),
    Field(
        "address", .string(StringRule(.text, lengthMax: 1024)), required: true,
        help: "Where the value lies, in the driver's syntax.", chinese: "按驱动语法书写的地址。"),
    Field("type", .string(.valueType), required: true, help: "The type in the device.", chinese: "设备中的数据类型。"),
    Field(
        "access", .choice(TagAccess.allCases.map(\.rawValue)), default: .string("read"),
        help: "Whether the tag can be read, written, or both.", chinese: "可读、可写或可读写。"),
    Field(
        "scale", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude),
        help: "The value is raw x scale + offset.", chinese: "值 = 原始值 x scale + offset。"),
    Field(
        "offset", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude),
        help: "Added after scaling.", chinese: "缩放后加上的偏移量。"),
    Field(
        "precision", .integer(0...15), help: "Digits after the point to which the value is rounded.",
        chinese: "保留的小数位数。"),
    Field(
        "unit", .string(StringRule(.text, lengthMax: 64)), help: "Shown to people, such as °C.", chinese: "显示单位，如 °C。"),
    Field("ucum", .string(StringRule(.text, lengthMax: 64)), help: "The unit's UCUM code.", chinese: "单位的 UCUM 代码。"),
    Field("description", .string, help: "For people.", chinese: "供人阅读的说明。"),
    Field(
        "deadband", .number(0...Double.greatestFiniteMagnitude),
        help: "With report: change, by how much the number must change.", chinese: "按变化上报时的死区。"),
    Field(
        "deadbandPercent", .number(0...100), unit: "%", help: "The same in percent of the value reported last.",
        chinese: "以上次上报值的百分比表示的死区。"),
])
