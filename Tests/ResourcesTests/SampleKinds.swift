import Model

@testable import Resources

/// Kinds like those of the contract, so that its examples are tested without their owners.
enum SampleKinds {
    static let tag = Schema([
        Field("name", .string(.name), required: true, help: "Unique in the group."),
        Field("address", .string, required: true, help: "As the driver has it."),
        Field("type", .string(.valueType), required: true, help: "Type of the samples."),
        Field("access", .choice(["read", "write", "read-write"]), default: .string("read"), help: "Who may."),
        Field("scale", .number(-1e12...1e12), help: "Factor."),
        Field("deadband", .number(0...1e12), help: "Least change."),
        Field("unit", .string(StringRule(.text, lengthMax: 32)), help: "Display text."),
    ])

    static let group = Schema([
        Field("name", .string(.name), required: true, help: "Unique in the device."),
        Field(
            "interval", .duration(.milliseconds(1) ... .seconds(86_400)), required: true, help: "Time between polls."),
        Field("topic", .string(.topic), help: "Where to."),
        Field(
            "format", .choice(["values", "tags", "ecp", "sparkplug", "template"]), default: .string("values"),
            help: "Shape of the messages."),
        Field("record", .bool, default: .bool(true), help: "Whether the historian keeps it."),
        Field("tags", .list(.object(tag), countMax: 10_000), required: true, help: "What is read."),
    ])

    static let modbus = Schema([
        Field("host", .string, required: true, help: "Name or address."),
        Field("port", .port, default: .integer(502), help: "TCP port."),
        Field(
            "timeout", .duration(.milliseconds(10) ... .seconds(60)), default: .duration(1_000_000_000),
            help: "Of a request."),
    ])

    static let device = ResourceKind(
        name: "Device", plural: "devices", help: "A device that is read and written.",
        schema: Schema([
            Field("driver", .string, required: true, help: "Name of the driver."),
            Field(
                "connection", .chosen(by: "driver", ["modbus_tcp": modbus]), required: true, help: "How to reach it."),
            Field("groups", .list(.object(group), countMax: 1000), default: .list([]), help: "Tags by interval."),
        ]),
        check: { _, spec, report in
            for (g, group) in (spec["groups"]?.list ?? []).enumerated() {
                for (t, tag) in (group["tags"]?.list ?? []).enumerated() {
                    guard let address = tag["address"]?.string, !address.contains("!") else { continue }
                    report.report(
                        Problem("modbus.address", "address \"\(address)\": ! is missing after the unit"),
                        at: ConfigPath()["groups"][g]["tags"][t]["address"], column: 2)
                }
            }
        })

    static let listener = ResourceKind(
        name: "Listener", plural: "listeners", help: "Where clients connect.",
        schema: Schema([
            Field("protocol", .choice(["mqtt"]), default: .string("mqtt"), help: "Protocol."),
            Field("bind", .string(.hostPort), required: true, help: "Address."),
            Field("allowAnonymous", .bool, default: .bool(false), help: "Without name."),
            Field(
                "limits",
                .object(
                    Schema([
                        Field(
                            "connectionsMax", .integer(1...1_000_000), default: .integer(100_000), help: "Connections."),
                        Field("packetBytesMax", .size(128...(256 << 20)), default: .size(1 << 20), help: "Packet."),
                        Field("receiveMaximum", .integer(1...65_535), default: .integer(100), help: "In flight."),
                        Field("topicAliasMaximum", .integer(0...65_535), default: .integer(32), help: "Aliases."),
                    ])), help: "Limits."),
        ]))

    static let rule = ResourceKind(
        name: "Rule", plural: "rules", help: "A statement over messages.",
        schema: Schema([
            Field("sql", .string(StringRule(.sql, lengthMax: 65_536)), required: true, help: "The statement."),
            Field(
                "outputs",
                .list(
                    .oneOf([
                        Field(
                            "publish",
                            .object(
                                Schema([
                                    Field("topic", .string, required: true, help: "Topic."),
                                    Field("qos", .integer(0...2), default: .integer(0), help: "QoS."),
                                ])), help: "Publish."),
                        Field("sink", .string(.name), help: "Name of a sink."),
                        Field("historian", .object(Schema([Field("group", .string, help: "Group.")])), help: "Record."),
                    ]), countMax: 32), default: .list([]), help: "Where results go."),
        ]),
        check: { _, spec, report in
            guard let sql = spec["sql"]?.string else { return }
            for (number, line) in sql.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                guard let range = line.firstRange(of: "FORM") else { continue }
                report.report(
                    Problem("sql.syntax", "expected FROM, found \"FORM\""), at: ConfigPath()["sql"], line: number + 1,
                    column: line.distance(from: line.startIndex, to: range.lowerBound) + 1)
            }
        },
        references: { spec in
            (spec["outputs"]?.list ?? []).enumerated().compactMap { index, output in
                output["sink"]?.string.map {
                    ResourceReference(kind: "Sink", name: $0, path: ConfigPath()["outputs"][index]["sink"])
                }
            }
        })

    static let sink = ResourceKind(
        name: "Sink", plural: "sinks", help: "Where rows go.",
        schema: Schema([
            Field("type", .string, required: true, help: "Kind of sink."),
            Field(
                "connection",
                .chosen(
                    by: "type",
                    [
                        "postgres": Schema([
                            Field("url", .string, required: true, help: "URL."),
                            Field("password", .secret, help: "Password."),
                        ])
                    ]), required: true, help: "How to reach it."),
            Field("table", .string(.name), help: "Table."),
            Field("columns", .map(.string, countMax: 1000), help: "Values by column."),
            Field(
                "batch",
                .object(
                    Schema([
                        Field("rowsMax", .integer(1...100_000), default: .integer(1000), help: "Rows."),
                        Field("delayMax", .duration(.zero ... .seconds(60)), help: "Delay."),
                    ])), help: "Batch."),
            Field(
                "buffer",
                .object(
                    Schema([
                        Field("bytesMax", .size(0...(1 << 40)), help: "Size."),
                        Field(
                            "onFull", .choice(["dropOldest", "refuse"]), default: .string("refuse"), help: "What then."),
                    ])), help: "Buffer."),
        ]))

    static var registry: KindRegistry { KindRegistry([listener, device, rule, sink]) }

    /// The example of the contract, as it stands there.
    static let contractExample = """
        kind: Listener
        name: plant-floor
        spec: { protocol: mqtt, bind: "0.0.0.0:1883", allowAnonymous: false,
                limits: { connectionsMax: 100000, packetBytesMax: 1MiB, receiveMaximum: 100, topicAliasMaximum: 32 } }
        ---
        kind: Device
        name: press-1
        spec:
          driver: modbus_tcp
          connection: { host: 127.0.0.1, port: 1502, timeout: 1s }
          groups:
            - name: fast
              interval: 100ms
              topic: acme/plant1/press/press-1/fast     # default: tundish/{device}/{group}
              format: values                            # values | tags | ecp | sparkplug | template
              tags:
                - { name: temperature, address: "1!40001", type: float32, scale: 0.1, unit: "°C", deadband: 0.5 }
                - { name: setpoint, address: "1!40010#LB", type: float32, access: read-write }
        ---
        kind: Rule
        name: overheating
        spec:
          sql: |
            SELECT device, values.temperature AS temperature, timestamp
            FROM "acme/+/press/+/fast" WHERE values.temperature > 80
          outputs:
            - publish: { topic: "alarms/${device}", qos: 1 }
            - sink: plant-db
        ---
        kind: Sink
        name: plant-db
        spec:
          type: postgres
          connection: { url: "postgres://tundish@127.0.0.1/plant" }
          table: overheating
          columns: { ts: "${timestamp}", device: "${device}", temperature: "${temperature}" }
          batch: { rowsMax: 5000, delayMax: 200ms }
          buffer: { bytesMax: 1GiB, onFull: dropOldest }
        """

    /// What is wrong with the text, one line per issue.
    static func issues(_ text: String, file: String = "plant.yaml") -> [String] {
        checked(text, file: file).issues.map(\.description)
    }

    static func checked(_ text: String, file: String = "plant.yaml") -> (
        documents: [CheckedDocument], issues: [Resources.Issue]
    ) {
        var (documents, issues) = registry.reader.read(text, file: file)
        let checked = registry.check(documents, &issues)
        return (checked, issues.issues)
    }

    /// A sink document with the given spec lines.
    static func spec(_ kind: String, _ lines: String) -> ConfigValue? {
        let indented = lines.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(
            separator: "\n")
        return checked("kind: \(kind)\nname: x\nspec:\n\(indented)\n").documents.first?.spec
    }
}
