package import Formats
package import Model

/// Makes a row's columns out of a rule's result, by the templates of a sink's `columns`.
///
/// `${name}` alone takes the field as it is, with its type; with other text around it the column is text. `${a.b}`
/// is the field `a.b`, else the field `b` of the object `a`. `${.}` is the whole result.
package struct RowMapping: Sendable {
    private enum Part: Sendable {
        case text(String)
        /// Slots of the field under its whole name, and reached through objects; -1 for none.
        case field(whole: Int, nested: Int)
        case result
    }

    package let columns: [SinkColumn]
    private let templates: [[Part]]
    private let fields: JSONFieldSet
    private let slotCount: Int
    /// Slots whose value chooses the lane; the first that is there counts.
    private let laneSlots: [String: [Int]]

    /// `templates` in the order of the columns. Lanes can be asked for under every one of `divisions`.
    package init(
        _ templates: [(name: String, template: String, type: ValueType?)], divisions: [LanePolicy]
    ) throws(Problem) {
        var paths: [[JSONStep]] = []
        func slot(_ path: [String]) -> Int {
            let steps = path.map { JSONStep.key($0) }
            if let known = paths.firstIndex(of: steps) { return known }
            paths.append(steps)
            return paths.count - 1
        }
        func field(_ name: String) -> (Int, Int) {
            let path = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            return (slot([name]), path.count > 1 ? slot(path) : -1)
        }
        var compiled: [[Part]] = []
        for (name, template, _) in templates {
            var parts: [Part] = []
            for piece in try Self.split(template, column: name) {
                switch piece {
                case .text(let text): parts.append(.text(text))
                case .name("."): parts.append(.result)
                case .name(let name):
                    let (whole, nested) = field(name)
                    parts.append(.field(whole: whole, nested: nested))
                }
            }
            compiled.append(parts)
        }
        var laneSlots: [String: [Int]] = [:]
        for policy in divisions {
            guard policy.lanes > 1 else { continue }
            let names = policy.key.map { [$0] } ?? ["device", "topic"]
            laneSlots[policy.division] = names.flatMap { name in
                let (whole, nested) = field(name)
                return nested >= 0 ? [whole, nested] : [whole]
            }
        }
        columns = templates.map { SinkColumn(name: $0.name, type: $0.type) }
        self.templates = compiled
        self.laneSlots = laneSlots
        if paths.isEmpty { paths.append([]) }
        slotCount = paths.count
        fields = JSONFieldSet(paths)
    }

    private enum Piece { case text(String), name(String) }

    private static func split(_ template: String, column: String) throws(Problem) -> [Piece] {
        var pieces: [Piece] = []
        var rest = template[...]
        while let open = rest.firstRange(of: "${") {
            if open.lowerBound > rest.startIndex { pieces.append(.text(String(rest[..<open.lowerBound]))) }
            guard let close = rest[open.upperBound...].firstIndex(of: "}"), close > open.upperBound else {
                throw Problem(
                    "sink.template", "column \"\(column)\": \"${\" without a name and \"}\" in \"\(template)\"",
                    ["column": column, "template": template])
            }
            pieces.append(.name(String(rest[open.upperBound..<close])))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty || pieces.isEmpty { pieces.append(.text(String(rest))) }
        return pieces
    }

    /// A row taken apart. Reused from row to row.
    package final class Reading {
        fileprivate let slots: UnsafeMutablePointer<JSONSlot>

        package init(_ mapping: RowMapping) {
            slots = .allocate(capacity: mapping.slotCount)
        }

        deinit { slots.deallocate() }
    }

    /// Fills `values`, one for each column. Where the text is no JSON, they are not to be used, and it says why.
    package func read(
        _ text: UnsafeRawBufferPointer, _ reading: Reading, into values: inout [Value?]
    ) -> JSONFailure? {
        if let failure = fields.scan(text, into: reading.slots) { return failure }
        for (column, parts) in templates.enumerated() {
            if parts.count == 1 {
                values[column] = value(parts[0], text, reading)
            } else {
                var joined = ""
                for part in parts { joined += value(part, text, reading).map { "\($0)" } ?? "" }
                values[column] = .string(joined)
            }
        }
        return nil
    }

    /// What `read` fills.
    package var emptyRow: [Value?] { Array(repeating: nil, count: columns.count) }

    /// The row's lane; of the row that was read last.
    package func lane(_ policy: LanePolicy, _ text: UnsafeRawBufferPointer, _ reading: Reading) -> Int {
        guard policy.lanes > 1, let slots = laneSlots[policy.division] else { return 0 }
        for slot in slots {
            let found = reading.slots[slot]
            guard found.kind != .absent, found.kind != .null else { continue }
            let start = Int(found.offset)
            return policy.lane(of: UnsafeRawBufferPointer(rebasing: text[start..<start + Int(found.count)]))
        }
        return 0
    }

    private func value(_ part: Part, _ text: UnsafeRawBufferPointer, _ reading: Reading) -> Value? {
        switch part {
        case .text(let text): return .string(text)
        case .result: return .string(String(decoding: text, as: UTF8.self))
        case .field(let whole, let nested):
            var slot = reading.slots[whole]
            if slot.kind == .absent, nested >= 0 { slot = reading.slots[nested] }
            return Self.value(slot, text)
        }
    }

    private static func value(_ slot: JSONSlot, _ text: UnsafeRawBufferPointer) -> Value? {
        let start = Int(slot.offset)
        func bytes() -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: text[start..<start + Int(slot.count)])
        }
        switch slot.kind {
        case .absent, .null: return nil
        case .true: return .bool(true)
        case .false: return .bool(false)
        case .number:
            switch JSONText.number(bytes()) {
            case .integer(let value): return .int(value)
            case .unsigned(let value): return .uint(value)
            case .double(let value): return .float64(value)
            }
        case .string: return .string(String(decoding: bytes(), as: UTF8.self))
        case .escapedString:
            let inside = bytes()
            return .string(
                String(unsafeUninitializedCapacity: inside.count) { target in
                    target.baseAddress.map { JSONText.unescape(inside, to: $0) } ?? 0
                })
        case .object: return .string(String(decoding: bytes(), as: UTF8.self))
        case .array:
            // Lists of plain values are arrays; anything else stays text.
            if let parsed = try? JSONValue(parsing: bytes()), let value = parsed.value { return value }
            return .string(String(decoding: bytes(), as: UTF8.self))
        }
    }
}
