import Formats
import Model
import Testing

@testable import Console

/// What peers may send that a browser never would. Each ends with a request that must be answered.
@Suite("On the wire")
struct WireTests {
    private let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    @Test("requests that come at once are answered in their order")
    func pipelined() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let connection = try await harness.connect()
            try await connection.send(get + "GET /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" + get)
            #expect(try await connection.response().text == "ok\n")
            #expect(try await connection.response().status == 404)
            #expect(try await connection.response().text == "ok\n")
            connection.close()
        }
    }

    @Test("a request that comes byte by byte is answered")
    func byteByByte() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let connection = try await harness.connect()
            for byte in get.utf8 { try await connection.send([byte]) }
            #expect(try await connection.response().text == "ok\n")
            connection.close()
        }
    }

    @Test(
        "nonsense, before and after a request, in upgrades and bodies, never ends the server",
        arguments: [
            "\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\u{0} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\u{1}\u{2}\u{3}\r\n\r\n",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nnonsense",
            "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab",
            "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "POST /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 3\r\n\r\nabc",
            "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nnonsense instead of frames",
        ])
    func nonsense(text: String) async throws {
        try await Harness.run { (harness: Harness) async throws in
            for isCut in [false, true] {
                let connection = try await harness.connect()
                // The server may have closed before all is sent.
                try? await connection.send(text)
                if isCut { connection.close() } else { try? await connection.send(get) }
                let answer = try await harness.call("GET", "/healthz", [:])
                #expect(answer.text == "ok\n")
                connection.close()
            }
        }
    }

    @Test("a name with a line break reaches no header")
    func responseSplitting() async throws {
        try await Harness.run { (harness: Harness) async throws in
            let answer = try await harness.call("GET", "/x%0d%0aSet-Cookie:%20a=b", [:])
            #expect(answer.headers["set-cookie"] == nil)
        }
    }

    @Test("200 pages share one look at the values a tick, and each gets every change")
    func manyPages() async throws {
        try await Harness.run({ $0.liveTick = .milliseconds(10) }) { (harness: Harness) async throws in
            harness.services.set("d/g/a", .int(0), at: 0)
            var sockets: [TestConnection] = []
            for _ in 0..<200 {
                let socket = try await harness.openLive()
                try await socket.sendText(#"{"op":"subscribe","id":1,"tags":["d/g/a"],"intervalMilliseconds":100}"#)
                #expect(try await socket.message()["t"]?[0]?[2] == 0)
                sockets.append(socket)
            }
            for round in Int64(1)...5 {
                harness.services.set("d/g/a", .int(round), at: round)
                for socket in sockets {
                    #expect(try await socket.message()["t"] == .array([.array([0, .integer(round), .integer(round)])]))
                }
            }
            let metrics = try await harness.call("GET", "/metrics", [:])
            #expect(metrics.text.contains("tundish_console_live_sockets 200\n"))
            for socket in sockets { socket.close() }
        }
    }
}
