package import Model
package import SinkKit

/// Rows into a table of PostgreSQL 12 or later, by binary COPY.
///
/// Each batch is one transaction, in which the lane's mark is moved on as well (table `tundish_sink_marks` of the
/// same database), so that a row that is written again after a lost connection or a restart counts once.
package struct PostgresSink: Sink {
    package static let descriptor = SinkDescriptor(
        type: "postgres", title: "PostgreSQL", titleChinese: "PostgreSQL",
        connection: Schema([
            Field(
                "url", .string, required: true,
                help: "postgres://user@host:port/database?sslmode=require, without a password.",
                chinese: "postgres://用户@主机:端口/数据库?sslmode=require，不含密码。"),
            Field("password", .secret, help: "The user's password.", chinese: "用户密码。"),
            Field(
                "writeTimeout", .duration(.seconds(1)...(.seconds(86_400))), default: .duration(60_000_000_000),
                help: "Longest wait for an answer, such as to a batch; then the connection is given up.",
                chinese: "等待应答（例如批次写入）的最长时间，超时后断开重连。"),
            Field(
                "timeout", .duration(.seconds(1)...(.seconds(600))), default: .duration(10_000_000_000),
                help: "Longest wait for a connection, and for a network that is silent.",
                chinese: "连接超时以及网络无响应的最长等待时间。"),
        ]),
        options: Schema([
            Field("table", .string, required: true, help: "The table, as name or schema.name.", chinese: "表名，可带模式名。"),
            Field(
                "createTable", .bool, default: .bool(false), help: "Make the table if it is not there.",
                chinese: "表不存在时自动创建。"),
            Field(
                "upsert", .list(.string, countMax: 32),
                help: "Key columns: a row whose key is there already replaces it. They need a unique index.",
                chinese: "主键列：键相同的行将被更新，需要唯一索引。"),
        ]),
        batch: BatchPolicy(rowsMax: 5000, bytesMax: 4 << 20, delayMax: .milliseconds(200)), lanesMax: 64,
        remembersMarks: true)

    let url: String
    let password: SecretReference?
    let timeout: Duration
    let writeTimeout: Duration
    let table: PostgresTable
    let environment: SinkEnvironment

    package init(_ configuration: ConfigValue, target: SinkTarget, environment: SinkEnvironment) throws(Problem) {
        url = configuration["url"]?.string ?? ""
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://") else {
            throw Problem(
                "postgres.url", "url must begin with postgres:// (postgres://user@host/database)", ["field": "url"])
        }
        let authority = url.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
        if let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") {
            throw Problem(
                "postgres.url.password",
                "a password does not belong into the URL; give it as password: { secret: NAME }", ["field": "url"])
        }
        password = configuration["password"]?.secret
        timeout = configuration["timeout"]?.duration ?? .seconds(10)
        writeTimeout = configuration["writeTimeout"]?.duration ?? .seconds(60)
        self.environment = environment
        let name = target.options["table"]?.string ?? ""
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count),
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 63 && !$0.utf8.contains(0) })
        else {
            throw Problem(
                "postgres.table", "table must be a name or schema.name, each of at most 63 bytes, not \"\(name)\"",
                ["field": "table", "table": name])
        }
        let keys = (target.options["upsert"]?.list ?? []).compactMap(\.string)
        guard target.columns.contains(where: { $0.name != "row" }) || target.columns.count > 1 || keys.isEmpty else {
            throw Problem("postgres.upsert", "upsert needs columns", ["field": "upsert"])
        }
        for key in keys where !target.columns.contains(where: { $0.name == key }) {
            throw Problem(
                "postgres.upsert", "upsert names \"\(key)\", which is not in columns",
                ["field": "upsert", "column": key])
        }
        table = PostgresTable(
            parts: parts, columns: target.columns, keys: keys,
            isMade: target.options["createTable"]?.bool ?? false)
    }

    /// What the client library is told.
    private func settings() async throws(Problem) -> [(String, String)] {
        let seconds = max(1, Int(timeout.components.seconds))
        var settings = [
            ("dbname", url), ("application_name", "tundish"), ("client_encoding", "UTF8"),
            ("connect_timeout", String(max(2, seconds))), ("keepalives_idle", String(seconds)),
            ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", String(seconds * 1000)),
        ]
        if let password { settings.append(("password", try await environment.secret(password))) }
        return settings
    }

    func open() async throws(SinkError) -> (BlockingLine, PostgresSession) {
        let settings: [(String, String)]
        do throws(Problem) { settings = try await self.settings() } catch { throw SinkError(.permanent, error) }
        let line = BlockingLine("postgres")
        let session = PostgresSession()
        let failure = await line.run { () -> PostgresSession.Failure? in
            do throws(PostgresSession.Failure) {
                try session.open(settings)
                // The words of errors in one language, and no surprise about times.
                try session.run("SET lc_messages TO 'C'")
                return nil
            } catch {
                // Only a superuser may choose the language of messages.
                return session.isConnected ? nil : error
            }
        }
        if let failure { throw PostgresProblems.connecting(failure, url: url) }
        return (line, session)
    }

    package func connect(lane: Int) async throws(SinkError) -> any SinkConnection {
        let (line, session) = try await open()
        let table = table
        let checked = await line.run(session, within: writeTimeout) { () -> Result<[PostgresType], SinkError> in
            do throws(SinkError) {
                let types = try table.prepare(session)
                return .success(types)
            } catch {
                session.close()
                return .failure(error)
            }
        }
        switch checked {
        case .failure(let error): throw error
        case .success(let types):
            return PostgresLane(
                line: line, session: session, table: table, types: types, buffer: environment.buffer,
                timeout: writeTimeout)
        }
    }

    package func probe() async -> SinkHealth {
        do throws(SinkError) {
            let (line, session) = try await open()
            let table = table
            let problem = await line.run(session, within: writeTimeout) { () -> Problem? in
                defer { session.close() }
                do throws(SinkError) {
                    _ = try table.check(session, makes: false)
                    return nil
                } catch {
                    return error.problem
                }
            }
            return problem.map { .unavailable($0) } ?? .ready
        } catch {
            return .unavailable(error.problem)
        }
    }
}

/// What the server's errors mean to a lane. Codes: PostgreSQL 15 documentation, appendix A.
enum PostgresProblems {
    static func connecting(_ failure: PostgresSession.Failure, url: String) -> SinkError {
        let text = failure.message.split(separator: "\n").last.map(String.init) ?? failure.message
        let isForPeople =
            failure.code == "library"
            || [
                "authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied",
                "invalid URI", "invalid connection option", "certificate verify failed", "is not permitted to log in",
            ].contains { text.contains($0) }
        return SinkError(
            isForPeople ? .permanent : .transient,
            Problem(
                isForPeople ? "postgres.refused" : "postgres.unreachable", "no connection to PostgreSQL: \(text)",
                ["url": url, "reason": text]))
    }

    static func statement(_ failure: PostgresSession.Failure, doing what: String, isConnected: Bool) -> SinkError {
        let code = failure.code
        let problem = Problem(
            code.isEmpty ? "postgres.connection_lost" : "postgres.\(code)", "\(what): \(failure.message)",
            ["sqlstate": code, "reason": failure.message])
        if code.hasPrefix("22") || code.hasPrefix("23") {
            let refused = failure.row.map { [RefusedRow(index: $0, code: code, reason: failure.message)] } ?? []
            return SinkError(
                .badBatch, Problem(code, failure.message, problem.arguments), isConnectionSound: isConnected,
                refused: refused)
        }
        let isForPeople = ["28", "3D", "3F", "42", "0A"].contains { code.hasPrefix($0) }
        return SinkError(isForPeople ? .permanent : .transient, problem, isConnectionSound: false)
    }
}
