package import Model

/// A disk in memory that can be full, refuse, tear and lose power: for tests.
///
/// What is written is visible at once but durable only after `sync`; names are durable only after `syncDirectory`.
/// `restart` is what a power cut leaves: of everything not durable some is there, some is not, some is torn.
package final class FaultyFiles: FileSystem {
    package enum Operation: String, Sendable, CaseIterable {
        case open, list, remove, rename, syncDirectory, size, lock, read, write, truncate, sync
        /// Those that change something on the disk: where a power cut can matter.
        package static let changing: Set<Operation> = [
            .open, .remove, .rename, .syncDirectory, .write, .truncate, .sync,
        ]
    }

    fileprivate struct Pending {
        var offset: Int
        var bytes: [UInt8]
        /// Set for a truncation to `offset`.
        var isTruncation = false
        var isSynced = false
    }

    fileprivate final class Node {
        var durable: [UInt8] = []
        var current: [UInt8] = []
        var pending: [Pending] = []
        /// A sync failed: what was pending then never becomes durable, whatever later syncs say. Followed by what
        /// they did make durable, which lies over it.
        var doomed: [Pending] = []
    }

    fileprivate struct Disk {
        var names: [String: Node] = [:]
        var durableNames: [String: Node] = [:]
        var directories: Set<String> = []
        var locks: Set<String> = []
        var generation = 0
        var isOff = false
        var changes = 0
        var powerCutAtChange: Int?
        var bytesMax = Int.max
        var faults: [Operation: [Fault]] = [:]
        var random: SplitMix64
    }

    fileprivate struct Fault {
        /// Files whose path contains it; empty: all.
        var part: String
        var skip: Int
        var fault: FileFault
        var isLasting: Bool
    }

    private let disk: Monitor<Disk>

    package init(seed: UInt64 = 1) { disk = Monitor(Disk(random: SplitMix64(seed: seed))) }

    /// The operation after the next `skip` ones of its kind fails with `fault`; with `isLasting` so do all that
    /// follow, until `heal`. `part` leaves files alone whose path does not contain it.
    package func fail(
        _ operation: Operation, on part: String = "", with fault: FileFault, after skip: Int = 0,
        isLasting: Bool = false
    ) {
        disk.withLock {
            $0.faults[operation, default: []].append(
                Fault(part: part, skip: skip, fault: fault, isLasting: isLasting))
        }
    }

    /// Takes back all faults, those that last and those that have not struck yet, and the bound on the size.
    package func heal() {
        disk.withLock { disk in
            disk.faults = [:]
            disk.bytesMax = .max
        }
    }

    /// Bound on the files' total size; writes beyond it fail with `file.full`, after as much as fits.
    package func limit(bytes: Int) { disk.withLock { $0.bytesMax = bytes } }

    /// The power goes at the n-th operation from now that changes the disk: that one may be half done, and
    /// everything from then on fails until `restart`.
    package func cutPower(atChange count: Int) {
        disk.withLock { $0.powerCutAtChange = $0.changes + count }
    }

    package var isOff: Bool { disk.withLock { $0.isOff } }
    /// Operations so far that change the disk.
    package var changes: Int { disk.withLock { $0.changes } }

    /// Cuts the power if that has not happened, and starts again with what survived. Files opened before are dead.
    package func restart() {
        disk.withLock { disk in
            for name in Set(disk.names.keys).union(disk.durableNames.keys).sorted() {
                let current = disk.names[name]
                let durable = disk.durableNames[name]
                let kept = current === durable || Bool.random(using: &disk.random) ? durable : current
                disk.durableNames[name] = kept
            }
            for node in disk.durableNames.sorted(by: { $0.key < $1.key }).map(\.value) {
                node.durable = Self.surviving(node, &disk.random)
                node.current = node.durable
                node.pending = []
                node.doomed = []
            }
            disk.names = disk.durableNames
            disk.locks = []
            disk.faults = [:]
            disk.powerCutAtChange = nil
            disk.isOff = false
            disk.generation += 1
        }
    }

    /// Changes bytes of a file behind everyone's back, as a failing medium does.
    package func damage(_ path: String, at offset: Int, xor mask: UInt8 = 0xFF) {
        disk.withLock { disk in
            guard let node = disk.names[path], offset < node.current.count else { return }
            node.current[offset] ^= mask
            if offset < node.durable.count { node.durable[offset] ^= mask }
        }
    }

    /// Puts a file in place, durably.
    package func put(_ path: String, _ bytes: [UInt8]) {
        disk.withLock { disk in
            let node = Node()
            node.durable = bytes
            node.current = bytes
            disk.names[path] = node
            disk.durableNames[path] = node
        }
    }

    /// Any subset of what was not synced may have reached the disk, each write whole or as a torn beginning.
    private static func surviving(_ node: Node, _ random: inout SplitMix64) -> [UInt8] {
        var bytes = node.durable
        for pending in node.doomed + node.pending {
            if pending.isSynced {
                pending.apply(to: &bytes)
                continue
            }
            switch Int.random(in: 0..<3, using: &random) {
            case 0: continue
            case 1 where !pending.isTruncation:
                var torn = pending
                torn.bytes = Array(pending.bytes.prefix(Int.random(in: 0...pending.bytes.count, using: &random)))
                torn.apply(to: &bytes)
            default: pending.apply(to: &bytes)
            }
        }
        return bytes
    }

    /// Counts the operation and lets its faults strike. `partly` is done by an operation that the power cut meets.
    fileprivate func perform<R>(
        _ operation: Operation, _ path: String, generation: Int? = nil,
        partly: (inout Disk) -> Void = { _ in }, _ body: (inout Disk) -> Result<R, Problem>
    ) throws(Problem) -> R {
        let result: Result<R, Problem> = disk.withLock { disk in
            if disk.isOff || (generation != nil && generation != disk.generation) {
                return .failure(FileFault.io.problem(operation.rawValue, path, detail: "the power is off"))
            }
            if Operation.changing.contains(operation) {
                disk.changes += 1
                if let cut = disk.powerCutAtChange, disk.changes >= cut {
                    if Bool.random(using: &disk.random) { partly(&disk) }
                    disk.isOff = true
                    return .failure(FileFault.io.problem(operation.rawValue, path, detail: "the power is off"))
                }
            }
            if let fault = Self.strike(&disk.faults[operation, default: []], path) {
                return .failure(fault.problem(operation.rawValue, path, detail: "injected"))
            }
            return body(&disk)
        }
        return try result.get()
    }

    /// The fault that meets an operation on the path, if it is time for one.
    private static func strike(_ faults: inout [Fault], _ path: String) -> FileFault? {
        guard let next = faults.firstIndex(where: { $0.part.isEmpty || path.contains($0.part) }) else { return nil }
        if faults[next].skip > 0 {
            faults[next].skip -= 1
            return nil
        }
        return faults[next].isLasting ? faults[next].fault : faults.remove(at: next).fault
    }

    fileprivate func generation() -> Int { disk.withLock { $0.generation } }
    fileprivate func release(_ path: String) { disk.withLock { _ = $0.locks.remove(path) } }

    package func createDirectory(_ path: String) throws(Problem) {
        disk.withLock { _ = $0.directories.insert(path) }
    }

    package func open(_ path: String, _ mode: FileMode) throws(Problem) -> any OpenFile {
        let node: Unchecked<Node> = try perform(.open, path) { disk in
            if let node = disk.names[path] {
                return mode == .createNew
                    ? .failure(FileFault.exists.problem("open", path)) : .success(Unchecked(node))
            }
            if mode == .read || mode == .readWrite { return .failure(FileFault.notFound.problem("open", path)) }
            let node = Node()
            disk.names[path] = node
            return .success(Unchecked(node))
        }
        return FaultyFile(files: self, node: node, path: path, generation: generation())
    }

    package func list(_ directory: String) throws(Problem) -> [String] {
        try perform(.list, directory) { disk in
            let prefix = directory + "/"
            return .success(
                disk.names.keys.filter { $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/") }
                    .map { String($0.dropFirst(prefix.count)) })
        }
    }

    package func remove(_ path: String) throws(Problem) {
        try perform(.remove, path, partly: { $0.names[path] = nil }) { disk -> Result<Void, Problem> in
            disk.names.removeValue(forKey: path) == nil
                ? .failure(FileFault.notFound.problem("remove", path)) : .success(())
        }
    }

    package func rename(_ path: String, to target: String) throws(Problem) {
        try perform(.rename, path) { disk -> Result<Void, Problem> in
            guard let node = disk.names.removeValue(forKey: path) else {
                return .failure(FileFault.notFound.problem("rename", path))
            }
            disk.names[target] = node
            return .success(())
        }
    }

    package func syncDirectory(_ path: String) throws(Problem) {
        try perform(.syncDirectory, path) { disk -> Result<Void, Problem> in
            let prefix = path + "/"
            for name in Set(disk.names.keys).union(disk.durableNames.keys)
            where name.hasPrefix(prefix) && !name.dropFirst(prefix.count).contains("/") {
                disk.durableNames[name] = disk.names[name]
            }
            return .success(())
        }
    }

    package func size(_ path: String) throws(Problem) -> Int? {
        try perform(.size, path) { .success($0.names[path]?.current.count) }
    }

    package func lock(_ path: String) throws(Problem) -> any FileLock {
        try perform(.lock, path) { disk in
            disk.locks.insert(path).inserted
                ? .success(FaultyLock(files: self, path: path)) : .failure(FileFault.locked.problem("lock", path))
        }
    }
}

extension FaultyFiles.Pending {
    fileprivate func apply(to content: inout [UInt8]) {
        if isTruncation {
            if offset < content.count { content.removeLast(content.count - offset) }
            if offset > content.count { content.append(contentsOf: repeatElement(0, count: offset - content.count)) }
            return
        }
        let end = offset + bytes.count
        if end > content.count { content.append(contentsOf: repeatElement(0, count: end - content.count)) }
        content.replaceSubrange(offset..<end, with: bytes)
    }
}

/// A node leaves the disk's lock only as a token; its content is touched under the lock alone.
private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

private final class FaultyFile: OpenFile {
    private let files: FaultyFiles
    private let node: Unchecked<FaultyFiles.Node>
    private let path: String
    private let generation: Int

    init(files: FaultyFiles, node: Unchecked<FaultyFiles.Node>, path: String, generation: Int) {
        self.files = files
        self.node = node
        self.path = path
        self.generation = generation
    }

    func size() throws(Problem) -> Int {
        try files.perform(.size, path, generation: generation) { _ in .success(node.value.current.count) }
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(Problem) -> Int {
        try files.perform(.read, path, generation: generation) { _ in
            let content = node.value.current
            let count = max(0, min(buffer.count, content.count - offset))
            content.withUnsafeBytes { source in
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + count]))
            }
            return .success(count)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Problem) {
        func put(_ count: Int) {
            let pending = FaultyFiles.Pending(offset: offset, bytes: Array(bytes.prefix(count)))
            pending.apply(to: &node.value.current)
            node.value.pending.append(pending)
        }
        try files.perform(.write, path, generation: generation, partly: { _ in put(bytes.count) }) {
            disk -> Result<Void, Problem> in
            let growth = max(0, offset + bytes.count - node.value.current.count)
            let used = disk.bytesMax == .max ? 0 : disk.names.values.reduce(0) { $0 + $1.current.count }
            if disk.bytesMax - used < growth {
                put(max(0, bytes.count - growth + max(0, disk.bytesMax - used)))
                return .failure(FileFault.full.problem("write to", path))
            }
            put(bytes.count)
            return .success(())
        }
    }

    func truncate(to size: Int) throws(Problem) {
        func cut() {
            let pending = FaultyFiles.Pending(offset: size, bytes: [], isTruncation: true)
            pending.apply(to: &node.value.current)
            node.value.pending.append(pending)
        }
        try files.perform(.truncate, path, generation: generation, partly: { _ in cut() }) {
            _ -> Result<Void, Problem> in
            cut()
            return .success(())
        }
    }

    func sync() throws(Problem) {
        do throws(Problem) {
            try files.perform(.sync, path, generation: generation) { _ -> Result<Void, Problem> in
                for index in node.value.pending.indices {
                    node.value.pending[index].apply(to: &node.value.durable)
                    node.value.pending[index].isSynced = true
                }
                if !node.value.doomed.isEmpty { node.value.doomed += node.value.pending }
                node.value.pending = []
                return .success(())
            }
        } catch {
            // The system marks the pages clean: a later sync will not write them.
            node.value.doomed += node.value.pending
            node.value.pending = []
            throw error
        }
    }

    func close() {}
}

private final class FaultyLock: FileLock {
    private let files: FaultyFiles
    private let path: String
    init(files: FaultyFiles, path: String) {
        self.files = files
        self.path = path
    }
    deinit { release() }
    func release() { files.release(path) }
}
