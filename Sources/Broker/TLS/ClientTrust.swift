import Model
import Synchronization

/// Whom a listener trusts to sign clients' certificates, and which of these are no longer valid.
final class ClientTrust: Sendable {
    let authorities: [CertificateFields]
    let lists: [RevocationList]
    private let time: any TimeSource
    /// Whether a list is signed by a key: asked for every client, answered once.
    private let verified = Mutex<[Signed: Bool]>([:])

    private struct Signed: Hashable {
        var list: Int
        var publicKey: [UInt8]
    }

    init(authorities: [CertificateFields], lists: [RevocationList], time: any TimeSource) {
        self.authorities = authorities
        self.lists = lists
        self.time = time
    }

    private var now: Int64 { time.now().nanoseconds / 1_000_000_000 }

    /// Whether a certificate whose signature and chain are good must be refused all the same; nil: it is good.
    /// `issuer` nil: the one among the authorities. For the client's own certificate a valid list of its issuer must
    /// be there; for those between it and the root a list counts if there is one.
    func objection(to certificate: CertificateFields, issuer: CertificateFields?, isLeaf: Bool) -> CloseCause? {
        let now = now
        if certificate.notAfter < now || certificate.notBefore > now { return .certificateExpired }
        guard !lists.isEmpty else { return nil }
        let ofIssuer = lists.indices.filter { lists[$0].issuer == certificate.issuer }
        if ofIssuer.isEmpty { return isLeaf ? .revocationUnknown : nil }
        let candidates = issuer.map { [$0] } ?? authorities.filter { $0.subject == certificate.issuer }
        let signed = ofIssuer.filter { index in
            candidates.contains { isSigned(index, by: $0) } || (issuer == nil && wasVerified(index))
        }
        guard let newest = signed.max(by: { lists[$0].thisUpdate < lists[$1].thisUpdate }) else {
            return .revocationUnknown
        }
        if signed.contains(where: { lists[$0].revoked.contains(certificate.serial) }) { return .certificateRevoked }
        if let next = lists[newest].nextUpdate, next < now { return .revocationUnknown }
        return nil
    }

    /// Whether the key of some issuer in a good chain has signed a list: an issuer that only clients show.
    private func wasVerified(_ list: Int) -> Bool {
        verified.withLock { cache in cache.contains { $0.key.list == list && $0.value } }
    }

    private func isSigned(_ list: Int, by certificate: CertificateFields) -> Bool {
        let key = Signed(list: list, publicKey: certificate.publicKey)
        if let known = verified.withLock({ $0[key] }) { return known }
        let answer = lists[list].isSigned(by: certificate)
        verified.withLock { cache in
            // Clients choose what is asked: never more than a few.
            if cache.count > 1024 { cache.removeAll() }
            cache[key] = answer
        }
        return answer
    }
}
