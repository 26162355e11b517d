package import BrokerCore
package import Journal
package import Model
import Synchronization

/// User name and password of a file of `mosquitto_passwd`. Looks once a second at most whether the file has changed.
package final class PasswordFileMethod: AccessMethod {
    private struct State {
        var file: PasswordFile?
        var bytes: [UInt8] = []
        var problem: Problem?
        var lookedAt: Int64 = .min
        var generation: UInt64 = 0
        var isLooking = false
    }

    package static let lookEvery: Int64 = 1_000_000_000

    private let path: String
    private let files: any FileSystem
    private let time: any TimeSource
    private let pool: HashPool
    private let cache: VerifiedCache
    private let lifetime: Duration
    private let state = Mutex(State())

    /// Reads the file; fails with what is wrong with it.
    package init(
        path: String, files: any FileSystem, pool: HashPool, time: any TimeSource,
        cacheFor lifetime: Duration = UsersMethod.cacheDefault, cacheMax: Int = 100_000
    ) throws(Problem) {
        self.path = path
        self.files = files
        self.pool = pool
        self.time = time
        self.lifetime = lifetime
        cache = VerifiedCache(entriesMax: cacheMax, time: time)
        look()
        if let problem = state.withLock({ $0.problem }) { throw problem }
    }

    /// Reads the file again if a second has passed. What cannot be read leaves what was read before in force.
    private func look() {
        let now = time.monotonicNanoseconds()
        let isDue = state.withLock { state in
            guard !state.isLooking, state.lookedAt == .min || now - state.lookedAt >= Self.lookEvery else {
                return false
            }
            state.isLooking = true
            state.lookedAt = now
            return true
        }
        guard isDue else { return }
        let known = state.withLock { $0.bytes }
        var read: (bytes: [UInt8], file: PasswordFile)?
        var problem: Problem?
        do throws(Problem) {
            let bytes = try files.contents(path, bytesMax: PasswordFile.bytesMax)
            if bytes != known || state.withLock({ $0.file == nil }) {
                read = (bytes, try PasswordFile(bytes, path: path))
            }
        } catch {
            problem = error
        }
        let (found, failure) = (read, problem)
        state.withLock { state in
            state.isLooking = false
            state.problem = failure
            guard let found else { return }
            state.bytes = found.bytes
            state.file = found.file
            state.generation += 1
        }
    }

    /// What is wrong with the file as it is now; nil: nothing.
    package var problem: Problem? { state.withLock { $0.problem } }

    package func check(_ credentials: Credentials) async -> MethodAnswer {
        guard let name = credentials.username else { return .next(.noCredentials, "no user name") }
        // Reading may take its time; the pool's threads may wait, event loops may not.
        if await pool.run({ [self] in look() }) == nil {
            return .unavailable(.overloaded, "too many passwords wait to be checked")
        }
        let (file, generation) = state.withLock { ($0.file, $0.generation) }
        guard let file else { return .unavailable(.unavailable, problem?.message ?? "the file was not read") }
        guard let entry = file.entries[name] else { return .next(.unknownUser, "") }
        let password = credentials.password?.array ?? []
        guard password.count <= 1024 else { return .refuse(.wrongPassword, "longer than any password") }
        let key = cache.key([withUnsafeBytes(of: generation) { Array($0) }, Array(name.utf8), password])
        let (pool, lifetime) = (pool, lifetime)
        return await cache.answer(key) { answer in
            if case .accept = answer { lifetime } else { .zero }
        } _: {
            guard let isRight = await pool.run({ entry.matches(password) }) else {
                return .unavailable(.overloaded, "too many passwords wait to be checked")
            }
            return isRight ? .accept(Identified(username: name)) : .refuse(.wrongPassword, "")
        }
    }

    package func spendTime() async -> Bool {
        _ = await pool.run { PasswordFile.Entry.decoy.matches([0]) }
        return true
    }

    package func metrics() -> [MetricSample] { cache.metrics() }
}
