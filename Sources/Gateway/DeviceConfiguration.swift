import DriverKit
package import Model

/// A device as a person configures it: the spec of a `Device` resource with the resource's identity.
package struct DeviceConfiguration: Sendable, Hashable {
    package static let groupsMax = 1024
    /// The shortest polling interval that a document may ask for.
    package static let intervalMin = Duration.milliseconds(10)
    package static let tagsPerGroupMax = 200_000

    package var name: String
    /// Survives renaming.
    package var uid: String
    package var driver: String
    /// Follows the driver's connection schema.
    package var connection: ConfigValue
    /// A device that is not enabled is known but left alone.
    package var isEnabled: Bool
    package var groups: [GroupConfiguration]

    package init(
        name: String, uid: String, driver: String, connection: ConfigValue, isEnabled: Bool = true,
        groups: [GroupConfiguration]
    ) {
        self.name = name
        self.uid = uid
        self.driver = driver
        self.connection = connection
        self.isEnabled = isEnabled
        self.groups = groups
    }
}

/// When a group's batch is published.
package enum ReportPolicy: Sendable, Hashable {
    /// Each cycle, with all tags.
    case cycle
    /// What has changed by more than its deadband, if anything; and everything after `heartbeat` at the latest.
    case change(heartbeat: Duration?)
}

/// By how much a number must differ from the one reported last.
package struct Deadband: Sendable, Hashable {
    package var absolute: Double
    /// Of the value reported last, in percent.
    package var percent: Double

    package init(absolute: Double = 0, percent: Double = 0) {
        self.absolute = absolute
        self.percent = percent
    }

    package static let none = Deadband()

    package func isExceeded(from old: Double, to new: Double) -> Bool {
        if old == new || (old.isNaN && new.isNaN) { return false }
        let difference = abs(new - old)
        // Not `<=`: what cannot be compared counts as changed.
        return !(difference <= max(absolute, abs(old) * percent / 100))
    }
}

/// Tags that are read together and published together.
package struct GroupConfiguration: Sendable, Hashable {
    package var name: String
    package var interval: Duration
    /// Nil: `tundish/{device}/{group}`. `{device}` and `{group}` are filled in.
    package var topic: String?
    package var format: String
    package var dialect: String?
    package var qos: UInt8
    package var isRetained: Bool
    package var isRecorded: Bool
    package var report: ReportPolicy
    package var tags: [TagConfiguration]

    package init(
        name: String, interval: Duration, topic: String? = nil, format: String = "values", dialect: String? = nil,
        qos: UInt8 = 0, isRetained: Bool = false, isRecorded: Bool = true, report: ReportPolicy = .cycle,
        tags: [TagConfiguration]
    ) {
        self.name = name
        self.interval = interval
        self.topic = topic
        self.format = format
        self.dialect = dialect
        self.qos = qos
        self.isRetained = isRetained
        self.isRecorded = isRecorded
        self.report = report
        self.tags = tags
    }

    package func topicText(device: String) -> String {
        var text = topic ?? "tundish/{device}/{group}"
        for (placeholder, value) in [("{device}", device), ("{group}", name)] {
            var filled = ""
            var rest = text[...]
            while let range = rest.firstRange(of: placeholder) {
                filled += rest[..<range.lowerBound] + value
                rest = rest[range.upperBound...]
            }
            text = filled + rest
        }
        return text
    }
}

package struct TagConfiguration: Sendable, Hashable {
    package var name: String
    package var address: String
    /// In the device.
    package var type: ValueType
    package var access: TagAccess
    package var scaling: Scaling?
    package var deadband: Deadband
    package var unit: String?
    package var ucum: String?
    package var description: String?

    package init(
        name: String, address: String, type: ValueType, access: TagAccess = .read, scaling: Scaling? = nil,
        deadband: Deadband = .none, unit: String? = nil, ucum: String? = nil, description: String? = nil
    ) {
        self.name = name
        self.address = address
        self.type = type
        self.access = access
        self.scaling = scaling
        self.deadband = deadband
        self.unit = unit
        self.ucum = ucum
        self.description = description
    }

    /// What the rest of Tundish sees: the type is the one after scaling.
    package var tag: Tag {
        Tag(
            name: name, type: scaling.map { _ in Scaling.scaledType(of: type) } ?? type, access: access, unit: unit,
            ucum: ucum, description: description)
    }
}

extension TagConfiguration {
    /// What the driver sees.
    var spec: TagSpec { TagSpec(tag: tag, address: address, wireType: type) }
}

// MARK: from a document

extension DeviceConfiguration {
    /// From a spec that was validated against `deviceSchema`. Errors: `device.configuration`, `group.duplicate`,
    /// `tag.duplicate`, `tag.scale`; each names the place.
    package init(name: String, uid: String, spec: ConfigValue) throws(Problem) {
        guard let driver = spec["driver"]?.string else {
            throw Problem("device.configuration", "device \"\(name)\": driver is missing", ["device": name])
        }
        var groups: [GroupConfiguration] = []
        var names: Set<String> = []
        for value in spec["groups"]?.list ?? [] {
            let group = try GroupConfiguration(value, device: name)
            guard names.insert(group.name).inserted else {
                throw Problem(
                    "group.duplicate", "device \"\(name)\": there are two groups \"\(group.name)\"",
                    ["device": name, "group": group.name])
            }
            groups.append(group)
        }
        self.init(
            name: name, uid: uid, driver: driver, connection: spec["connection"] ?? .object([ConfigEntry]()),
            isEnabled: spec["enabled"]?.bool ?? true, groups: groups)
    }
}

extension GroupConfiguration {
    init(_ value: ConfigValue, device: String) throws(Problem) {
        guard let name = value["name"]?.string else {
            throw Problem("device.configuration", "device \"\(device)\": a group has no name", ["device": device])
        }
        let common = Deadband(value)
        var tags: [TagConfiguration] = []
        var names: Set<String> = []
        for item in value["tags"]?.list ?? [] {
            let tag = try TagConfiguration(item, common: common, place: "device \"\(device)\", group \"\(name)\"")
            guard names.insert(tag.name).inserted else {
                throw Problem(
                    "tag.duplicate", "device \"\(device)\", group \"\(name)\": there are two tags \"\(tag.name)\"",
                    ["device": device, "group": name, "tag": tag.name])
            }
            tags.append(tag)
        }
        self.init(
            name: name, interval: value["interval"]?.duration ?? .seconds(1), topic: value["topic"]?.string,
            format: value["format"]?.string ?? "values", dialect: value["dialect"]?.string,
            qos: UInt8(clamping: value["qos"]?.integer ?? 0), isRetained: value["retain"]?.bool ?? false,
            isRecorded: value["record"]?.bool ?? true,
            report: value["report"]?.string == "change" ? .change(heartbeat: value["heartbeat"]?.duration) : .cycle,
            tags: tags)
    }
}

extension Deadband {
    init(_ value: ConfigValue) {
        self.init(absolute: value["deadband"]?.number ?? 0, percent: value["deadbandPercent"]?.number ?? 0)
    }
}

extension TagConfiguration {
    init(_ value: ConfigValue, common: Deadband, place: String) throws(Problem) {
        guard let name = value["name"]?.string, let address = value["address"]?.string else {
            throw Problem("device.configuration", "\(place): a tag needs name and address")
        }
        let place = "\(place), tag \"\(name)\""
        let text = value["type"]?.string ?? ""
        guard let type = ValueType(text) else {
            throw Problem(
                "device.configuration",
                "\(place): type \"\(text)\" is none of \(ScalarType.allCases.map(\.name).joined(separator: ", "))",
                ["tag": name, "type": text])
        }
        let access = value["access"]?.string.flatMap(TagAccess.init(rawValue:)) ?? .read
        let hasDeadband = value["deadband"] != nil || value["deadbandPercent"] != nil
        self.init(
            name: name, address: address, type: type, access: access,
            scaling: try Self.scaling(value, type: type, place: place),
            deadband: hasDeadband ? Deadband(value) : common, unit: value["unit"]?.string,
            ucum: value["ucum"]?.string, description: value["description"]?.string)
    }

    private static func scaling(_ value: ConfigValue, type: ValueType, place: String) throws(Problem) -> Scaling? {
        let scale = value["scale"]?.number
        let offset = value["offset"]?.number
        let precision = value["precision"]?.integer
        guard scale != nil || offset != nil || precision != nil else { return nil }
        guard type.scalar.isNumber, !type.isArray else {
            throw Problem("tag.scale", "\(place): scale, offset and precision are for numbers, not for \(type)")
        }
        let factor = scale ?? 1
        guard factor != 0, factor.isFinite else {
            throw Problem("tag.scale", "\(place): scale must not be 0")
        }
        // An integer that is only to be rounded stays the integer it is.
        if precision != nil, scale == nil, offset == nil, type.scalar.isInteger { return nil }
        return Scaling(scale: factor, offset: offset ?? 0, precision: precision.map { Int($0) })
    }
}
