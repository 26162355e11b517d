import BrokerCore
import Model
import NIOCore
import NIOSSL

/// Certificates, keys and lists of a listener, read and ready for handshakes.
struct TLSMaterial: Sendable {
    var context: NIOSSLContext
    /// Nil: clients show no certificates.
    var trust: ClientTrust?
    /// What works, and should be looked at soon.
    var warnings: [Problem]
    /// When the first of the listener's own certificates expires; seconds since 1970.
    var expires: Int64
}

/// What the sources of a listener's TLS held when they were read.
struct TLSTexts: Sendable, Hashable {
    struct Identity: Sendable, Hashable {
        var certificate: [UInt8]
        var key: [UInt8]
        var password: [UInt8]?
    }

    var identities: [Identity] = []
    var clientCA: [UInt8]?
    var lists: [[UInt8]] = []
}

/// Makes the material of the texts, or says in one sentence what is wrong with them.
struct TLSLoader {
    /// Before the end of a certificate's life, for its owner to act.
    static let warningSeconds: Int64 = 14 * 86_400

    let listener: String
    let settings: TLSSettings
    let time: any TimeSource
    private var warnings: [Problem] = []
    private var expires = Int64.max

    init(listener: String, settings: TLSSettings, time: any TimeSource) {
        self.listener = listener
        self.settings = settings
        self.time = time
    }

    private struct Loaded: Sendable {
        var names: [String]
        var chain: [NIOSSLCertificateSource]
        var key: NIOSSLPrivateKeySource
    }

    mutating func load(_ texts: TLSTexts) throws(Problem) -> TLSMaterial {
        var loaded: [Loaded] = []
        for (identity, text) in zip(settings.identities, texts.identities) { loaded.append(try load(identity, text)) }
        guard let first = loaded.first else { throw problem("no_certificate", "has no certificate") }
        for other in loaded.dropFirst() { _ = try makeContext(configuration(other, trust: nil)) }
        let trust = try loadTrust(texts)
        var roots: [NIOSSLCertificate]?
        if let text = texts.clientCA { roots = try certificates(text, "clientCA") }
        var configuration = configuration(first, trust: roots)
        if loaded.count > 1 {
            let table = loaded
            configuration.sslContextCallback = { values, promise in
                promise.succeed(Self.choose(table, values.serverHostname))
            }
        }
        return TLSMaterial(
            context: try makeContext(configuration), trust: trust, warnings: warnings, expires: expires)
    }

    private static func choose(_ table: [Loaded], _ name: String?) -> NIOSSLContextConfigurationOverride {
        guard let name = name?.lowercased(), !name.isEmpty else { return .noChanges }
        let wildcard = name.firstIndex(of: ".").map { "*" + name[$0...] }
        let found =
            table.first { $0.names.contains(name) }
            ?? table.first { entry in wildcard.map { entry.names.contains($0) } ?? false }
        guard let found else { return .noChanges }
        var change = NIOSSLContextConfigurationOverride()
        change.certificateChain = found.chain
        change.privateKey = found.key
        return change
    }

    // MARK: Own certificates

    private mutating func load(_ identity: TLSSettings.Identity, _ text: TLSTexts.Identity) throws(Problem) -> Loaded {
        let chain = try certificates(text.certificate, "certificate")
        guard let leaf = chain.first else { throw problem("no_certificate", "has no certificate") }
        let fields = try self.fields(leaf, "certificate")
        let key = try privateKey(text)
        let loaded = Loaded(
            names: (identity.names.isEmpty
                ? fields.view.dnsNames + [fields.view.commonName].compactMap { $0 } : identity.names)
                .map { $0.lowercased() },
            chain: chain.map { .certificate($0) }, key: .privateKey(key))
        do {
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(certificateChain: loaded.chain, privateKey: loaded.key))
        } catch {
            throw contextProblem(error, fields)
        }
        checkLife(fields)
        return loaded
    }

    private mutating func checkLife(_ fields: CertificateFields) {
        let now = time.now().nanoseconds / 1_000_000_000
        expires = min(expires, fields.notAfter)
        let date = Self.date(fields.notAfter)
        let arguments = ["listener": listener, "subject": fields.view.subject, "date": date]
        if fields.notAfter < now {
            warnings.append(
                Problem(
                    "listener.certificate_expired",
                    "listener \"\(listener)\": its certificate (\(fields.view.subject)) expired on \(date); clients will refuse it: renew it",
                    arguments))
        } else if fields.notBefore > now {
            let start = Self.date(fields.notBefore)
            warnings.append(
                Problem(
                    "listener.certificate_not_yet_valid",
                    "listener \"\(listener)\": its certificate (\(fields.view.subject)) is valid from \(start) only; is this machine's clock right?",
                    ["listener": listener, "subject": fields.view.subject, "date": start]))
        } else if fields.notAfter < now + Self.warningSeconds {
            warnings.append(
                Problem(
                    "listener.certificate_expires",
                    "listener \"\(listener)\": its certificate (\(fields.view.subject)) expires on \(date): renew it",
                    arguments))
        }
    }

    private func privateKey(_ text: TLSTexts.Identity) throws(Problem) -> NIOSSLPrivateKey {
        let words = String(decoding: text.key, as: UTF8.self)
        guard words.contains("PRIVATE KEY-----") else {
            throw problem(
                "no_key",
                "has no private key: neither `key` nor the certificate's text has a PEM block PRIVATE KEY")
        }
        let isEncrypted = words.contains("ENCRYPTED")
        if isEncrypted, text.password == nil {
            throw problem("key_password_missing", "has an encrypted private key; give its passphrase as `keyPassword`")
        }
        do {
            if let password = text.password {
                return try NIOSSLPrivateKey(bytes: text.key, format: .pem) { set in set(password) }
            }
            return try NIOSSLPrivateKey(bytes: text.key, format: .pem)
        } catch {
            if isEncrypted {
                throw problem("key_password_wrong", "cannot decrypt its private key: `keyPassword` is wrong")
            }
            throw problem(
                "key_unreadable", "has a private key that cannot be read: its PEM text is damaged or of an unknown kind"
            )
        }
    }

    private func contextProblem(_ error: any Error, _ fields: CertificateFields) -> Problem {
        let text = String(describing: error)
        // The key itself has been read: the context refuses it only beside this certificate.
        if let error = error as? NIOSSLError, case .failedToLoadPrivateKey = error {
            return problem(
                "key_mismatch",
                "has a certificate (\(fields.view.subject)) and a private key that do not belong together")
        }
        return problem("tls_unusable", "cannot use its certificate (\(fields.view.subject)): \(text)")
    }

    // MARK: Clients' certificates

    private mutating func loadTrust(_ texts: TLSTexts) throws(Problem) -> ClientTrust? {
        guard settings.clientCertificates != .none, let text = texts.clientCA else { return nil }
        var authorities: [CertificateFields] = []
        for certificate in try certificates(text, "clientCA") {
            authorities.append(try fields(certificate, "clientCA"))
        }
        let now = time.now().nanoseconds / 1_000_000_000
        if let expired = authorities.first(where: { $0.notAfter < now }) {
            warnings.append(
                Problem(
                    "listener.ca_expired",
                    "listener \"\(listener)\": the CA \(expired.view.subject) expired on \(Self.date(expired.notAfter)); clients that it signed are refused",
                    ["listener": listener, "subject": expired.view.subject, "date": Self.date(expired.notAfter)]))
        }
        var lists: [RevocationList] = []
        for text in texts.lists {
            for der in try blocks(text) { lists.append(try list(der, authorities, now)) }
        }
        return ClientTrust(authorities: authorities, lists: lists, time: time)
    }

    private mutating func list(
        _ der: [UInt8], _ authorities: [CertificateFields], _ now: Int64
    ) throws(Problem) -> RevocationList {
        let list: RevocationList
        do throws(RevocationList.Failure) { list = try RevocationList(der: der) } catch {
            switch error {
            case .malformed: throw problem("crl_unreadable", "has a revocation list that cannot be read")
            case .unknownExtension(let name):
                throw problem(
                    "crl_extension",
                    "has a revocation list with the critical extension \(name), which is not supported (delta, indirect or partial lists)"
                )
            case .unknownAlgorithm(let name):
                throw problem("crl_algorithm", "has a revocation list signed with \(name), which is not supported")
            }
        }
        let signers = authorities.filter { $0.subject == list.issuer }
        if !signers.isEmpty, !signers.contains(where: { list.isSigned(by: $0) }) {
            throw problem(
                "crl_signature",
                "has a revocation list of \(list.issuerText) that this CA has not signed; do not use it")
        }
        if let next = list.nextUpdate, next < now {
            let date = Self.date(next)
            warnings.append(
                Problem(
                    "listener.crl_expired",
                    "listener \"\(listener)\": the revocation list of \(list.issuerText) was to be renewed by \(date); clients of this CA are refused until it is",
                    ["listener": listener, "issuer": list.issuerText, "date": date]))
        }
        return list
    }

    /// The DER texts of revocation lists in a PEM text, or the DER text itself.
    private func blocks(_ text: [UInt8]) throws(Problem) -> [[UInt8]] {
        if text.first == 0x30 { return [text] }
        let found = PEM.blocks(text, "X509 CRL")
        if found.isEmpty { throw problem("crl_unreadable", "has a revocation list that is neither PEM nor DER") }
        return found
    }

    // MARK: Parts

    private func certificates(_ text: [UInt8], _ key: String) throws(Problem) -> [NIOSSLCertificate] {
        guard String(decoding: text, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----") else {
            throw problem(
                "not_pem",
                "has a `\(key)` that is not PEM (no BEGIN CERTIFICATE); for a file write \(key): { file: /path/to/file.pem }"
            )
        }
        do {
            let list = try NIOSSLCertificate.fromPEMBytes(text)
            if !list.isEmpty { return list }
        } catch {
            // Said below: BoringSSL's own words help nobody.
        }
        throw problem("certificate_unreadable", "has a `\(key)` whose PEM text is damaged")
    }

    private func fields(_ certificate: NIOSSLCertificate, _ key: String) throws(Problem) -> CertificateFields {
        do { return try CertificateFields(der: certificate.toDERBytes()) } catch {
            throw problem("certificate_unreadable", "has a `\(key)` that is not a proper X.509 certificate")
        }
    }

    private func configuration(_ identity: Loaded, trust: [NIOSSLCertificate]?) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: identity.chain, privateKey: identity.key)
        configuration.minimumTLSVersion = settings.minimumVersion == .v13 ? .tlsv13 : .tlsv12
        configuration.shutdownTimeout = .seconds(2)
        if !settings.ciphers.isEmpty { configuration.cipherSuiteValues = TLSCiphers.ciphers(settings.ciphers) }
        if let trust, settings.clientCertificates != .none {
            configuration.trustRoots = .certificates(trust)
            configuration.sendCANameList = true
            configuration.certificateVerification =
                settings.clientCertificates == .required ? .noHostnameVerification : .optionalVerification
        }
        return configuration
    }

    private func makeContext(_ configuration: TLSConfiguration) throws(Problem) -> NIOSSLContext {
        do { return try NIOSSLContext(configuration: configuration) } catch {
            throw problem("tls_unusable", "cannot set up TLS: \(error)")
        }
    }

    private func problem(_ code: String, _ predicate: String) -> Problem {
        Problem("listener." + code, "listener \"\(listener)\" \(predicate)", ["listener": listener])
    }

    /// `2026-11-23`
    private static func date(_ seconds: Int64) -> String {
        String(Timestamp(nanoseconds: seconds &* 1_000_000_000).description.prefix(10))
    }
}

enum PEM {
    /// The contents of the blocks with a label.
    static func blocks(_ text: [UInt8], _ label: String) -> [[UInt8]] {
        var found: [[UInt8]] = []
        var digits: [UInt8]?
        for line in text.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
            let words = String(decoding: line, as: UTF8.self)
            if words.hasPrefix("-----BEGIN \(label)-----") {
                digits = []
            } else if words.hasPrefix("-----END \(label)-----") {
                if let digits, let bytes = decode(digits) { found.append(bytes) }
                digits = nil
            } else {
                digits?.append(contentsOf: line)
            }
        }
        return found
    }

    /// Base64; nil where it is not.
    private static func decode(_ digits: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count * 3 / 4)
        var bits: UInt32 = 0
        var count = 0
        for digit in digits where digit != 0x20 && digit != 0x09 {
            let value: UInt8
            switch digit {
            case 0x41...0x5A: value = digit - 0x41
            case 0x61...0x7A: value = digit - 0x61 + 26
            case 0x30...0x39: value = digit - 0x30 + 52
            case 0x2B: value = 62
            case 0x2F: value = 63
            case 0x3D: continue
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            count += 1
            if count % 4 != 1 {
                bytes.append(UInt8(truncatingIfNeeded: bits >> [0, 0, 4, 2][count % 4 == 0 ? 0 : count % 4]))
            }
        }
        return bytes
    }
}
