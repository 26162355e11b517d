import CPostgres
import Model
import SinkKit
import Synchronization

/// One connection to the server. Calls block; confined to the thread of a `BlockingLine`.
final class PostgresSession: @unchecked Sendable {
    // Confined to one thread, as the class says: that is what makes it Sendable.
    private var connection: OpaquePointer?
    /// What another thread may interrupt; -1 when there is nothing to interrupt any more.
    private let socket = Mutex<CInt>(-1)

    struct Failure: Error {
        /// Empty where the server did not say: the connection failed.
        var code: String
        var message: String
        /// The row of a COPY that the server named, from 0.
        var row: Int?
    }

    deinit { close() }

    func close() {
        socket.withLock { $0 = -1 }
        if let connection { tundish_pq_finish(connection) }
        connection = nil
    }

    func open(_ settings: [(String, String)]) throws(Failure) {
        if let missing = tundish_pq_load() {
            throw Failure(
                code: "library",
                message: "PostgreSQL's client library is not installed (Debian: apt-get install libpq5): "
                    + String(cString: missing))
        }
        let texts = settings.flatMap { [$0.0, $0.1] }.map { Array($0.utf8CString) }
        var made: OpaquePointer?
        Self.withPointers(texts) { pointers in
            var keywords: [UnsafePointer<CChar>?] = []
            var values: [UnsafePointer<CChar>?] = []
            for index in stride(from: 0, to: pointers.count, by: 2) {
                keywords.append(pointers[index])
                values.append(pointers[index + 1])
            }
            keywords.append(nil)
            values.append(nil)
            made = tundish_pq_connect(keywords, values)
        }
        guard let made else { throw Failure(code: "", message: "out of memory") }
        connection = made
        guard tundish_pq_is_connected(made) != 0 else {
            let message = Self.text(tundish_pq_error(made))
            close()
            throw Failure(code: "", message: message)
        }
        socket.withLock { $0 = tundish_pq_socket(made) }
    }

    /// From any thread: whatever waits for the server fails at once, as if the connection were lost.
    func interrupt() { socket.withLock { if $0 >= 0 { tundish_pq_interrupt($0) } } }

    private static func withPointers(_ texts: [[CChar]], _ body: ([UnsafePointer<CChar>?]) -> Void) {
        let copies = texts.map { text -> UnsafeMutablePointer<CChar> in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
            copy.initialize(from: text, count: text.count)
            return copy
        }
        body(copies.map { UnsafePointer($0) })
        for copy in copies { copy.deallocate() }
    }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer else { return "" }
        var text = String(cString: pointer)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }

    private func opened() throws(Failure) -> OpaquePointer {
        guard let connection else { throw Failure(code: "", message: "the connection is closed") }
        return connection
    }

    /// Runs one statement with parameters as text; the rows as text, "" for NULL.
    @discardableResult
    func run(_ sql: String, _ parameters: [String] = []) throws(Failure) -> [[String]] {
        let connection = try opened()
        var result: OpaquePointer?
        Self.withPointers(parameters.map { Array($0.utf8CString) }) { pointers in
            result = tundish_pq_run(connection, sql, CInt(parameters.count), pointers)
        }
        guard let result else { throw Failure(code: "", message: Self.text(tundish_pq_error(connection))) }
        defer { tundish_pq_clear(result) }
        switch Int(tundish_pq_status(result)) {
        case tundish_pq_command_ok: return []
        case tundish_pq_tuples_ok: return Self.rows(result)
        default: throw failure(of: result)
        }
    }

    private static func rows(_ result: OpaquePointer) -> [[String]] {
        (0..<tundish_pq_rows(result)).map { row in
            (0..<tundish_pq_columns(result)).map { column in text(tundish_pq_value(result, row, column)) }
        }
    }

    private func failure(of result: OpaquePointer) -> Failure {
        let code = Self.text(tundish_pq_field(result, CInt(tundish_pq_sqlstate)))
        var message = Self.text(tundish_pq_field(result, CInt(tundish_pq_message)))
        let detail = Self.text(tundish_pq_field(result, CInt(tundish_pq_detail)))
        let context = Self.text(tundish_pq_field(result, CInt(tundish_pq_context)))
        if message.isEmpty { message = Self.text(tundish_pq_result_error(result)) }
        if !detail.isEmpty { message += " (\(detail))" }
        return Failure(code: code, message: message, row: Self.row(context))
    }

    /// `COPY readings, line 123, column ts`: 122.
    static func row(_ context: String) -> Int? {
        guard context.hasPrefix("COPY "), let start = context.firstRange(of: ", line ")?.upperBound else { return nil }
        let digits = context[start...].prefix { $0.isNumber }
        return Int(digits).map { $0 - 1 }
    }

    /// Sends `before`, which ends with a COPY FROM STDIN, then the bytes; `check` sees the rows of what comes before
    /// the COPY, and ends it where it returns a reason. What stands in `before` behind the COPY is run then.
    func copy(
        _ before: String, _ bytes: [UInt8], check: ([[String]]) -> String?
    ) throws(Failure) {
        let connection = try opened()
        guard tundish_pq_send(connection, before) == 1 else {
            throw Failure(code: "", message: Self.text(tundish_pq_error(connection)))
        }
        var failed: Failure?
        var reason: String?
        results: while let result = tundish_pq_next(connection) {
            defer { tundish_pq_clear(result) }
            switch Int(tundish_pq_status(result)) {
            case tundish_pq_command_ok: break
            case tundish_pq_tuples_ok: reason = reason ?? check(Self.rows(result))
            case tundish_pq_copy_in:
                let isSent = reason == nil && put(bytes, connection)
                let ended = isSent ? tundish_pq_end(connection, nil) : tundish_pq_end(connection, reason ?? "not sent")
                if ended != 1, failed == nil {
                    failed = Failure(code: "", message: Self.text(tundish_pq_error(connection)))
                }
                // The COPY is open for ever; the connection is of no more use.
                if ended != 1 { break results }
            default: failed = failed ?? failure(of: result)
            }
            // A connection that is gone gives the same answer for ever.
            if tundish_pq_is_connected(connection) == 0 { break }
        }
        if tundish_pq_is_connected(connection) == 0 {
            throw Failure(code: "", message: Self.text(tundish_pq_error(connection)))
        }
        if let reason { throw Failure(code: "mark", message: reason) }
        if let failed { throw failed }
    }

    private func put(_ bytes: [UInt8], _ connection: OpaquePointer) -> Bool {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.bindMemory(to: CChar.self).baseAddress else { return true }
            for at in stride(from: 0, to: buffer.count, by: 1 << 18) {
                guard tundish_pq_put(connection, base + at, CInt(min(1 << 18, buffer.count - at))) == 1 else {
                    return false
                }
            }
            return true
        }
    }

    var isConnected: Bool { connection.map { tundish_pq_is_connected($0) != 0 } ?? false }
}

extension BlockingLine {
    /// Runs `body` on the thread; where the server has not answered by then, interrupts it.
    func run<R: Sendable>(
        _ session: PostgresSession, within time: Duration, _ body: @escaping @Sendable () -> R
    ) async -> R {
        let watch = Task {
            try await Task.sleep(for: time)
            session.interrupt()
        }
        defer { watch.cancel() }
        return await run(body)
    }
}
