import BrokerCore
import Model
import Synchronization
import Testing

@testable import Broker

@Suite("Authentication chain", .timeLimit(.minutes(1)))
struct AccessChainTests {
    private func known(_ name: String) -> MethodAnswer { .accept(Identified(username: name)) }

    @Test("methods are asked in their order until one knows the client")
    func order() async {
        let (first, second, third) = (
            TestMethod(.next(.unknownUser, "")), TestMethod(known("ali")), TestMethod(known("bob"))
        )
        let (chain, _) = makeChain(link("c", third, order: 3), link("a", first, order: 1), link("b", second, order: 2))
        let decision = await chain.authenticate(credentials("ali", "x"))
        #expect(decision.accepted?.username == "ali" && decision.accepted?.authenticator == "b")
        #expect([first, second, third].map(\.asked.count) == [1, 1, 0])
    }

    @Test("a method that refuses ends the search; where all pass it on the client is refused with the same answer")
    func refused() async {
        let later = TestMethod(known("ali"))
        let (chain, journal) = makeChain(
            link("a", TestMethod(.refuse(.wrongPassword, "")), order: 1), link("b", later, order: 2))
        #expect(await chain.authenticate(credentials("ali", "x")).reason == .notAuthorized)
        #expect(later.asked.count == 0)
        let (empty, second) = makeChain(link("a", TestMethod(.next(.unknownUser, "")), order: 1))
        #expect(await empty.authenticate(credentials("eve", "x")).reason == .notAuthorized)
        #expect(journal.recent().map(\.cause) == [.wrongPassword])
        #expect(second.recent().map(\.cause) == [.unknownUser])
        #expect(second.recent().first?.username == "eve" && second.recent().first?.by == "a")
    }

    @Test("what nobody knows takes as long as a wrong password")
    func sameTime() async {
        let users = TestMethod(.next(.unknownUser, ""), takesTime: true)
        let other = TestMethod(.next(.unknownUser, ""), takesTime: true)
        let (chain, _) = makeChain(link("a", users, order: 1), link("b", other, order: 2))
        _ = await chain.authenticate(credentials("eve", "x"))
        #expect(users.spent.count == 1)
        #expect(other.spent.count == 0)
    }

    @Test(
        "a method that does not answer in time is passed over or refuses, as configured",
        arguments: [
            ChainLink.WhenUnavailable.next, .refuse,
        ])
    func timeout(_ when: ChainLink.WhenUnavailable) async {
        let clock = ManualClock()
        let (chain, journal) = makeChain(
            clock: clock, link("slow", TestMethod(known("ali"), hangs: true), order: 1, onUnavailable: when),
            link("fast", TestMethod(known("ali")), order: 2))
        let task = Task { await chain.authenticate(credentials("ali", "x")) }
        await clock.untilSleeping()
        clock.advance(.seconds(4))
        #expect(clock.sleeping == 1)
        clock.advance(.seconds(2))
        let decision = await task.value
        #expect(decision.accepted?.authenticator == (when == .next ? "fast" : nil))
        #expect(decision.reason == (when == .next ? nil : .serverUnavailable))
        #expect(journal.recent().map(\.cause) == [.unavailable])
    }

    @Test("a method that is away is passed over or refuses, as configured")
    func unavailable() async {
        let away = TestMethod(.unavailable(.unavailable, "no route"))
        let (open, _) = makeChain(
            link("a", away, order: 1, onUnavailable: .next), link("b", TestMethod(known("ali")), order: 2))
        #expect(await open.authenticate(credentials("ali", "x")).accepted?.username == "ali")
        let (closed, journal) = makeChain(
            link("a", away, order: 1), link("b", TestMethod(known("ali")), order: 2))
        #expect(await closed.authenticate(credentials("ali", "x")).reason == .serverUnavailable)
        #expect(journal.recent().first?.detail == "no route")
    }

    @Test("a link for other listeners is not asked")
    func listeners() async {
        let office = TestMethod(known("ali"))
        let (chain, _) = makeChain(link("a", office, listeners: ["office"]))
        #expect(await chain.authenticate(credentials("ali", "x")).reason == .notAuthorized)
        #expect(office.asked.count == 0)
        #expect(await chain.authenticate(credentials("ali", "x", listener: "office")).accepted != nil)
    }

    @Test("who says nothing comes in where the listener lets it, and writes to devices from this machine only")
    func anonymous() async {
        let (chain, journal) = makeChain(link("a", TestMethod(known("ali"))))
        #expect(await chain.authenticate(credentials()).reason == .notAuthorized)
        #expect(journal.recent().map(\.cause) == [.noCredentials])
        let far = await chain.authenticate(credentials(anonymous: true)).accepted
        #expect(far != nil && far?.mayWriteDevices == false && far?.username == nil)
        #expect(
            chain.authenticateNow(credentials(isLoopback: true, anonymous: true))?.accepted?.mayWriteDevices == true)
    }

    @Test("an unknown user is anonymous on this machine as long as nothing is configured, elsewhere refused")
    func unknownLocal() async {
        let users = link("users", TestMethod(.next(.unknownUser, "")))
        let (chain, _) = makeChain(fallback: users)
        let local = await chain.authenticate(credentials("eve", "x", isLoopback: true, anonymous: true)).accepted
        #expect(local != nil && local?.username == nil)
        #expect(await chain.authenticate(credentials("eve", "x", anonymous: true)).reason == .notAuthorized)
        _ = chain.set(users)
        #expect(
            await chain.authenticate(credentials("eve", "x", isLoopback: true, anonymous: true)).reason
                == .notAuthorized)
    }

    @Test("failures in a row are answered without asking, for a time that doubles and ends")
    func brake() async {
        let clock = ManualClock()
        let method = TestMethod(.refuse(.wrongPassword, ""))
        let (chain, journal) = makeChain(clock: clock, link("a", method, clock: clock, scope: .addressAndUser))
        for _ in 0..<5 { _ = await chain.authenticate(credentials("ali", "x")) }
        #expect(method.asked.count == 5)
        #expect(await chain.authenticate(credentials("ali", "x")).reason == .notAuthorized)
        #expect(method.asked.count == 5)
        #expect(journal.recent(limit: 1).map(\.cause) == [.tooManyFailures])
        // Somebody else from the same address is heard.
        _ = await chain.authenticate(credentials("bob", "x"))
        #expect(method.asked.count == 6)
        clock.time.advance(nanoseconds: 1_500_000_000)
        method.answer.withLock { $0 = known("ali") }
        #expect(await chain.authenticate(credentials("ali", "right")).accepted != nil)
        method.answer.withLock { $0 = .refuse(.wrongPassword, "") }
        _ = await chain.authenticate(credentials("ali", "x"))
        #expect(method.asked.count == 8)
    }

    @Test("the brake forgets the quiet ones when it is full, not the busy ones")
    func brakeBound() {
        let time = ManualTime()
        var settings = GuessingBrake.Settings()
        settings.scope = .address
        settings.failuresMax = 1
        settings.waitMin = .seconds(300)
        let brake = GuessingBrake(settings, time: time)
        for index in 0..<GuessingBrake.entriesMax {
            time.advance(nanoseconds: 1)
            brake.failed("a\(index)", "u")
        }
        brake.failed("late", "u")
        #expect(brake.isBlocked("late", "other"))
        #expect(brake.isBlocked("a\(GuessingBrake.entriesMax - 1)", ""))
        #expect(!brake.isBlocked("a0", ""))
    }
}

@Suite("Users and certificates", .timeLimit(.minutes(1)))
struct AccessUsersTests {
    private let clock = ManualClock()
    private let users = UserTable()
    private let hashes = Counter()
    private let decoys = Counter()

    private func method(_ pool: HashPool) -> UsersMethod {
        let decoys = decoys
        return UsersMethod(users: users, pool: pool, time: clock.time, cacheFor: .seconds(600)) { _ in
            decoys.add()
            return false
        }
    }

    private func add(_ name: String, _ password: String, isDisabled: Bool = false) {
        let hashes = hashes
        users.set(
            UserRecord(
                name: name, isDisabled: isDisabled, roles: ["viewer"], mayWriteDevices: false,
                check: .hash {
                    hashes.add()
                    return $0 == password
                }))
    }

    @Test("a right password is hashed once, for everyone who brings it, and again when the user changed or time is up")
    func cache() async {
        let pool = HashPool()
        let method = method(pool)
        add("ali", "secret")
        let answers = await withTaskGroup(of: String.self) { tasks in
            for _ in 0..<200 { tasks.addTask { await method.check(credentials("ali", "secret")).text } }
            return await tasks.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(answers == ["accept"])
        #expect(hashes.count == 1)
        #expect(method.checkNow(credentials("ali", "secret"))?.accepted?.roles == ["viewer"])
        #expect(method.checkNow(credentials("ali", "other")) == nil)
        add("ali", "changed")
        #expect(method.checkNow(credentials("ali", "secret")) == nil)
        #expect(await method.check(credentials("ali", "secret")).text == "refuse wrong_password")
        #expect(await method.check(credentials("ali", "changed")).text == "accept")
        clock.time.advance(nanoseconds: 601_000_000_000)
        #expect(method.checkNow(credentials("ali", "changed")) == nil)
        await pool.shutdown()
    }

    @Test("wrong passwords are not remembered; disabled and unknown users cost the same work")
    func wrong() async {
        let pool = HashPool()
        let method = method(pool)
        add("ali", "secret")
        for _ in 0..<3 { #expect(await method.check(credentials("ali", "no")).text == "refuse wrong_password") }
        #expect(hashes.count == 3)
        add("bob", "secret", isDisabled: true)
        #expect(await method.check(credentials("bob", "secret")).text == "refuse disabled_user")
        #expect(decoys.count == 1)
        #expect(await method.check(credentials("eve", "x")).text == "next unknown_user")
        #expect(await method.spendTime())
        #expect(decoys.count == 2)
        await pool.shutdown()
    }

    @Test("what waits for the hash threads is bounded")
    func bounded() async {
        let pool = HashPool(threads: 1, waitingMax: 0)
        let method = method(pool)
        add("ali", "secret")
        #expect(await method.check(credentials("ali", "secret")).text == "unavailable overloaded")
        #expect(pool.refused.count == 1)
        await pool.shutdown()
    }

    @Test("a password that is kept elsewhere is read when it is needed")
    func reference() async {
        let pool = HashPool()
        let method = method(pool)
        users.set(
            UserRecord(
                name: "ali", roles: [], mayWriteDevices: true,
                check: .reference { () async throws(Problem) in "kept" }))
        #expect(await method.check(credentials("ali", "kept")).accepted?.mayWriteDevices == true)
        #expect(await method.check(credentials("ali", "no")).text == "refuse wrong_password")
        users.set(
            UserRecord(
                name: "ali", roles: [], mayWriteDevices: true,
                check: .reference { () async throws(Problem) in throw Problem("secret.env", "not set") }))
        #expect(await method.check(credentials("ali", "kept")).text == "unavailable unavailable")
        await pool.shutdown()
    }

    @Test("the user's name comes from the certificate, and a client cannot claim another")
    func certificate() async throws {
        let certificate = ClientCertificate(commonName: "press-7", fingerprintSHA256: "ab", uris: ["urn:press:7"])
        let method = CertificateMethod(username: try Template("${cert_common_name}"), roles: ["press"])
        #expect(method.checkNow(credentials(certificate: certificate))?.accepted?.username == "press-7")
        #expect(method.checkNow(credentials("press-7", certificate: certificate))?.accepted?.roles == ["press"])
        #expect(method.checkNow(credentials("boss", certificate: certificate))?.text == "refuse rejected")
        #expect(method.checkNow(credentials("boss"))?.text == "next no_credentials")
        let uri = CertificateMethod(username: try Template("u-${cert_uri}"))
        #expect(uri.checkNow(credentials(certificate: certificate))?.accepted?.username == "u-urn:press:7")
        let email = CertificateMethod(username: try Template("${cert_email}"))
        #expect(email.checkNow(credentials(certificate: certificate))?.text == "next unknown_user")
    }
}
