/// An immutable block of bytes, shared by reference.
package final class ByteStorage: @unchecked Sendable {
    // Written once during initialisation, read only afterwards: that is what makes it Sendable.
    @usableFromInline let base: UnsafeMutableRawPointer
    package let count: Int

    /// `fill` gets `capacity` uninitialised bytes and returns how many it has written.
    @inlinable
    package init(capacity: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Int) rethrows {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(capacity, 1), alignment: 16)
        do {
            count = try fill(UnsafeMutableRawBufferPointer(start: memory, count: capacity))
        } catch {
            memory.deallocate()
            throw error
        }
        base = memory
    }

    deinit { base.deallocate() }
}

/// A slice of shared immutable bytes: a topic, a payload, a property. Copying it costs a retain.
@frozen
package struct Bytes: Sendable {
    @usableFromInline let storage: ByteStorage?
    @usableFromInline let offset: Int
    package let count: Int

    @inlinable
    package init() {
        storage = nil
        offset = 0
        count = 0
    }

    /// A slice of `storage`; the range must lie in it.
    @inlinable
    package init(_ storage: ByteStorage, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= storage.count)
        self.storage = storage
        offset = range.lowerBound
        count = range.count
    }

    @inlinable
    package init(_ storage: ByteStorage) { self.init(storage, 0..<storage.count) }

    @inlinable
    package init(copying source: UnsafeRawBufferPointer) {
        self.init(
            ByteStorage(capacity: source.count) { target in
                target.copyMemory(from: source)
                return source.count
            })
    }

    package init(_ bytes: [UInt8]) { self = bytes.withUnsafeBytes { Bytes(copying: $0) } }

    package init(_ text: String) {
        var text = text
        self = text.withUTF8 { Bytes(copying: UnsafeRawBufferPointer($0)) }
    }

    @inlinable package var isEmpty: Bool { count == 0 }

    /// The pointer is valid only during the call.
    @inlinable
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        guard let storage else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(start: storage.base + offset, count: count))
    }

    @inlinable
    package subscript(_ index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return withUnsafeBytes { $0[index] }
    }

    /// A part that shares the storage; the range must lie in 0..<count.
    @inlinable
    package func slice(_ range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        guard let storage else { return self }
        return Bytes(storage, offset + range.lowerBound..<offset + range.upperBound)
    }

    package var array: [UInt8] { withUnsafeBytes { Array($0) } }

    /// As UTF-8, with U+FFFD for what is not.
    package var string: String { withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
}

extension Bytes: Hashable {
    @inlinable
    package static func == (a: Bytes, b: Bytes) -> Bool {
        guard a.count == b.count else { return false }
        return a.withUnsafeBytes { left in b.withUnsafeBytes { right in left.elementsEqual(right) } }
    }

    @inlinable
    package func hash(into hasher: inout Hasher) { withUnsafeBytes { hasher.combine(bytes: $0) } }
}

extension Bytes: ExpressibleByStringLiteral, CustomStringConvertible {
    package init(stringLiteral value: String) { self.init(value) }
    package var description: String { string }
}
