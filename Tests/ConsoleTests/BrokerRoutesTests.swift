import Formats
import Model
import Synchronization
import Testing

@testable import Console

@Suite("Broker routes")
struct BrokerRoutesTests {
    private func withClients(_ body: (Harness) async throws -> Void) async throws {
        try await Harness.run { (harness: Harness) async throws in
            harness.services.state.withLock { state in
                for index in 0..<250 {
                    var client = ClientInfo(clientID: "pump-\(index)", peer: "10.0.0.\(index):1", listener: "mqtt")
                    client.username = index % 2 == 0 ? "Even" : nil
                    client.received = UInt64(index)
                    client.queued = index % 100 == 0 ? 5 : 0
                    client.dropped = index == 7 ? 1 : 0
                    client.state = index < 200 ? .connected : .disconnected
                    state.clients.append(client)
                }
            }
            try await body(harness)
        }
    }

    @Test("clients come in pages, filtered and sorted, with the number of all that match")
    func clients() async throws {
        try await withClients { (harness: Harness) async throws in
            func get(_ query: String) async throws -> JSONValue {
                try await harness.call("GET", "/api/v1/clients?" + query).json
            }
            let page = try await get("sort=-received&limit=3&offset=1")
            #expect(page["total"] == 250)
            #expect(page["items"]?.array?.compactMap { $0["received"]?.integer } == [248, 247, 246])
            #expect(try await get("filter=EVEN")["total"] == 125)
            #expect(try await get("filter=10.0.0.24")["total"] == 11)
            #expect(try await get("state=disconnected")["total"] == 50)
            #expect(try await get("slow=true")["total"] == 4)
            #expect(try await harness.call("GET", "/api/v1/clients?sort=colour").status == 400)
            #expect(try await harness.call("GET", "/api/v1/clients?state=x").status == 400)
            #expect(try await harness.call("GET", "/api/v1/clients?limit=0").status == 400)
        }
    }

    @Test("sorting keeps clients that are equal in the order of their ids, so that no page repeats one")
    func stableOrder() throws {
        var clients = ["c", "a", "b"].map { ClientInfo(clientID: $0) }
        try ClientSort.sort(&clients, by: "-sent")
        #expect(clients.map(\.clientID) == ["a", "b", "c"])
    }

    @Test("one client shows its queues and filters; disconnecting needs one that is there")
    func oneClient() async throws {
        try await withClients { (harness: Harness) async throws in
            let report = try await harness.call("GET", "/api/v1/clients/pump-3").json
            #expect(report["inflightMax"] == 20)
            #expect(report["slow"] == true)
            #expect(report["filters"]?[0]?["filter"]?.string == "a/#")
            #expect(report["sessionExpirySeconds"] == nil)
            #expect(try await harness.call("GET", "/api/v1/clients/nobody").status == 404)
            #expect(try await harness.call("DELETE", "/api/v1/clients/pump-3").status == 204)
            #expect(try await harness.call("DELETE", "/api/v1/clients/pump-4?session=true").status == 204)
            #expect(try await harness.call("DELETE", "/api/v1/clients/nobody").status == 404)
            #expect(
                harness.services.state.withLock { $0.disconnected } == ["pump-3", "pump-4 and its session"])
        }
    }

    @Test("subscriptions are found by text, client, or a topic that they match, shared ones too")
    func subscriptions() async throws {
        try await Harness.run { (harness: Harness) async throws in
            func total(_ query: String) async throws -> JSONValue? {
                try await harness.call("GET", "/api/v1/subscriptions?" + query).json["total"]
            }
            #expect(try await total("") == 2)
            #expect(try await total("topic=b/x") == 1)
            #expect(try await total("topic=a") == 1)
            #expect(try await total("client=d") == 1)
            #expect(try await total("filter=share") == 1)
            #expect(try await harness.call("GET", "/api/v1/subscriptions?topic=a/%23").status == 400)
        }
    }

    @Test("retained messages are searched by filter and by text, in pages, shown one by one, and deleted")
    func retained() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let page = try await harness.call("GET", "/api/v1/retained?limit=2").json
            #expect(page["items"]?.array?.count == 2)
            #expect(page["more"] == true)
            #expect(try await harness.call("GET", "/api/v1/retained?filter=a/%23").json["total"] == 2)
            #expect(try await harness.call("GET", "/api/v1/retained?text=B").json["total"] == 1)
            #expect(try await harness.call("GET", "/api/v1/retained?filter=a%23").status == 400)
            #expect(try await harness.call("GET", "/api/v1/retained/a%2Fb").json["encoding"]?.string == "base64")
            #expect(try await harness.call("GET", "/api/v1/retained/none").status == 404)
            #expect(try await harness.call("GET", "/api/v1/retained/%23").status == 400)
            #expect(try await harness.call("DELETE", "/api/v1/retained/a").status == 204)
            #expect(try await harness.call("DELETE", "/api/v1/retained/none").status == 404)
            #expect(harness.services.state.withLock { $0.deletedRetained } == ["a by robot", "none by robot"])
        }
    }

    @Test("topic metrics begin, show and end; a filter is counted once")
    func topicMetrics() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let path = "/api/v1/topic-metrics"
            #expect(try await harness.call("POST", path, Harness.token, .object(["filter": "a/#"])).status == 201)
            #expect(try await harness.call("POST", path, Harness.token, .object(["filter": "a/#"])).status == 409)
            #expect(try await harness.call("POST", path, Harness.token, .object(["filter": "a#"])).status == 400)
            let item = try await harness.call("GET", path).json["items"]?[0]
            #expect(item?["received"] == 6)
            #expect(item?["receivedByQos"]?.array?.count == 3)
            #expect(try await harness.call("DELETE", path + "/a%2F%23").status == 204)
            #expect(try await harness.call("DELETE", path + "/a%2F%23").status == 404)
        }
    }

    @Test("listeners show what they refused and why; refusals carry their reason")
    func listenersAndRefusals() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let listener = try await harness.call("GET", "/api/v1/broker/listeners").json["items"]?[0]
            #expect(listener?["closed"]?["keep_alive"] == 4)
            let refusal = try await harness.call("GET", "/api/v1/broker/refusals").json["items"]?[0]
            #expect(refusal?["cause"]?.string == "publish_denied")
            #expect(refusal?["by"]?.string == "plant")
        }
    }
}
