#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import Journal
package import Model
import NIOSSL
import Synchronization

/// Finds the text that a reference stands for.
package typealias SecretSource = @Sendable (SecretReference) async throws(Problem) -> String

/// A listener's TLS as it is at the moment. New handshakes take what was read last; connections keep what they were
/// made with. What cannot be used leaves what was there before in force, and is said.
final class TLSKeeper: Sendable {
    static let fileBytesMax = 64 << 20

    private struct State {
        var settings: TLSSettings
        var texts: TLSTexts
        var material: TLSMaterial
        var marks: [String: FileMark]
        /// Why what is there now could not be taken over.
        var failure: Problem?
    }

    /// Tells whether a file is still the one that was read.
    private struct FileMark: Sendable, Equatable {
        var inode: UInt64
        var size: Int64
        var seconds: Int64
        var nanoseconds: Int64

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            #if canImport(Glibc)
                (seconds, nanoseconds) = (Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec))
            #else
                (seconds, nanoseconds) = (Int64(status.st_mtimespec.tv_sec), Int64(status.st_mtimespec.tv_nsec))
            #endif
        }
    }

    private let listener: String
    private let time: any TimeSource
    private let files: any FileSystem
    private let secrets: SecretSource?
    private let state: Mutex<State>

    init(
        listener: String, _ settings: TLSSettings, time: any TimeSource, files: any FileSystem, secrets: SecretSource?
    ) async throws(Problem) {
        self.listener = listener
        self.time = time
        self.files = files
        self.secrets = secrets
        let marks = Self.marks(settings)
        let texts = try await Self.read(settings, listener, files, secrets)
        var loader = TLSLoader(listener: listener, settings: settings, time: time)
        state = Mutex(State(settings: settings, texts: texts, material: try loader.load(texts), marks: marks))
    }

    /// What should be looked at, though it works.
    var problems: [Problem] { state.withLock { [$0.failure].compactMap { $0 } + $0.material.warnings } }
    var expires: Int64 { state.withLock { $0.material.expires } }

    func makeHandler(_ arrival: Arrival) throws -> NIOSSLServerHandler {
        let (context, trust) = state.withLock { ($0.material.context, $0.material.trust) }
        guard let trust else { return NIOSSLServerHandler(context: context) }
        arrival.tlsTrust = trust
        let maker: any HandlerMaker = JudgingHandlerMaker()
        return try maker.make(context, ChainCheck(arrival, trust))
    }

    /// Other settings, from now on. If they cannot be used the former ones stay.
    func change(_ settings: TLSSettings) async throws(Problem) {
        let marks = Self.marks(settings)
        let texts = try await Self.read(settings, listener, files, secrets)
        try install(settings, texts, marks)
    }

    private func install(_ settings: TLSSettings, _ texts: TLSTexts, _ marks: [String: FileMark]) throws(Problem) {
        var loader = TLSLoader(listener: listener, settings: settings, time: time)
        let material = try loader.load(texts)
        state.withLock {
            $0 = State(settings: settings, texts: texts, material: material, marks: marks)
        }
    }

    /// Looks whether files or secrets have changed and takes them over. True if anything is different for those who
    /// watch: the material, or what is wrong with it.
    func refresh() async -> Bool {
        let (settings, known, oldTexts, before) = state.withLock { ($0.settings, $0.marks, $0.texts, $0.failure) }
        let marks = Self.marks(settings)
        let usesStore = settings.references.contains { if case .file = $0 { false } else { true } }
        if marks == known, !usesStore { return false }
        do throws(Problem) {
            let texts = try await Self.read(settings, listener, files, secrets)
            if texts == oldTexts {
                state.withLock {
                    $0.marks = marks
                    $0.failure = nil
                }
                return before != nil
            }
            try install(settings, texts, marks)
            return true
        } catch {
            // The marks stay as they were: it is tried again until it succeeds.
            let failure = Problem(
                error.code, error.message + "; what was read before stays in use", error.arguments)
            state.withLock { $0.failure = failure }
            return before != failure
        }
    }

    private static func marks(_ settings: TLSSettings) -> [String: FileMark] {
        var marks: [String: FileMark] = [:]
        for case .file(let path) in settings.references { marks[path] = FileMark(path) }
        return marks
    }

    private static func read(
        _ settings: TLSSettings, _ listener: String, _ files: any FileSystem, _ secrets: SecretSource?
    ) async throws(Problem) -> TLSTexts {
        func bytes(_ reference: SecretReference, _ key: String) async throws(Problem) -> [UInt8] {
            do throws(Problem) {
                switch reference {
                case .inline(let text): return Array(text.utf8)
                case .file(let path): return try files.contents(path, bytesMax: fileBytesMax)
                case .secret, .environment:
                    guard let secrets else {
                        throw Problem("listener.no_secrets", "there are no secrets here", [:])
                    }
                    return Array(try await secrets(reference).utf8)
                }
            } catch {
                throw Problem(
                    error.code, "listener \"\(listener)\", \(key): \(error.message)",
                    error.arguments.merging(["listener": listener]) { a, _ in a })
            }
        }
        var texts = TLSTexts()
        for identity in settings.identities {
            let certificate = try await bytes(identity.certificate, "certificate")
            var text = TLSTexts.Identity(certificate: certificate, key: certificate)
            if let key = identity.key { text.key = try await bytes(key, "key") }
            if let password = identity.password {
                text.password = try await bytes(password, "keyPassword")
                while let last = text.password?.last, last == 0x0A || last == 0x0D { text.password?.removeLast() }
            }
            texts.identities.append(text)
        }
        if let authority = settings.clientCA { texts.clientCA = try await bytes(authority, "clientCA") }
        for list in settings.revocationLists { texts.lists.append(try await bytes(list, "crls")) }
        return texts
    }
}

extension TLSSettings {
    /// Everything that is read from somewhere.
    var references: [SecretReference] {
        identities.flatMap { [$0.certificate, $0.key, $0.password].compactMap { $0 } }
            + [clientCA].compactMap { $0 } + revocationLists
    }
}
