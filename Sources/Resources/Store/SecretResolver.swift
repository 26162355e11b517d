#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
package import Journal
package import Model

/// Finds what a reference to a secret stands for, at the moment when it is needed.
package struct SecretResolver: Sendable {
    /// A secret's length in bytes.
    package static let bytesMax = 64 << 10

    private let store: ResourceStore
    private let files: any FileSystem

    package init(store: ResourceStore, files: any FileSystem) {
        self.store = store
        self.files = files
    }

    /// Fails with `secret.not_found`, `secret.env`, `secret.file`; the message names the reference, never the text.
    package func resolve(
        _ reference: SecretReference, space: String = ResourceKey.defaultSpace
    ) async throws(Problem) -> String {
        switch reference {
        case .inline(let text): return text
        case .environment(let name):
            guard let value = getenv(name) else {
                throw Problem("secret.env", "environment variable \(name) is not set", ["name": name])
            }
            return String(cString: value)
        case .file(let path): return try read(path)
        case .secret(let name):
            let key = ResourceKey(space: space, kind: ResourceKind.secretName, name: name)
            let snapshot: ResourceSnapshot?
            do throws(Rejection) { snapshot = try await store.get(key) } catch { throw error.problem }
            guard let value = snapshot?.spec["value"]?.secret else {
                throw Problem("secret.not_found", "there is no \(key)", ["name": name])
            }
            if case .secret = value {
                throw Problem("resource.secret.chain", "\(key) refers to another secret", ["name": name])
            }
            return try await resolve(value, space: space)
        }
    }

    private func read(_ path: String) throws(Problem) -> String {
        do throws(Problem) {
            var bytes = try files.contents(path, bytesMax: Self.bytesMax)
            // Editors and `echo` end a file with a new line that is not part of the secret.
            if bytes.last == 0x0A { bytes.removeLast() }
            if bytes.last == 0x0D { bytes.removeLast() }
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            throw Problem("secret.file", "the secret's file cannot be used: \(error.message)", ["path": path])
        }
    }
}
