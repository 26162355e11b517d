package import BrokerCore
package import Model

/// What one method says about a client.
package enum MethodAnswer: Sendable {
    case accept(Identified)
    /// It is not who it says it is, or may not come: nobody else is asked.
    case refuse(RefusalCause, String)
    /// Not one of this method's clients.
    case next(RefusalCause, String)
    /// It cannot be asked at the moment.
    case unavailable(RefusalCause, String)
}

/// A client that a method knows.
package struct Identified: Sendable {
    package var username: String?
    package var roles: [String] = []
    package var isSuperuser = false
    /// Nil: only from this machine.
    package var mayWriteDevices: Bool?
    /// Rules of its own, which go before all others.
    package var rules: [AccessRule] = []
    package var expiresAt: Timestamp?

    package init(username: String?) { self.username = username }
}

/// One way to find out who a client is: a link of the chain. Databases and directories are further ones.
package protocol AccessMethod: Sendable {
    /// May take its time; the chain gives up after the link's time-out.
    func check(_ credentials: Credentials) async -> MethodAnswer
    /// The answer if it is there without waiting; nil: ask `check`. Called on event loops.
    func checkNow(_ credentials: Credentials) -> MethodAnswer?
    /// Begins an exchange by a mechanism of MQTT 5's enhanced authentication; nil: not one of its mechanisms.
    func exchange(_ mechanism: String, _ credentials: Credentials) -> (any MethodExchange)?
    /// Takes as long as a check that fails at the end, so that names that nobody knows take as long as others; false:
    /// its checks take no time worth hiding.
    func spendTime() async -> Bool
    func metrics() -> [MetricSample]
    /// Ends what runs in the background.
    func close() async
}

extension AccessMethod {
    package func checkNow(_ credentials: Credentials) -> MethodAnswer? { nil }
    package func exchange(_ mechanism: String, _ credentials: Credentials) -> (any MethodExchange)? { nil }
    package func spendTime() async -> Bool { false }
    package func metrics() -> [MetricSample] { [] }
    package func close() async {}
}

/// One client's exchange with a method.
package protocol MethodExchange: Sendable {
    func next(_ data: Bytes?) async -> MethodStep
}

package enum MethodStep: Sendable {
    case challenge(Bytes)
    case accept(Identified, Bytes?)
    case refuse(RefusalCause, username: String?, String)
    case unavailable(RefusalCause, String)
}
