import Model

/// What batches in the journal refer to instead of carrying it: whose samples they are, and of what types. Two
/// descriptors with the same content have the same hash, also after a restart.
final class Layout: Sendable {
    let descriptor: BatchDescriptor
    let hash: UInt64
    /// Tags in a row whose slots take the same number of bytes in a dense batch.
    let runs: [WidthRun]
    let groupHash: UInt64

    init(_ descriptor: BatchDescriptor) {
        self.descriptor = descriptor
        var runs: [WidthRun] = []
        for tag in descriptor.tags {
            let width = Self.width(tag.type)
            let isSigned = tag.type.isInline && tag.type.scalar.isSignedInteger
            if let last = runs.last, last.width == width, last.isSigned == isSigned {
                runs[runs.count - 1].count += 1
            } else {
                runs.append(WidthRun(count: 1, width: width, isSigned: isSigned))
            }
        }
        self.runs = runs
        hash = Self.fnv(Self.encode(descriptor))
        groupHash = Self.fnv(Array(descriptor.deviceUID.utf8) + [0] + Array(descriptor.group.utf8))
    }

    struct WidthRun {
        var count: Int
        /// 1, 2, 4 or 8 bytes of the slot are kept.
        var width: Int
        var isSigned: Bool
    }

    private static func width(_ type: ValueType) -> Int {
        guard type.isInline else { return 8 }
        if type.scalar == .bool { return 1 }
        return type.scalar.bitWidth.map { $0 / 8 } ?? 8
    }

    private static func fnv(_ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        hash = (hash ^ hash >> 32) &* 0xD6E8_FEB8_6659_FD93
        return hash ^ hash >> 32
    }

    func encoded() -> [UInt8] { Self.encode(descriptor) }

    /// Strings with their length as a varint: device, uid, group; number of tags; for each name, type, element
    /// count, unit (length plus one; 0: none).
    private static func encode(_ descriptor: BatchDescriptor) -> [UInt8] {
        let sink = ByteSink()
        func put(_ text: String) {
            sink.putVarint(UInt64(text.utf8.count))
            for byte in text.utf8 { sink.put(byte) }
        }
        put(descriptor.device)
        put(descriptor.deviceUID)
        put(descriptor.group)
        sink.putVarint(UInt64(descriptor.tags.count))
        for tag in descriptor.tags {
            put(tag.name)
            sink.put(tag.type.scalar.rawValue)
            sink.putVarint(UInt64(tag.type.arrayCount))
            sink.putVarint(tag.unit.map { UInt64($0.utf8.count) + 1 } ?? 0)
            for byte in (tag.unit ?? "").utf8 { sink.put(byte) }
        }
        return Array(sink.bytes)
    }

    convenience init?(_ bytes: UnsafeRawBufferPointer) {
        guard let descriptor = try? Self.decode(bytes) else { return nil }
        self.init(descriptor)
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer) throws(ChunkDamage) -> BatchDescriptor {
        var source = ByteSource(bytes)
        func text(_ source: inout ByteSource) throws(ChunkDamage) -> String {
            let count = try source.varint()
            guard count <= 1 << 24 else { throw ChunkDamage() }
            return String(decoding: try source.take(Int(count)), as: UTF8.self)
        }
        let device = try text(&source)
        let uid = try text(&source)
        let group = try text(&source)
        let count = try source.varint()
        guard count <= 1 << 24 else { throw ChunkDamage() }
        var tags: [Tag] = []
        for _ in 0..<Int(count) {
            let name = try text(&source)
            guard let scalar = ScalarType(rawValue: try source.byte()) else { throw ChunkDamage() }
            let elements = try source.varint()
            guard elements <= UInt64(ValueType.arrayCountMax) else { throw ChunkDamage() }
            let unitCount = try source.varint()
            guard unitCount <= 1 << 16 else { throw ChunkDamage() }
            let unit = unitCount == 0 ? nil : String(decoding: try source.take(Int(unitCount) - 1), as: UTF8.self)
            tags.append(Tag(name: name, type: ValueType(scalar, arrayCount: Int(elements)), unit: unit))
        }
        return BatchDescriptor(device: device, deviceUID: uid, group: group, tags: tags)
    }
}
