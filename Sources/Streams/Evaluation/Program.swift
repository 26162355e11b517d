/// One operation of a compiled expression.
enum Operation: UInt8 {
    case constant
    /// a: the rule's field.
    case field
    /// a: the rule's field; b: the metadata that stands in where the payload has none.
    case fieldOrMeta
    /// b: metadata.
    case meta
    case and, or, not, negate, plus
    case add, subtract, multiply, divide, integerDivide, modulo, concatenate
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
    case topicMatch
    /// a between b and c.
    case between
    /// a; b: first of the list; c: its length.
    case list
    /// a like b, with the escape character c (0: none).
    case like
    case isNull
    /// b: first of pairs (condition, value); c: number of them; a: otherwise, -1: none.
    case choose
    /// a: function; b: first argument; c: number of arguments.
    case call
    /// a; b: the index; c: 1 where indexes count from 1.
    case element
    /// a; constant: the key.
    case member
    /// a; c: the type.
    case cast
}

struct Node {
    var operation: Operation
    var a: Int32 = -1
    var b: Int32 = -1
    var c: Int32 = 0
    var constant = Cell.null
}

/// What an expression refers to beside the payload.
enum Meta: Int32, CaseIterable {
    case topic, clientid, username, qos, retain, receivedAt, node, peerhost, origin, contentType, responseTopic
    case correlationData, expiry, userProperties, payloadText, payloadBytes, messageID, event, flags, ruleName

    /// Names in Tundish's dialect, also behind `meta.`.
    static let tundish: [String: Meta] = [
        "topic": .topic, "clientid": .clientid, "username": .username, "qos": .qos, "retain": .retain,
        "received_at": .receivedAt, "timestamp": .receivedAt, "node": .node, "peerhost": .peerhost, "origin": .origin,
        "content_type": .contentType, "response_topic": .responseTopic, "correlation_data": .correlationData,
        "message_expiry": .expiry, "user_properties": .userProperties, "payload_text": .payloadText,
        "payload_bytes": .payloadBytes, "id": .messageID, "rule": .ruleName,
    ]

    static let emqx: [String: Meta] = [
        "topic": .topic, "clientid": .clientid, "username": .username, "qos": .qos, "timestamp": .receivedAt,
        "publish_received_at": .receivedAt, "node": .node, "peerhost": .peerhost, "peername": .peerhost,
        "payload": .payloadText,
        "id": .messageID, "event": .event, "flags": .flags, "pub_props": .userProperties, "retain": .retain,
    ]

    static let ekuiper: [String: Meta] = [
        "topic": .topic, "messageid": .messageID, "qos": .qos, "retain": .retain, "timestamp": .receivedAt,
        "clientid": .clientid, "username": .username,
    ]
}

/// Compiled expressions of one rule: flat tables that are evaluated without reference counting.
final class Program: @unchecked Sendable {
    // Built during initialisation and never written again: that is what makes it Sendable.
    let nodes: UnsafePointer<Node>
    let nodeCount: Int
    /// Lists and arguments: indexes of nodes.
    let lists: UnsafePointer<Int32>
    /// Where each node stands in the statement.
    let positions: [SourcePosition]
    private let constants: UnsafeMutablePointer<UInt8>

    /// `constants` holds the text of constant cells, whose `bits` are offsets into it and become addresses here.
    init(nodes: [Node], lists: [Int32], positions: [SourcePosition], constants: [UInt8]) {
        let text = UnsafeMutablePointer<UInt8>.allocate(capacity: max(constants.count, 1))
        for (index, byte) in constants.enumerated() { text[index] = byte }
        let table = UnsafeMutablePointer<Node>.allocate(capacity: max(nodes.count, 1))
        for (index, node) in nodes.enumerated() {
            var node = node
            switch node.constant.kind {
            case .text, .object, .array, .number, .escaped:
                node.constant.bits = UInt64(UInt(bitPattern: text + Int(node.constant.bits)))
            default: break
            }
            (table + index).initialize(to: node)
        }
        let flat = UnsafeMutablePointer<Int32>.allocate(capacity: max(lists.count, 1))
        for (index, value) in lists.enumerated() { flat[index] = value }
        self.nodes = UnsafePointer(table)
        nodeCount = nodes.count
        self.lists = UnsafePointer(flat)
        self.positions = positions
        self.constants = text
    }

    deinit {
        nodes.deallocate()
        lists.deallocate()
        constants.deallocate()
    }
}
