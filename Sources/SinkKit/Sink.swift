package import Model

/// A place outside that takes rows: a database, a web service, another broker.
///
/// A sink adds only what its protocol has. The host owns the rest: it journals rows first, gathers them into batches,
/// keeps lanes in order, limits what is in flight, retries with back-off, sets refused rows apart, measures, probes.
/// `init` does no input or output; it validates its configuration and throws a `Problem`. The host then calls, for
/// each lane, `connect`, `write` any number of times, `close`; after `close` or a failed `connect` it may connect
/// again. Calls of one lane never overlap; lanes run side by side.
package protocol Sink: Sendable {
    /// What may be configured, and what the sink can do.
    static var descriptor: SinkDescriptor { get }

    /// `configuration` is the resource's `connection`, validated against `descriptor.connection` with defaults filled
    /// in; `columns` the rows' shape, already rendered from the resource. Throws what a person must mend.
    init(_ configuration: ConfigValue, target: SinkTarget, environment: SinkEnvironment) throws(Problem)

    /// One connection for one lane. Throws a `SinkError`: transient ones are tried again.
    func connect(lane: Int) async throws(SinkError) -> any SinkConnection

    /// Whether the other side is there and is what the configuration says (the table, its columns' types): run at
    /// apply time and from time to time, on a connection of its own.
    func probe() async -> SinkHealth
}

/// A lane's connection. Confined to the lane: never called twice at a time.
package protocol SinkConnection: AnyObject, Sendable {
    /// Writes the batch; returns when the other side has confirmed. Either all rows that are not in the outcome's
    /// `refused` are durable there, or it throws and none may be taken to be.
    ///
    /// Delivery is at least once: after an error that leaves the outcome open, or a restart, the host writes rows
    /// again. A sink that can stores the batch's `mark` with the rows, in one transaction, and tells it by `marks`:
    /// then each row counts once (`SinkDescriptor.remembersMarks`).
    func write(_ batch: SinkBatch) async throws(SinkError) -> SinkOutcome

    /// The marks that the other side remembers of this buffer (`SinkEnvironment.buffer`), of every lane and of
    /// earlier divisions into lanes. Asked once after connecting, if the descriptor says that the sink remembers.
    func marks() async throws(SinkError) -> [SinkMark]

    /// Idempotent; does not throw, does not wait for long.
    func close() async
}

extension SinkConnection {
    package func marks() async throws(SinkError) -> [SinkMark] { [] }
}

/// What a kind of sink is, as data: forms, validation and the reference page come from it.
package struct SinkDescriptor: Sendable {
    /// As in a resource's `type`: `postgres`.
    package var type: String
    package var title: String
    package var titleChinese: String
    /// The shape of the resource's `connection`.
    package var connection: Schema
    /// Keys beside `connection`, `batch` and `buffer` that only this kind has, such as `table` or `url`.
    package var options: Schema
    /// What suits the kind where the resource says nothing.
    package var batch: BatchPolicy
    /// The most lanes that make sense; 1 where order over all rows matters.
    package var lanesMax: Int
    /// Stores each batch's mark with its rows, so that a row written twice counts once.
    package var remembersMarks: Bool

    package init(
        type: String, title: String, titleChinese: String, connection: Schema, options: Schema = Schema([]),
        batch: BatchPolicy = BatchPolicy(), lanesMax: Int = 16, remembersMarks: Bool = false
    ) {
        self.type = type
        self.title = title
        self.titleChinese = titleChinese
        self.connection = connection
        self.options = options
        self.batch = batch
        self.lanesMax = lanesMax
        self.remembersMarks = remembersMarks
    }
}

/// What the rows go into, as the resource says it.
package struct SinkTarget: Sendable {
    /// The resource's name, for error messages.
    package var name: String
    /// Values of `SinkDescriptor.options`.
    package var options: ConfigValue
    package var columns: [SinkColumn]

    package init(name: String, options: ConfigValue, columns: [SinkColumn]) {
        self.name = name
        self.options = options
        self.columns = columns
    }
}

/// One column of the rows that a sink gets.
package struct SinkColumn: Sendable, Hashable {
    package var name: String
    /// Nil: only known from row to row (a rule on untyped messages).
    package var type: ValueType?
    package var unit: String?

    package init(name: String, type: ValueType? = nil, unit: String? = nil) {
        self.name = name
        self.type = type
        self.unit = unit
    }
}

/// What is injected into a sink: clocks, randomness, and secrets by reference.
package struct SinkEnvironment: Sendable {
    package var time: any TimeSource
    package var random: any RandomSource
    /// Names the buffer that the rows come from, for ever: made with it, at random. Marks of another buffer of the
    /// same name mean nothing to this one.
    package var buffer: String
    /// The value behind a reference; a `Problem` names the secret that is missing, never a value.
    package var secret: @Sendable (SecretReference) async throws(Problem) -> String

    package init(
        time: any TimeSource, random: any RandomSource, buffer: String = "",
        secret: @escaping @Sendable (SecretReference) async throws(Problem) -> String
    ) {
        self.buffer = buffer
        self.time = time
        self.random = random
        self.secret = secret
    }
}
