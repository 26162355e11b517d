import NIOSSL

/// Looks at each certificate of a client's chain after TLS itself has judged it: from the root down to the client's,
/// so that the issuer of each is the one before.
final class ChainCheck {
    private let arrival: Arrival
    private let trust: ClientTrust
    private var issuer: CertificateFields?

    init(_ arrival: Arrival, _ trust: ClientTrust) {
        self.arrival = arrival
        self.trust = trust
    }

    func judge(_ verdict: NIOSSLVerificationResult, _ certificate: NIOSSLCertificate) -> NIOSSLVerificationResult {
        guard let der = try? certificate.toDERBytes(), let fields = try? CertificateFields(der: der) else {
            arrival.fail(.certificateUntrusted)
            return .failed
        }
        guard case .certificateVerified = verdict else {
            let objection = trust.objection(to: fields, issuer: nil, isLeaf: false)
            arrival.fail(objection == .certificateExpired ? .certificateExpired : .certificateUntrusted)
            return .failed
        }
        let issuer = issuer ?? fields
        self.issuer = fields
        arrival.tlsIssuer = issuer
        // A root answers for itself; it is in the listener's own list of authorities.
        if fields.subject == fields.issuer { return .certificateVerified }
        if let objection = trust.objection(to: fields, issuer: issuer, isLeaf: false) {
            arrival.fail(objection)
            return .failed
        }
        return .certificateVerified
    }
}

/// NIOSSL marks the initialiser that takes a per-certificate judgement as deprecated: its successors hand over the
/// whole duty of checking a chain, which TLS does better. Reached through a protocol, so that the one place that
/// knows is this one.
protocol HandlerMaker {
    func make(_ context: NIOSSLContext, _ check: ChainCheck) throws -> NIOSSLServerHandler
}

struct JudgingHandlerMaker: HandlerMaker {
    @available(*, deprecated)
    func make(_ context: NIOSSLContext, _ check: ChainCheck) throws -> NIOSSLServerHandler {
        try NIOSSLServerHandler(context: context, verificationCallback: { check.judge($0, $1) })
    }
}
