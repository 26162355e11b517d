import Console
import Model

/// Points that came by REST, as batches for the historian.
enum PointBatches {
    static func make(_ points: [RecordedPoint], now: Timestamp) throws(Problem) -> [SampleBatch] {
        var groups: [TagPath: [RecordedPoint]] = [:]
        var order: [TagPath] = []
        for point in points {
            if groups[point.path] == nil { order.append(point.path) }
            groups[point.path, default: []].append(point)
        }
        var batches: [SampleBatch] = []
        for path in order {
            let points = groups[path] ?? []
            let type = try commonType(points, path)
            // There is no device behind such a tag: its name stands for its uid.
            let descriptor = BatchDescriptor(
                device: path.device, deviceUID: "points:" + path.device, group: path.group,
                tags: [Tag(name: path.tag, type: ValueType(type))])
            let builder = SampleBatchBuilder(sparse: descriptor, timestamp: now, capacity: points.count)
            for point in points {
                guard let value = try? point.value.converted(to: ValueType(type)) else {
                    // Nothing of the request is kept then: what is answered as accepted is on the disk, all of it.
                    throw Problem(
                        "point.value", "tag \"\(path)\": \(point.value) is no \(type.name)", ["tag": "\(path)"])
                }
                builder.set(tag: 0, value: value)
                builder.setSourceTime(tag: 0, point.time ?? now)
            }
            batches.append(builder.finish())
        }
        return batches
    }

    /// All numbers of a tag are kept as float64, so that one that happens to be whole makes no series of its own.
    private static func commonType(_ points: [RecordedPoint], _ path: TagPath) throws(Problem) -> ScalarType {
        var type: ScalarType?
        for point in points {
            let own: ScalarType =
                switch point.value {
                case .bool: .bool
                case .int, .uint, .float32, .float64: .float64
                case .string: .string
                case .bytes: .bytes
                case .timestamp: .timestamp
                case .array:
                    throw Problem(
                        "point.array", "tag \"\(path)\": a point's value is a number, a truth or a text",
                        ["tag": "\(path)"])
                }
            if let type, type != own {
                throw Problem(
                    "point.mixed_types", "tag \"\(path)\": values of type \(type.name) and \(own.name) in one request",
                    ["tag": "\(path)"])
            }
            type = own
        }
        return type ?? .float64
    }
}
