import Foundation
import Model

/// A certificate with an ECDSA P-256 key, signed by itself, for the brokers that are measured.
struct BenchCertificate: Equatable {
    var certificate: String
    var key: String

    /// Made by the `openssl` program in the folder; throws where there is none.
    static func make(in folder: URL) throws -> BenchCertificate {
        let made = BenchCertificate(
            certificate: folder.appending(path: "server.crt").path, key: folder.appending(path: "server.key").path)
        let openssl = try ChildProcess(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj",
                "/CN=localhost", "-keyout", made.key, "-out", made.certificate,
            ], capturesOutput: true, silencesErrors: true)
        let (_, exitCode) = openssl.readToEnd()
        guard exitCode == 0, FileManager.default.fileExists(atPath: made.key) else {
            throw Problem("bench.openssl", "openssl (apt-get install openssl) made no certificate: code \(exitCode)")
        }
        // Mosquitto reads it after it has put off the rights of root.
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: made.key)
        return made
    }
}
