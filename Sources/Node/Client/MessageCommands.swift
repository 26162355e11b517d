import Broker
import Bus
import Model

/// Where `pub` and `sub` connect.
package struct BrokerTarget: Sendable {
    let host: String
    let port: Int
    let username: String?
    let password: String?
    let clientID: String?
    let qos: UInt8

    package init(host: String, port: Int, username: String?, password: String?, clientID: String?, qos: UInt8) {
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self.clientID = clientID
        self.qos = qos
    }
}
