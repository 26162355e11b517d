package import Model

/// A `Sink` resource's spec.
package struct SinkConfiguration: Sendable, Hashable {
    package static let columnsMax = 1600

    package struct Column: Sendable, Hashable {
        package var name: String
        package var template: String
        package var type: ValueType?
    }

    package var name: String
    package var type: String
    package var isEnabled: Bool
    package var connection: ConfigValue
    /// The whole spec, for the keys that only this kind of sink has.
    package var options: ConfigValue
    package var columns: [Column]
    package var batch: BatchPolicy
    package var buffer: BufferPolicy
    package var lanes: LanePolicy
    package var retry: RetryPolicy

    /// From a spec that was validated against `schema(of:)`. Errors: `sink.configuration`, `sink.template`,
    /// `sink.lanes`, and what the kind of sink finds.
    package init(name: String, _ spec: ConfigValue, sinks: [any Sink.Type]) throws(Problem) {
        guard let type = spec["type"]?.string, let sink = sinks.first(where: { $0.descriptor.type == type }) else {
            let known = sinks.map { $0.descriptor.type }.joined(separator: ", ")
            throw Problem("sink.configuration", "sink \"\(name)\": type must be one of \(known)", ["sink": name])
        }
        self.name = name
        self.type = type
        isEnabled = spec["enabled"]?.bool ?? true
        connection = spec["connection"] ?? .object([ConfigEntry]())
        options = spec
        var types: [String: ValueType] = [:]
        for entry in spec["types"]?.entries ?? [] {
            types[entry.key] = entry.value.string.flatMap { ValueType($0) }
        }
        columns = (spec["columns"]?.entries ?? []).map {
            Column(name: $0.key, template: $0.value.string ?? "", type: types[$0.key])
        }
        for name in types.keys where !columns.contains(where: { $0.name == name }) {
            throw Problem(
                "sink.types", "types names the column \"\(name)\", which columns does not have", ["column": name])
        }
        batch = BatchPolicy(spec["batch"], standard: sink.descriptor.batch)
        buffer = BufferPolicy(spec["buffer"])
        lanes = LanePolicy(spec["lanes"])
        retry = RetryPolicy(spec["retry"])
        guard lanes.lanes <= sink.descriptor.lanesMax else {
            throw Problem(
                "sink.lanes", "a \(type) sink can have \(sink.descriptor.lanesMax) lanes at most, not \(lanes.lanes)",
                ["limit": String(sink.descriptor.lanesMax), "lanes": String(lanes.lanes)])
        }
        for entry in spec.entries ?? []
        where !Self.common.contains(entry.key) && sink.descriptor.options.field(entry.key) == nil {
            if case .null = entry.value { continue }
            throw Problem(
                "sink.option", "a \(type) sink has no \"\(entry.key)\"", ["option": entry.key, "type": type])
        }
        for field in sink.descriptor.options.fields where field.isRequired && spec[field.name] == nil {
            throw Problem(
                "sink.option.missing", "a \(type) sink needs \"\(field.name)\": \(field.help)",
                ["option": field.name, "type": type])
        }
        _ = try mapping()
    }

    private static let common: Set<String> = [
        "type", "enabled", "description", "connection", "columns", "types", "batch", "buffer", "lanes", "retry",
    ]

    /// The shape of a sink's spec.
    package static func schema(of sinks: [any Sink.Type]) -> Schema {
        var options: [Field] = []
        for sink in sinks {
            for var field in sink.descriptor.options.fields where !options.contains(where: { $0.name == field.name }) {
                field.isRequired = false
                field.defaultValue = nil
                options.append(field)
            }
        }
        let connections = sinks.map { ($0.descriptor.type, $0.descriptor.connection) }
        return Schema(
            [
                Field(
                    "type", .choice(sinks.map { $0.descriptor.type }), required: true, help: "What the rows go into.",
                    chinese: "数据写入的目标类型。"),
                Field(
                    "enabled", .bool, default: .bool(true),
                    help: "Whether rows are written; rows that come meanwhile wait.", chinese: "是否写入；停用期间数据缓存等待。"),
                Field("description", .string, help: "For people.", chinese: "供人阅读的说明。"),
                Field(
                    "connection", .chosen(by: "type", Dictionary(uniqueKeysWithValues: connections)), required: true,
                    help: "How the other side is reached.", chinese: "如何连接到目标。"),
                Field(
                    "columns", .map(.string, countMax: columnsMax),
                    help: "Columns and what fills them: ${name} is a field of the row, ${.} the whole row.",
                    chinese: "列及其内容：${名称} 为行的字段，${.} 为整行。"),
                Field(
                    "types", .map(.string(.valueType), countMax: columnsMax),
                    help: "Types of columns, for a table that is made.", chinese: "列的类型，用于自动建表。"),
            ] + options + [
                Field("batch", .object(BatchPolicy.schema), help: "When a batch goes.", chinese: "批次何时写出。"),
                Field("buffer", .object(BufferPolicy.schema), help: "Rows that wait on disk.", chinese: "磁盘缓冲。"),
                Field("lanes", .object(LanePolicy.schema), help: "Connections side by side.", chinese: "并行通道。"),
                Field("retry", .object(RetryPolicy.schema), help: "Waits before trying again.", chinese: "重试等待。"),
            ])
    }

    /// `divisions`: those besides the present one under which lanes can be asked for.
    func mapping(divisions: [LanePolicy] = []) throws(Problem) -> RowMapping {
        let templates =
            columns.isEmpty
            ? [(name: "row", template: "${.}", type: nil)]
            : columns.map {
                (name: $0.name, template: $0.template, type: $0.type)
            }
        return try RowMapping(templates, divisions: [lanes] + divisions)
    }
}
