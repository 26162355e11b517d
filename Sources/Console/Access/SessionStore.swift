import Crypto
package import Model
import Synchronization

/// The hash of a session's secret: what the server keeps instead of the secret.
package struct SessionKey: Sendable, Hashable {
    fileprivate let digest: [UInt8]
}

/// The sessions of people who logged in; in memory, so that a restart asks for a login again.
package final class SessionStore: Sendable {
    private struct Session {
        var username: String
        var revision: Int64
        var createdAt: Int64
        var seenAt: Int64
    }

    package struct Found: Sendable {
        package var key: SessionKey
        package var username: String
        /// Of the user, when the session began.
        package var revision: Int64
    }

    /// Beyond that the session that was used longest ago ends.
    package static let sessionsMax = 4_096

    private let idleNanoseconds: Int64
    private let lifetimeNanoseconds: Int64
    private let time: any TimeSource
    private let random: any RandomSource
    private let sessions = Mutex<[SessionKey: Session]>([:])

    package init(idle: Duration, lifetime: Duration, time: any TimeSource, random: any RandomSource) {
        idleNanoseconds = idle.nanoseconds
        lifetimeNanoseconds = lifetime.nanoseconds
        self.time = time
        self.random = random
    }

    /// The secret for the cookie: 256 bits, in hex.
    package func begin(_ username: String, revision: Int64 = 0) -> String {
        let secret = Secrets.make(random)
        let now = time.monotonicNanoseconds()
        sessions.withLock { sessions in
            if sessions.count >= Self.sessionsMax { sessions = sessions.filter { !isOver($0.value, now) } }
            if sessions.count >= Self.sessionsMax, let oldest = sessions.min(by: { $0.value.seenAt < $1.value.seenAt })
            {
                sessions[oldest.key] = nil
            }
            sessions[Self.key(secret)] = Session(
                username: username, revision: revision, createdAt: now, seenAt: now)
        }
        return secret
    }

    /// Whose session it is, and marks it as used; nil when it ended.
    package func find(_ secret: String) -> Found? { touch(Self.key(secret)) }

    /// The same by its key, for a connection that stays open.
    package func touch(_ key: SessionKey) -> Found? {
        let now = time.monotonicNanoseconds()
        return sessions.withLock { sessions in
            guard var session = sessions[key] else { return nil }
            if isOver(session, now) {
                sessions[key] = nil
                return nil
            }
            session.seenAt = now
            sessions[key] = session
            return Found(key: key, username: session.username, revision: session.revision)
        }
    }

    package func end(_ key: SessionKey) { sessions.withLock { $0[key] = nil } }

    /// After a change of the user: a password that was changed must not leave old sessions behind.
    package func endAll(of username: String) {
        sessions.withLock { sessions in sessions = sessions.filter { $0.value.username != username } }
    }

    package var count: Int { sessions.withLock { $0.count } }

    private func isOver(_ session: Session, _ now: Int64) -> Bool {
        now - session.seenAt > idleNanoseconds || now - session.createdAt > lifetimeNanoseconds
    }

    private static func key(_ secret: String) -> SessionKey {
        SessionKey(digest: Array(SHA256.hash(data: Array(secret.utf8))))
    }
}

package enum Secrets {
    /// 256 bits in hex.
    package static func make(_ random: any RandomSource) -> String {
        let digits = Array("0123456789abcdef")
        var text = ""
        for _ in 0..<4 {
            var word = random.next()
            for _ in 0..<16 {
                text.append(digits[Int(word & 15)])
                word >>= 4
            }
        }
        return text
    }

    /// Takes the same time wherever the texts differ.
    package static func areEqual(_ a: String, _ b: String) -> Bool {
        let left = SHA256.hash(data: Array(a.utf8))
        let right = SHA256.hash(data: Array(b.utf8))
        var difference: UInt8 = 0
        for (x, y) in zip(left, right) { difference |= x ^ y }
        return difference == 0
    }
}
