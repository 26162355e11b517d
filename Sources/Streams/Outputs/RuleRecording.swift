import Formats
import Model

/// One historian output of a rule: makes batches of results, whose columns are the tags.
///
/// The columns `device`, `group` and `timestamp` (Unix milliseconds or RFC 3339) name the series and the time; they
/// are not tags themselves. Columns are integers until a fraction is seen, then floats.
final class RuleRecording {
    /// Device and group pairs whose descriptors are kept.
    private static let seriesMax = 10_000
    private static let ownColumns: Set<String> = ["device", "group", "timestamp"]

    private struct Group {
        var types: [String: ScalarType] = [:]
        var names: [String] = []
        var descriptor: BatchDescriptor?
        var revision: UInt32 = 0
    }

    let output: CompiledHistorian
    private let ruleName: String
    private var groups: [String: Group] = [:]

    init(_ output: CompiledHistorian, ruleName: String) {
        self.output = output
        self.ruleName = ruleName
    }

    /// Nil where the result has no value.
    func batch(
        _ context: EvaluationContext, _ projection: Projection, _ writer: inout JSONWriter, at time: Timestamp
    ) -> SampleBatch? {
        var columns: [(name: String, value: Value)] = []
        if projection.hasStar || projection.columns.isEmpty {
            writer.reset()
            context.write(projection, to: &writer)
            guard context.failure == nil, let result = try? JSONValue(parsing: writer.bytes()) else { return nil }
            for member in result.members ?? [] {
                if let value = member.value.value { columns.append((member.key, value)) }
            }
        } else {
            for column in projection.columns {
                if let value = Self.value(context.decoded(context.project(column.node))) {
                    columns.append((column.name, value))
                }
            }
        }
        guard context.failure == nil else { return nil }
        let device = name(output.device, "device", columns, context, projection, &writer) ?? ruleName
        let group = name(output.group, "group", columns, context, projection, &writer) ?? ruleName
        let stamp = columns.first { $0.name == "timestamp" }.flatMap { Self.time($0.value) } ?? time
        columns.removeAll { Self.ownColumns.contains($0.name) }
        return columns.isEmpty ? nil : batch(columns, device, group, stamp)
    }

    private func batch(
        _ columns: [(name: String, value: Value)], _ device: String, _ group: String, _ time: Timestamp
    ) -> SampleBatch? {
        let key = device + "\u{0}" + group
        if groups[key] == nil, groups.count >= Self.seriesMax { groups.removeAll() }
        var series = groups[key] ?? Group()
        for (name, value) in columns {
            guard let type = Self.type(value) else { continue }
            let known = series.types[name]
            guard known == nil || known == .int64 && type == .float64 else { continue }
            if known == nil { series.names.append(name) }
            series.types[name] = type
            series.descriptor = nil
        }
        guard !series.names.isEmpty else { return nil }
        let descriptor: BatchDescriptor
        if let known = series.descriptor {
            descriptor = known
        } else {
            series.revision += 1
            descriptor = BatchDescriptor(
                device: device, deviceUID: device, group: group,
                tags: series.names.map { Tag(name: $0, type: ValueType(series.types[$0] ?? .float64)) },
                revision: series.revision)
            series.descriptor = descriptor
        }
        groups[key] = series
        let builder = SampleBatchBuilder(sparse: descriptor, timestamp: time, capacity: columns.count)
        for (name, value) in columns {
            guard let tag = descriptor.index(of: name) else { continue }
            if let converted = try? value.converted(to: descriptor.tags[tag].type) {
                builder.set(tag: tag, value: converted)
            } else {
                builder.fail(tag: tag, .badTypeMismatch)
            }
        }
        return builder.count > 0 ? builder.finish() : nil
    }

    private func name(
        _ template: Template?, _ column: String, _ columns: [(name: String, value: Value)],
        _ context: EvaluationContext, _ projection: Projection, _ writer: inout JSONWriter
    ) -> String? {
        guard let template else { return columns.first { $0.name == column }.map { "\($0.value)" } }
        writer.reset()
        guard context.write(template, result: projection, to: &writer), writer.count > 0 else { return nil }
        return writer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    private static func type(_ value: Value) -> ScalarType? {
        switch value {
        case .bool: .bool
        case .int: .int64
        case .uint: .uint64
        case .float32, .float64: .float64
        case .string: .string
        case .bytes, .timestamp, .array: nil
        }
    }

    private static func value(_ cell: Cell) -> Value? {
        switch cell.kind {
        case .bool: .bool(cell.isTrue)
        case .integer: .int(cell.int)
        case .unsigned: .uint(cell.bits)
        case .float, .double: .float64(cell.number)
        case .text: .string(String(decoding: cell.bytes, as: UTF8.self))
        default: nil
        }
    }

    private static func time(_ value: Value) -> Timestamp? {
        switch value {
        case .int(let milliseconds): Timestamp(milliseconds: milliseconds)
        case .string(let text): Timestamp(rfc3339: text)
        default: nil
        }
    }
}
