import Bus
import Formats
import Model

/// The fields that the rules of a topic use, each once: the payload is read once for all of them.
final class FieldTable {
    /// Descriptors whose bindings are kept; a topic usually has one.
    private static let bindingsMax = 64

    let paths: [[JSONStep]]
    let set: JSONFieldSet
    /// The slot of the whole payload; -1: nobody wants it.
    let whole: Int
    private var bindings: [ObjectIdentifier: FieldBinding] = [:]
    private var last: FieldBinding?

    init(_ paths: [[JSONStep]]) {
        self.paths = paths
        set = JSONFieldSet(paths)
        whole = paths.firstIndex { $0.isEmpty } ?? -1
    }

    var count: Int { paths.count }

    /// Where the fields are in batches of a descriptor.
    func binding(_ descriptor: BatchDescriptor) -> FieldBinding {
        if let last, last.descriptor === descriptor { return last }
        let key = ObjectIdentifier(descriptor)
        if let known = bindings[key] {
            last = known
            return known
        }
        if bindings.count >= Self.bindingsMax { bindings.removeAll() }
        let made = FieldBinding(paths, descriptor)
        bindings[key] = made
        last = made
        return made
    }
}

/// Where the fields of a table are found in batches of one descriptor.
final class FieldBinding {
    struct Target {
        enum Kind: UInt8 {
            case absent, device, group, timestamp, value, quality
            /// Through the JSON form of the batch: whole objects, errors, arrays.
            case canonical
        }

        var kind: Kind
        var type: ScalarType = .bool
        var tag: Int32 = 0
    }

    /// Keeps the descriptor alive, so that its identity is not given to another.
    let descriptor: BatchDescriptor
    let targets: [Target]
    private let device: Bytes
    private let group: Bytes
    private var encoder: (any PayloadEncoder)?

    init(_ paths: [[JSONStep]], _ descriptor: BatchDescriptor) {
        self.descriptor = descriptor
        targets = paths.map { Self.target($0, descriptor) }
        device = Bytes(descriptor.device)
        group = Bytes(descriptor.group)
    }

    /// Valid as long as the binding.
    var deviceText: UnsafeRawBufferPointer { device.withUnsafeBytes { $0 } }
    var groupText: UnsafeRawBufferPointer { group.withUnsafeBytes { $0 } }

    private static func target(_ path: [JSONStep], _ descriptor: BatchDescriptor) -> Target {
        guard case .key(let first)? = path.first else { return Target(kind: path.isEmpty ? .canonical : .absent) }
        if path.count == 1 {
            switch first {
            case "device": return Target(kind: .device)
            case "group": return Target(kind: .group)
            case "timestamp": return Target(kind: .timestamp)
            case "values", "quality", "errors": return Target(kind: .canonical)
            default: return Target(kind: .absent)
            }
        }
        guard case .key(let name) = path[1], let tag = descriptor.index(of: name) else { return Target(kind: .absent) }
        let type = descriptor.tags[tag].type
        switch first {
        case "values" where path.count == 2 && !type.isArray:
            return Target(kind: .value, type: type.scalar, tag: Int32(tag))
        case "values": return Target(kind: type.isArray ? .canonical : .absent)
        case "quality" where path.count == 2: return Target(kind: .quality, tag: Int32(tag))
        case "errors": return Target(kind: .canonical)
        default: return Target(kind: .absent)
        }
    }

    /// The batch in the form that rules see, whatever format its group publishes in.
    func canonical(_ batch: SampleBatch) -> Bytes {
        if let encoder { return encoder.encode(batch) }
        do throws(Problem) {
            let made = try makeEncoder(format: GroupFormat.values.rawValue, descriptor: descriptor)
            encoder = made
            return made.encode(batch)
        } catch {
            // The format is one of those that are known.
            return Bytes("{}")
        }
    }
}
