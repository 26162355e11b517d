import Broker
import BrokerCore
import Bus
import Model
import NIOPosix

/// Where `pub` and `sub` connect.
package struct BrokerTarget: Sendable {
    let host: String
    let port: Int
    let username: String?
    let password: String?
    let clientID: String?
    let qos: QoS

    package init(host: String, port: Int, username: String?, password: String?, clientID: String?, qos: UInt8) {
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self.clientID = clientID
        self.qos = QoS(rawValue: qos) ?? .atMostOnce
    }

    fileprivate func connect() async throws(Problem) -> MQTTClient {
        var options = MQTTClient.Options(host: host, port: port, clientID: clientID ?? "")
        options.connect.username = username
        options.connect.password = password.map { Bytes($0) }
        return try await MQTTClient.connect(options, group: MultiThreadedEventLoopGroup.singleton)
    }
}

/// `tundish pub`: one message, acknowledged as its QoS asks.
package func publishOnce(_ target: BrokerTarget, topic: String, payload: String?, retain: Bool) async throws {
    let text = try payload ?? readTextFile("-")
    let client = try await target.connect()
    let reason = try await client.publish(topic, Bytes(text), qos: target.qos, retain: retain)
    await client.disconnect()
    if reason.isError {
        throw Problem("mqtt.refused", "the broker refused the message on \"\(topic)\": \(reason)", ["topic": topic])
    }
}

/// `tundish sub`: prints payloads until `countMax` or the end of the connection.
package func subscribeAndPrint(
    _ target: BrokerTarget, filters: [String], isVerbose: Bool, countMax: Int?, output: CommandOutput = .standard
) async throws {
    let client = try await target.connect()
    for filter in filters {
        let reason = try await client.subscribe(filter, qos: target.qos)
        if reason.isError {
            throw Problem("mqtt.refused", "the broker refused \"\(filter)\": \(reason)", ["filter": filter])
        }
    }
    var count = 0
    for await message in client.messages {
        output.line(isVerbose ? "\(message.topic) \(message.payload.string)" : message.payload.string)
        count += 1
        if let countMax, count >= countMax {
            await client.disconnect()
            return
        }
    }
    if client.dropped.count > 0 {
        output.error("tundish: \(client.dropped.count) messages came faster than they were printed")
    }
    throw Problem("mqtt.connection_lost", "the broker closed the connection")
}
