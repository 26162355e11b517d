package import Model

package struct UserProperty: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The properties of one packet; absent ones are nil. MQTT 5.0, 2.2.2
package struct Properties: Sendable, Hashable {
    package var payloadFormatIndicator: UInt8?
    package var messageExpiryInterval: UInt32?
    package var contentType: String?
    package var responseTopic: String?
    package var correlationData: Bytes?
    package var subscriptionIdentifiers: [UInt32] = []
    package var sessionExpiryInterval: UInt32?
    package var assignedClientIdentifier: String?
    package var serverKeepAlive: UInt16?
    package var authenticationMethod: String?
    package var authenticationData: Bytes?
    package var requestProblemInformation: UInt8?
    package var willDelayInterval: UInt32?
    package var requestResponseInformation: UInt8?
    package var responseInformation: String?
    package var serverReference: String?
    package var reasonString: String?
    package var receiveMaximum: UInt16?
    package var topicAliasMaximum: UInt16?
    package var topicAlias: UInt16?
    package var maximumQoS: UInt8?
    package var retainAvailable: UInt8?
    package var userProperties: [UserProperty] = []
    package var maximumPacketSize: UInt32?
    package var wildcardSubscriptionAvailable: UInt8?
    package var subscriptionIdentifierAvailable: UInt8?
    package var sharedSubscriptionAvailable: UInt8?

    package init() {}
}

extension Properties {
    /// Reads a property length and the properties. Malformed: unknown identifiers, cut off values. Protocol error:
    /// a property that does not belong to `context`, a second one, a value that is not allowed.
    package init(_ reader: inout FieldReader, in context: PropertyContext) throws(CodecError) {
        self.init()
        let count = try reader.variable("property length")
        var part = try reader.part(count, "properties")
        var seen: UInt64 = 0
        while !part.isAtEnd {
            let id = try Self.nextID(&part, in: context, seen: &seen)
            try read(id, &part)
        }
        try checkCombination(in: context)
    }

    /// The identifier, after checking that it may stand here.
    static func nextID(
        _ part: inout FieldReader, in context: PropertyContext, seen: inout UInt64
    ) throws(CodecError) -> PropertyID {
        let number = try part.variable("property identifier")
        guard let raw = UInt8(exactly: number), let id = PropertyID(rawValue: raw) else {
            throw .malformed("property identifier \(number)")
        }
        guard id.allowedContexts & context.bit != 0 else {
            throw .protocolError("property \(id) does not belong to \(context)")
        }
        let bit: UInt64 = 1 << UInt64(raw)
        if seen & bit != 0, !id.mayRepeat(in: context) { throw .protocolError("property \(id) twice") }
        seen |= bit
        return id
    }

    private mutating func read(_ id: PropertyID, _ part: inout FieldReader) throws(CodecError) {
        switch id {
        case .payloadFormatIndicator: payloadFormatIndicator = try Self.flag(id, &part)
        case .messageExpiryInterval: messageExpiryInterval = try part.uint32("message expiry interval")
        case .contentType: contentType = try part.string("content type")
        case .responseTopic:
            let topic = try part.string("response topic")
            if topic.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) {
                throw .protocolError("a wildcard in the response topic")  // [MQTT-3.3.2-14]
            }
            responseTopic = topic
        case .correlationData: correlationData = try part.binary("correlation data")
        case .subscriptionIdentifier:
            let value = try part.variable("subscription identifier")
            if value == 0 { throw .protocolError("subscription identifier 0") }
            subscriptionIdentifiers.append(UInt32(value))
        case .sessionExpiryInterval: sessionExpiryInterval = try part.uint32("session expiry interval")
        case .assignedClientIdentifier: assignedClientIdentifier = try part.string("assigned client identifier")
        case .serverKeepAlive: serverKeepAlive = try part.uint16("server keep alive")
        case .authenticationMethod: authenticationMethod = try part.string("authentication method")
        case .authenticationData: authenticationData = try part.binary("authentication data")
        case .requestProblemInformation: requestProblemInformation = try Self.flag(id, &part)
        case .willDelayInterval: willDelayInterval = try part.uint32("will delay interval")
        case .requestResponseInformation: requestResponseInformation = try Self.flag(id, &part)
        case .responseInformation: responseInformation = try part.string("response information")
        case .serverReference: serverReference = try part.string("server reference")
        case .reasonString: reasonString = try part.string("reason string")
        case .receiveMaximum:
            let value = try part.uint16("receive maximum")
            if value == 0 { throw .protocolError("receive maximum 0") }
            receiveMaximum = value
        case .topicAliasMaximum: topicAliasMaximum = try part.uint16("topic alias maximum")
        case .topicAlias:
            let value = try part.uint16("topic alias")
            if value == 0 { throw CodecError(.topicAliasInvalid, "topic alias 0") }  // [MQTT-3.3.2-8]
            topicAlias = value
        case .maximumQoS: maximumQoS = try Self.flag(id, &part)
        case .retainAvailable: retainAvailable = try Self.flag(id, &part)
        case .userProperty:
            userProperties.append(UserProperty(try part.string("user property"), try part.string("user property")))
        case .maximumPacketSize:
            let value = try part.uint32("maximum packet size")
            if value == 0 { throw .protocolError("maximum packet size 0") }
            maximumPacketSize = value
        case .wildcardSubscriptionAvailable: wildcardSubscriptionAvailable = try Self.flag(id, &part)
        case .subscriptionIdentifierAvailable: subscriptionIdentifierAvailable = try Self.flag(id, &part)
        case .sharedSubscriptionAvailable: sharedSubscriptionAvailable = try Self.flag(id, &part)
        }
    }

    static func flag(_ id: PropertyID, _ part: inout FieldReader) throws(CodecError) -> UInt8 {
        let value = try part.byte("property")
        if value > 1 { throw .protocolError("property \(id) is \(value), must be 0 or 1") }
        return value
    }

    private func checkCombination(in context: PropertyContext) throws(CodecError) {
        if authenticationData != nil, authenticationMethod == nil {
            throw .protocolError("authentication data without a method")
        }
        if context == .auth, authenticationMethod == nil { throw .protocolError("AUTH without a method") }
    }
}

extension Properties {
    /// Writes the property length and the properties.
    package func write(to writer: inout FieldWriter) {
        var body = FieldWriter()
        writeMessage(&body)
        writeSession(&body)
        for property in userProperties {
            body.byte(PropertyID.userProperty.rawValue)
            body.string(property.name)
            body.string(property.value)
        }
        writer.variable(body.bytes.count)
        writer.raw(body.bytes)
    }

    private func writeMessage(_ body: inout FieldWriter) {
        body.property(.payloadFormatIndicator, payloadFormatIndicator)
        body.property(.messageExpiryInterval, messageExpiryInterval)
        body.property(.contentType, contentType)
        body.property(.responseTopic, responseTopic)
        body.property(.correlationData, correlationData)
        for id in subscriptionIdentifiers {
            body.byte(PropertyID.subscriptionIdentifier.rawValue)
            body.variable(Int(id))
        }
        body.property(.willDelayInterval, willDelayInterval)
        body.property(.topicAlias, topicAlias)
    }

    private func writeSession(_ body: inout FieldWriter) {
        body.property(.sessionExpiryInterval, sessionExpiryInterval)
        body.property(.assignedClientIdentifier, assignedClientIdentifier)
        body.property(.serverKeepAlive, serverKeepAlive)
        body.property(.authenticationMethod, authenticationMethod)
        body.property(.authenticationData, authenticationData)
        body.property(.requestProblemInformation, requestProblemInformation)
        body.property(.requestResponseInformation, requestResponseInformation)
        body.property(.responseInformation, responseInformation)
        body.property(.serverReference, serverReference)
        body.property(.reasonString, reasonString)
        body.property(.receiveMaximum, receiveMaximum)
        body.property(.topicAliasMaximum, topicAliasMaximum)
        body.property(.maximumQoS, maximumQoS)
        body.property(.retainAvailable, retainAvailable)
        body.property(.maximumPacketSize, maximumPacketSize)
        body.property(.wildcardSubscriptionAvailable, wildcardSubscriptionAvailable)
        body.property(.subscriptionIdentifierAvailable, subscriptionIdentifierAvailable)
        body.property(.sharedSubscriptionAvailable, sharedSubscriptionAvailable)
    }
}

extension FieldWriter {
    fileprivate mutating func property(_ id: PropertyID, _ value: UInt8?) {
        guard let value else { return }
        byte(id.rawValue)
        byte(value)
    }

    fileprivate mutating func property(_ id: PropertyID, _ value: UInt16?) {
        guard let value else { return }
        byte(id.rawValue)
        uint16(value)
    }

    fileprivate mutating func property(_ id: PropertyID, _ value: UInt32?) {
        guard let value else { return }
        byte(id.rawValue)
        uint32(value)
    }

    fileprivate mutating func property(_ id: PropertyID, _ value: String?) {
        guard let value else { return }
        byte(id.rawValue)
        string(value)
    }

    fileprivate mutating func property(_ id: PropertyID, _ value: Bytes?) {
        guard let value else { return }
        byte(id.rawValue)
        binary(value)
    }
}
