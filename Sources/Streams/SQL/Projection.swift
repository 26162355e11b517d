import Formats

/// What SELECT makes of a message: a JSON object, written from pieces that were joined when it was compiled.
struct Projection {
    enum Piece {
        /// Brackets, keys and commas.
        case raw([UInt8])
        case node(Int32)
        /// The members of the payload, but for those that columns replace.
        case star(field: Int32, except: Set<[UInt8]>)
    }

    /// A column at the top, for outputs that want columns rather than JSON.
    struct Column {
        let name: String
        let node: Int32
    }

    let pieces: FlatPieces
    let columns: [Column]
    let hasStar: Bool

    init(columns: [(path: [String], node: Int32)], star: Int32?) {
        var tree = Branch()
        for column in columns { tree.insert(column.path[...], column.node) }
        var builder = PieceBuilder()
        builder.text("{")
        if let star {
            builder.flush()
            builder.pieces.append(.star(field: star, except: Set(tree.entries.map { Self.inside($0.key) })))
            if !tree.entries.isEmpty { builder.text(",") }
        }
        builder.members(tree)
        builder.text("}")
        builder.flush()
        pieces = FlatPieces(builder.pieces)
        hasStar = star != nil
        self.columns = tree.entries.compactMap { entry in
            if case .leaf(let node) = entry.value { Column(name: entry.key, node: node) } else { nil }
        }
    }

    /// A key as it stands between quotes.
    private static func inside(_ key: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.string(key)
        return writer.withUnsafeBytes { Array($0.dropFirst().dropLast()) }
    }

    private struct Branch {
        indirect enum Value {
            case leaf(Int32)
            case branch(Branch)
        }

        var entries: [(key: String, value: Value)] = []

        /// The last column of a name wins, at the place of the first.
        mutating func insert(_ path: ArraySlice<String>, _ node: Int32) {
            guard let key = path.first else { return }
            let known = entries.firstIndex { $0.key == key }
            if path.count == 1 {
                if let known { entries[known].value = .leaf(node) } else { entries.append((key, .leaf(node))) }
                return
            }
            var child = Branch()
            if let known, case .branch(let branch) = entries[known].value { child = branch }
            child.insert(path.dropFirst(), node)
            if let known { entries[known].value = .branch(child) } else { entries.append((key, .branch(child))) }
        }
    }

    private struct PieceBuilder: ~Copyable {
        var pieces: [Piece] = []
        private var pending = JSONWriter()

        init() {}

        mutating func text(_ text: StaticString) { pending.raw(text) }

        mutating func flush() {
            guard pending.count > 0 else { return }
            pieces.append(.raw(pending.withUnsafeBytes { Array($0) }))
            pending.reset()
        }

        mutating func members(_ branch: Branch) {
            for (index, entry) in branch.entries.enumerated() {
                if index > 0 { text(",") }
                pending.string(entry.key)
                text(":")
                switch entry.value {
                case .leaf(let node):
                    flush()
                    pieces.append(.node(node))
                case .branch(let child):
                    text("{")
                    members(child)
                    text("}")
                }
            }
        }
    }
}

/// The pieces in one block of memory, walked without reference counting.
final class FlatPieces: @unchecked Sendable {
    // Built during initialisation and never written again: that is what makes it Sendable.

    struct Entry {
        /// -1: text; -2: the payload's members.
        var node: Int32
        /// Of text: where it lies. Of the payload's members: the field, and the index of the names left out.
        var offset: Int32
        var count: Int32
    }

    let count: Int
    let entries: UnsafePointer<Entry>
    let text: UnsafePointer<UInt8>
    let excepted: [Set<[UInt8]>]

    init(_ pieces: [Projection.Piece]) {
        var entries: [Entry] = []
        var text: [UInt8] = []
        var excepted: [Set<[UInt8]>] = []
        for piece in pieces {
            switch piece {
            case .raw(let bytes):
                entries.append(Entry(node: -1, offset: Int32(text.count), count: Int32(bytes.count)))
                text += bytes
            case .node(let node): entries.append(Entry(node: node, offset: 0, count: 0))
            case .star(let field, let except):
                entries.append(Entry(node: -2, offset: field, count: Int32(excepted.count)))
                excepted.append(except)
            }
        }
        let table = UnsafeMutablePointer<Entry>.allocate(capacity: max(entries.count, 1))
        for (index, entry) in entries.enumerated() { table[index] = entry }
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: max(text.count, 1))
        for (index, byte) in text.enumerated() { bytes[index] = byte }
        count = entries.count
        self.entries = UnsafePointer(table)
        self.text = UnsafePointer(bytes)
        self.excepted = excepted
    }

    deinit {
        entries.deallocate()
        text.deallocate()
    }
}

extension EvaluationContext {
    /// Writes the result of the message. On failure what was written is to be thrown away.
    func write(_ projection: borrowing Projection, to writer: inout JSONWriter) {
        var skipsComma = false
        let pieces = projection.pieces
        for index in 0..<pieces.count {
            let entry = pieces.entries[index]
            if entry.node >= 0 {
                writer.cell(project(entry.node))
                continue
            }
            if entry.node == -2 {
                skipsComma = !writeMembers(entry.offset, pieces.excepted[Int(entry.count)], &writer)
                continue
            }
            let start = pieces.text + Int(entry.offset)
            let skipped = skipsComma && start.pointee == UInt8(ascii: ",") ? 1 : 0
            writer.raw(UnsafeRawBufferPointer(start: start + skipped, count: Int(entry.count) - skipped))
            skipsComma = false
        }
    }

    /// Whether there were any.
    private func writeMembers(_ field: Int32, _ except: Set<[UInt8]>, _ writer: inout JSONWriter) -> Bool {
        let payload = raw(field)
        guard payload.kind == .object else {
            fail(EvaluationFailure(failure == nil && payload.kind == .text ? .notJSON : .notAnObject))
            return false
        }
        let text = payload.bytes
        if except.isEmpty {
            let inside = UnsafeRawBufferPointer(rebasing: text.dropFirst().dropLast())
            writer.raw(inside)
            return inside.contains { $0 > 0x20 }
        }
        let start = writer.count
        JSONText.forEachMember(of: text) { key, _, value in
            if except.contains(Array(key)) { return }
            if writer.count > start { writer.byte(UInt8(ascii: ",")) }
            writer.byte(UInt8(ascii: "\""))
            writer.raw(key)
            writer.raw("\":")
            let quoted = value.kind == .string || value.kind == .escapedString
            let lower = Int(value.offset) - (quoted ? 1 : 0)
            let upper = Int(value.offset) + Int(value.count) + (quoted ? 1 : 0)
            writer.raw(UnsafeRawBufferPointer(rebasing: text[lower..<upper]))
        }
        return writer.count > start
    }
}
