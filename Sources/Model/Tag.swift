/// What a client may do with a tag.
package enum TagAccess: String, Sendable, CaseIterable {
    case read
    case write
    case readWrite = "read-write"

    package var isReadable: Bool { self != .write }
    package var isWritable: Bool { self != .read }
}

/// What the inside of Tundish knows of a tag, whatever protocol it comes from.
package struct Tag: Sendable, Hashable {
    /// Unique in its group.
    package var name: String
    /// The type of the samples, after scaling.
    package var type: ValueType
    package var access: TagAccess
    /// Display text, such as `°C`.
    package var unit: String?
    /// The unit's UCUM code, such as `Cel`.
    package var ucum: String?
    package var description: String?

    package init(
        name: String, type: ValueType, access: TagAccess = .read, unit: String? = nil, ucum: String? = nil,
        description: String? = nil
    ) {
        self.name = name
        self.type = type
        self.access = access
        self.unit = unit
        self.ucum = ucum
        self.description = description
    }
}

/// Identifies the history of one tag. Made from the device's uid, which survives renaming, and the names of group
/// and tag, so that whoever knows these computes the same id without asking.
@frozen
package struct SeriesID: RawRepresentable, Hashable, Comparable, Sendable {
    package var rawValue: UInt64
    @inlinable package init(rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable package static func < (a: SeriesID, b: SeriesID) -> Bool { a.rawValue < b.rawValue }

    /// 64-bit FNV-1a over the three parts, each ended by a zero byte, with a final mix.
    package init(device uid: String, group: String, tag: String) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for part in [uid, group, tag] {
            for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
            hash = hash &* 0x0000_0100_0000_01B3
        }
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        rawValue = hash ^ (hash >> 33)
    }
}
