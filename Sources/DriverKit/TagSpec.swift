package import Model

/// One tag as its driver sees it.
package struct TagSpec: Sendable {
    /// What the rest of Tundish knows of it; its type is the one after scaling.
    package var tag: Tag
    /// What the user typed, in the driver's syntax.
    package var address: String
    /// The type in the device: what the driver puts into slots and is given to write.
    package var wireType: ValueType
    /// Options of the tag that only the driver knows; `.null` where there are none.
    package var options: ConfigValue

    package init(tag: Tag, address: String, wireType: ValueType? = nil, options: ConfigValue = .null) {
        self.tag = tag
        self.address = address
        self.wireType = wireType ?? tag.type
        self.options = options
    }
}

/// What is wrong with an address and at which character, counted from 1.
package struct AddressProblem: Sendable, Hashable {
    package var column: Int
    /// Completes "column 3: ...", such as `area must be 0, 1, 3 or 4`.
    package var reason: String

    package init(column: Int, reason: String) {
        self.column = column
        self.reason = reason
    }
}

extension TagSpec {
    /// The problem as the host completes it with the device's name. Code `tag.address_invalid`.
    package func problem(_ failure: AddressProblem) -> Problem {
        Problem(
            "tag.address_invalid",
            "tag \"\(tag.name)\", address \"\(address)\", column \(failure.column): \(failure.reason)",
            ["tag": tag.name, "address": address, "column": String(failure.column), "reason": failure.reason])
    }

    /// A problem of the tag that is not its address' syntax.
    package func problem(_ code: String, _ reason: String) -> Problem {
        Problem(
            code, "tag \"\(tag.name)\", address \"\(address)\": \(reason)",
            ["tag": tag.name, "address": address, "reason": reason])
    }
}

/// One value on its way to the device: converted to the tag's wire type and scaled back already.
package struct TagWrite: Sendable {
    package var spec: TagSpec
    package var value: Value

    package init(_ spec: TagSpec, _ value: Value) {
        self.spec = spec
        self.value = value
    }
}

/// What became of one value.
package enum TagWriteOutcome: Sendable, Equatable {
    /// The device has confirmed it.
    case written
    /// The device or the way to it failed; the code says how.
    case failed(Quality)
    /// The driver refused before anything was sent: the value does not fit, the tag cannot be written.
    case refused(Problem)
}

/// Something that `browse` found.
package struct BrowsedTag: Sendable, Hashable {
    package var name: String
    package var address: String
    package var type: ValueType?
    package var access: TagAccess
    /// Whether `browse(below: address)` finds more.
    package var hasChildren: Bool

    package init(name: String, address: String, type: ValueType?, access: TagAccess = .read, hasChildren: Bool = false)
    {
        self.name = name
        self.address = address
        self.type = type
        self.access = access
        self.hasChildren = hasChildren
    }
}
