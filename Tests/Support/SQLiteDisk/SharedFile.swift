import GRDBSQLite
import Synchronization

/// Slots of the shared memory's locks that a connection holds, one bit each.
struct MemoryLocks {
    var shared: UInt8 = 0
    var exclusive: UInt8 = 0
}

/// What the connections to one file have in common: its locks, and the memory of the write-ahead log's index.
final class SharedFile: Sendable {
    private struct State {
        var readers = 0
        var isReserved = false
        var isExclusive = false
        var mappings = 0
        var regions: [UnsafeMutableRawPointer] = []
        /// For each slot the number of connections that share it.
        var sharers = [Int](repeating: 0, count: 8)
        var exclusive: UInt8 = 0
    }

    // Memory leaves the lock only as SQLite asks for it; from there SQLite's own locks guard it.
    private struct Guarded: @unchecked Sendable { var state = State() }
    private let guarded = Mutex(Guarded())

    var isReserved: Bool { guarded.withLock { $0.state.isReserved } }

    /// False if another connection stands against it.
    func raise(from held: CInt, to level: CInt) -> Bool {
        guarded.withLock { guarded in
            var state = guarded.state
            defer { guarded.state = state }
            if held == SQLITE_LOCK_NONE {
                if state.isExclusive { return false }
                state.readers += 1
                return level == SQLITE_LOCK_SHARED
            }
            if held < SQLITE_LOCK_RESERVED, state.isReserved { return false }
            if level >= SQLITE_LOCK_EXCLUSIVE {
                if state.readers > 1 { return false }
                state.isExclusive = true
            }
            state.isReserved = true
            return true
        }
    }

    func lower(from held: CInt, to level: CInt) {
        guarded.withLock { guarded in
            if held >= SQLITE_LOCK_RESERVED {
                guarded.state.isReserved = false
                guarded.state.isExclusive = false
            }
            if level == SQLITE_LOCK_NONE { guarded.state.readers -= 1 }
        }
    }

    func beginMapping() { guarded.withLock { $0.state.mappings += 1 } }

    /// The last one frees the memory: whoever comes next rebuilds the index from the log.
    func endMapping() {
        guarded.withLock { guarded in
            guarded.state.mappings -= 1
            guard guarded.state.mappings == 0 else { return }
            for region in guarded.state.regions { region.deallocate() }
            guarded.state.regions = []
        }
    }

    func region(_ number: Int, size: Int, extends: Bool) -> UnsafeMutableRawPointer? {
        guarded.withLock { (guarded: inout Guarded) -> Address in
            while extends, guarded.state.regions.count <= number {
                let region = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
                region.initializeMemory(as: UInt8.self, repeating: 0, count: size)
                guarded.state.regions.append(region)
            }
            return Address(pointer: number < guarded.state.regions.count ? guarded.state.regions[number] : nil)
        }.pointer
    }

    private struct Address: @unchecked Sendable { var pointer: UnsafeMutableRawPointer? }

    func lockMemory(_ slots: UInt8, _ flags: CInt, _ held: inout MemoryLocks) -> Bool {
        var mine = held
        defer { held = mine }
        return guarded.withLock { guarded in
            if flags & SQLITE_SHM_UNLOCK != 0 {
                Self.release(slots, &guarded.state, &mine)
                return true
            }
            let others = Self.shared(guarded.state, besides: mine)
            if slots & guarded.state.exclusive & ~mine.exclusive != 0 { return false }
            if flags & SQLITE_SHM_EXCLUSIVE != 0 {
                if slots & others != 0 { return false }
                guarded.state.exclusive |= slots
                mine.exclusive |= slots
                return true
            }
            for slot in 0..<8 where slots & ~mine.shared & 1 << slot != 0 { guarded.state.sharers[slot] += 1 }
            mine.shared |= slots
            return true
        }
    }

    func unlockMemory(_ held: inout MemoryLocks) {
        var mine = held
        guarded.withLock { Self.release(0xFF, &$0.state, &mine) }
        held = mine
    }

    private static func release(_ slots: UInt8, _ state: inout State, _ mine: inout MemoryLocks) {
        for slot in 0..<8 where slots & mine.shared & 1 << slot != 0 { state.sharers[slot] -= 1 }
        state.exclusive &= ~(slots & mine.exclusive)
        mine.shared &= ~slots
        mine.exclusive &= ~slots
    }

    private static func shared(_ state: State, besides mine: MemoryLocks) -> UInt8 {
        var slots: UInt8 = 0
        for slot in 0..<8 where state.sharers[slot] > (mine.shared & 1 << slot != 0 ? 1 : 0) { slots |= 1 << slot }
        return slots
    }
}
