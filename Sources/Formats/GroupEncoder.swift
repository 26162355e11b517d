import Bus
package import Model

/// Writes batches of one group as JSON. What does not change from batch to batch (names, keys, type numbers) was
/// escaped and joined when the encoder was made.
final class GroupEncoder: PayloadEncoder {
    let contentType = "application/json"
    private let format: GroupFormat
    private let dialect: FormatDialect
    private let descriptor: BatchDescriptor
    /// Everything up to the time.
    private let head: [UInt8]
    /// Everything between the time and the first tag.
    private let opening: [UInt8]
    /// What stands before each tag's value, one behind the other; tag i's lies in `ends[i]..<ends[i + 1]`.
    private let keys: [UInt8]
    private let ends: [Int]
    /// Whether a batch needs a look at each value, because a float may not be a number.
    private let hasFloats: Bool

    init(_ format: GroupFormat, _ dialect: FormatDialect, _ descriptor: BatchDescriptor) {
        self.format = format
        self.dialect = dialect
        self.descriptor = descriptor
        let isNeuron = dialect == .neuron
        if isNeuron {
            head = Array("{\"timestamp\":".utf8)
        } else {
            head = Self.text {
                $0.raw("{\"device\":")
                $0.string(descriptor.device)
                $0.raw(",\"group\":")
                $0.string(descriptor.group)
                $0.raw(",\"timestamp\":")
            }
        }
        opening = Self.text {
            if isNeuron {
                $0.raw(",\"node\":")
                $0.string(descriptor.device)
                $0.raw(",\"group\":")
                $0.string(descriptor.group)
            }
            $0.raw(format == .values ? ",\"values\":{" : ",\"tags\":[")
        }
        var keys: [UInt8] = []
        var ends = [0]
        for tag in descriptor.tags {
            keys += Self.text { Self.writeKey(tag, format, &$0) }
            ends.append(keys.count)
        }
        self.keys = keys
        self.ends = ends
        hasFloats = descriptor.tags.contains { $0.type.scalar.isFloat }
    }

    private static func text(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        body(&writer)
        return writer.withUnsafeBytes { Array($0) }
    }

    private static func writeKey(_ tag: Tag, _ format: GroupFormat, _ writer: inout JSONWriter) {
        guard format != .values else {
            writer.string(tag.name)
            writer.byte(UInt8(ascii: ":"))
            return
        }
        writer.raw("{\"name\":")
        writer.string(tag.name)
        guard format == .ecp else { return }
        writer.raw(",\"type\":")
        writer.integer(ecpType(tag.type))
    }

    /// 1 bool, 2 integer, 3 float, 4 string; what is none of them travels as text, arrays as their elements.
    private static func ecpType(_ type: ValueType) -> Int {
        switch type.scalar {
        case .bool: 1
        case .float32, .float64: 3
        case .string, .bytes, .timestamp: 4
        default: 2
        }
    }

    func encode(_ batch: SampleBatch) -> Bytes {
        guard batch.descriptor === descriptor else {
            return GroupEncoder(format, dialect, batch.descriptor).encode(batch)
        }
        var writer = JSONWriter(capacity: head.count + opening.count + keys.count + batch.count * 14 + 64)
        writer.raw(head)
        writer.integer(batch.timestamp.milliseconds)
        writer.raw(opening)
        switch (format, dialect) {
        case (.values, .tundish): writeValues(batch, &writer)
        case (.values, .neuron): writeNeuronValues(batch, &writer)
        case (.tags, .tundish), (.ecp, .tundish): writeTags(batch, &writer)
        case (.tags, .neuron), (.ecp, .neuron): writeNeuronTags(batch, &writer)
        }
        return writer.bytes()
    }

    private func writeKey(_ tag: Int, _ writer: inout JSONWriter) {
        keys.withUnsafeBytes { writer.raw(UnsafeRawBufferPointer(rebasing: $0[ends[tag]..<ends[tag + 1]])) }
    }

    // MARK: values

    /// For each row of a sparse batch whether a later one of the same tag replaces it; nil where none is.
    private func replaced(_ batch: SampleBatch) -> [Bool]? {
        guard batch.tagIndexes != nil else { return nil }
        var seen = [Bool](repeating: false, count: descriptor.tags.count)
        var flags = [Bool](repeating: false, count: batch.count)
        var any = false
        for row in stride(from: batch.count - 1, through: 0, by: -1) {
            let tag = batch.tagIndex(row)
            if seen[tag] {
                flags[row] = true
                any = true
            }
            seen[tag] = true
        }
        return any ? flags : nil
    }

    private func writeValues(_ batch: SampleBatch, _ writer: inout JSONWriter) {
        let replaced = replaced(batch)
        var isFirst = true
        var failed: [(row: Int, quality: Quality)] = []
        var uncertain: [Int] = []
        for row in 0..<batch.count where replaced?[row] != true {
            let quality = batch.quality(row)
            if quality.isBad {
                failed.append((row, quality))
                continue
            }
            if !quality.isGood { uncertain.append(row) }
            if !isFirst { writer.byte(UInt8(ascii: ",")) }
            isFirst = false
            writeKey(batch.tagIndex(row), &writer)
            if !Self.write(batch, row, &writer) { failed.append((row, .badNotANumber)) }
        }
        writer.byte(UInt8(ascii: "}"))
        if !uncertain.isEmpty {
            writer.raw(",\"quality\":{")
            for (index, row) in uncertain.enumerated() {
                if index > 0 { writer.byte(UInt8(ascii: ",")) }
                writeKey(batch.tagIndex(row), &writer)
                writer.string(batch.quality(row).name(in: descriptor.statusDomain).code)
            }
            writer.byte(UInt8(ascii: "}"))
        }
        if !failed.isEmpty {
            writer.raw(",\"errors\":{")
            var text = ErrorText(descriptor.statusDomain)
            for (index, failure) in failed.enumerated() {
                if index > 0 { writer.byte(UInt8(ascii: ",")) }
                writeKey(batch.tagIndex(failure.row), &writer)
                writer.raw(text.bytes(failure.quality))
            }
            writer.byte(UInt8(ascii: "}"))
        }
        writer.byte(UInt8(ascii: "}"))
    }

    private func writeNeuronValues(_ batch: SampleBatch, _ writer: inout JSONWriter) {
        let replaced = replaced(batch)
        var isFirst = true
        var failed: [(row: Int, code: Int)] = []
        for row in 0..<batch.count where replaced?[row] != true {
            if let code = neuronError(batch, row) {
                failed.append((row, code))
                continue
            }
            if !isFirst { writer.byte(UInt8(ascii: ",")) }
            isFirst = false
            writeKey(batch.tagIndex(row), &writer)
            Self.write(batch, row, &writer)
        }
        writer.raw("},\"errors\":{")
        for (index, failure) in failed.enumerated() {
            if index > 0 { writer.byte(UInt8(ascii: ",")) }
            writeKey(batch.tagIndex(failure.row), &writer)
            writer.integer(failure.code)
        }
        writer.raw("},\"metas\":{}}")
    }

    // MARK: tags and ecp

    private func writeTags(_ batch: SampleBatch, _ writer: inout JSONWriter) {
        var text = ErrorText(descriptor.statusDomain)
        for row in 0..<batch.count {
            if row > 0 { writer.byte(UInt8(ascii: ",")) }
            writeKey(batch.tagIndex(row), &writer)
            var quality = batch.quality(row)
            if quality.isBad {
                writer.raw(",\"error\":")
                writer.raw(text.bytes(quality))
            } else {
                writer.raw(",\"value\":")
                if !Self.write(batch, row, &writer) {
                    quality = .badNotANumber
                    writer.raw(",\"error\":")
                    writer.raw(text.bytes(quality))
                }
            }
            if format == .tags {
                writer.raw(",\"quality\":")
                writer.string(quality.isGood ? "good" : quality.name(in: descriptor.statusDomain).code)
                writer.raw(",\"timestamp\":")
                writer.integer(batch.time(row).milliseconds)
            }
            writer.byte(UInt8(ascii: "}"))
        }
        writer.raw("]}")
    }

    /// Neuron's ecp format leaves out tags that failed.
    private func writeNeuronTags(_ batch: SampleBatch, _ writer: inout JSONWriter) {
        var isFirst = true
        for row in 0..<batch.count {
            let error = neuronError(batch, row)
            if error != nil, format == .ecp { continue }
            if !isFirst { writer.byte(UInt8(ascii: ",")) }
            isFirst = false
            writeKey(batch.tagIndex(row), &writer)
            if let error {
                writer.raw(",\"error\":")
                writer.integer(error)
            } else {
                writer.raw(",\"value\":")
                Self.write(batch, row, &writer)
            }
            writer.byte(UInt8(ascii: "}"))
        }
        writer.raw("]}")
    }

    // MARK: one value

    /// Writes the value of a row. False if part of it is not a finite number: that part became `null`.
    @discardableResult
    private static func write(_ batch: SampleBatch, _ row: Int, _ writer: inout JSONWriter) -> Bool {
        let type = batch.descriptor.tags[batch.tagIndex(row)].type
        guard !type.isArray else { return writeArray(batch, row, type.scalar, &writer) }
        switch type.scalar {
        case .string:
            batch.blobBytes(row).withUnsafeBytes { writer.string($0) }
            return true
        case .bytes:
            writer.byte(UInt8(ascii: "\""))
            for byte in batch.blobBytes(row) { writer.hex(byte) }
            writer.byte(UInt8(ascii: "\""))
            return true
        default: return writer.slot(batch.slots[row], type.scalar)
        }
    }

    private static func writeArray(
        _ batch: SampleBatch, _ row: Int, _ scalar: ScalarType, _ writer: inout JSONWriter
    ) -> Bool {
        var isFinite = true
        writer.byte(UInt8(ascii: "["))
        batch.blobBytes(row).withUnsafeBytes { bytes in
            for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
                if offset > 0 { writer.byte(UInt8(ascii: ",")) }
                let slot = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                if !writer.slot(slot, scalar) { isFinite = false }
            }
        }
        writer.byte(UInt8(ascii: "]"))
        return isFinite
    }

    private func neuronError(_ batch: SampleBatch, _ row: Int) -> Int? {
        let quality = batch.quality(row)
        if quality.isBad { return Self.neuronCode(quality) }
        guard hasFloats else { return nil }
        let type = descriptor.tags[batch.tagIndex(row)].type
        guard type.isInline else { return nil }
        let isFinite =
            switch type.scalar {
            case .float32: Float(bitPattern: UInt32(truncatingIfNeeded: batch.slots[row])).isFinite
            case .float64: Double(bitPattern: batch.slots[row]).isFinite
            default: true
            }
        return isFinite ? nil : Self.neuronCode(.badNotANumber)
    }

    /// Neuron's number for a status; its common plug-in errors are 3000 and up.
    private static func neuronCode(_ quality: Quality) -> Int {
        switch quality.standard {
        case .badNotConnected, .badNoCommunication: 3002
        case .badNotReadable: 3003
        case .badNotWritable: 3004
        case .badNotANumber, .badTypeMismatch: 3007
        case .badDecoding, .badEncoding: 3009
        case .badOutOfService: 3010
        case .badWaitingForInitialData: 3011
        case .badTimeout: 3015
        case .badAddressInvalid: 2205
        case .badAddressUnknown: 2201
        default: 3000
        }
    }
}

extension JSONWriter {
    /// An inline slot of a batch as groups publish it. False, and `null`, for a float that is not finite.
    package mutating func slot(_ slot: UInt64, _ type: ScalarType) -> Bool {
        switch type {
        case .bool: bool(slot != 0)
        case .int8, .int16, .int32, .int64: integer(Int64(bitPattern: slot))
        case .uint8, .uint16, .uint32, .uint64: integer(slot)
        case .float32: return number(Float(bitPattern: UInt32(truncatingIfNeeded: slot)))
        case .float64: return number(Double(bitPattern: slot))
        case .timestamp: string(Timestamp(nanoseconds: Int64(bitPattern: slot)).description)
        case .string, .bytes: null()
        }
        return true
    }

    /// `{"code":...,"native":...,"message":...}`; `native` only where a protocol attached its own code.
    package mutating func error(_ quality: Quality, _ domain: StatusDomain) {
        let name = quality.name(in: domain)
        raw("{\"code\":")
        string(name.code)
        if quality.domain != 0 {
            raw(",\"native\":")
            integer(Int(quality.native))
        }
        raw(",\"message\":")
        string(name.message)
        byte(UInt8(ascii: "}"))
    }
}

/// The error object of the status asked for last: a silent device gives all its tags the same.
private struct ErrorText {
    private let domain: StatusDomain
    private var quality: Quality?
    private var text: [UInt8] = []

    init(_ domain: StatusDomain) { self.domain = domain }

    mutating func bytes(_ quality: Quality) -> [UInt8] {
        if quality == self.quality { return text }
        var writer = JSONWriter()
        writer.error(quality, domain)
        text = writer.withUnsafeBytes { Array($0) }
        self.quality = quality
        return text
    }
}
