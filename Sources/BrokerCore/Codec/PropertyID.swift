/// The properties. MQTT 5.0, 2.2.2.2
package enum PropertyID: UInt8, Sendable, CaseIterable {
    case payloadFormatIndicator = 0x01
    case messageExpiryInterval = 0x02
    case contentType = 0x03
    case responseTopic = 0x08
    case correlationData = 0x09
    case subscriptionIdentifier = 0x0B
    case sessionExpiryInterval = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case authenticationMethod = 0x15
    case authenticationData = 0x16
    case requestProblemInformation = 0x17
    case willDelayInterval = 0x18
    case requestResponseInformation = 0x19
    case responseInformation = 0x1A
    case serverReference = 0x1C
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQoS = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case wildcardSubscriptionAvailable = 0x28
    case subscriptionIdentifierAvailable = 0x29
    case sharedSubscriptionAvailable = 0x2A
}

/// Where properties stand: a packet type, or the will inside CONNECT.
package enum PropertyContext: UInt8, Sendable, CaseIterable {
    case connect = 1
    case connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, suback, unsubscribe, unsuback
    case disconnect = 14
    case auth
    case will = 16

    package var bit: UInt32 { 1 << UInt32(rawValue) }
}

extension PropertyID {
    private static func contexts(_ list: PropertyContext...) -> UInt32 { list.reduce(0) { $0 | $1.bit } }

    /// The packets that may carry it, one bit each. MQTT 5.0, table 2-4
    package var allowedContexts: UInt32 {
        switch self {
        case .payloadFormatIndicator, .messageExpiryInterval, .contentType, .responseTopic, .correlationData:
            Self.contexts(.publish, .will)
        case .subscriptionIdentifier: Self.contexts(.publish, .subscribe)
        case .sessionExpiryInterval: Self.contexts(.connect, .connack, .disconnect)
        case .assignedClientIdentifier, .serverKeepAlive, .responseInformation, .maximumQoS, .retainAvailable,
            .wildcardSubscriptionAvailable, .subscriptionIdentifierAvailable, .sharedSubscriptionAvailable:
            Self.contexts(.connack)
        case .authenticationMethod, .authenticationData: Self.contexts(.connect, .connack, .auth)
        case .requestProblemInformation, .requestResponseInformation: Self.contexts(.connect)
        case .willDelayInterval: Self.contexts(.will)
        case .serverReference: Self.contexts(.connack, .disconnect)
        case .reasonString:
            Self.contexts(.connack, .puback, .pubrec, .pubrel, .pubcomp, .suback, .unsuback, .disconnect, .auth)
        case .receiveMaximum, .topicAliasMaximum, .maximumPacketSize: Self.contexts(.connect, .connack)
        case .topicAlias: Self.contexts(.publish)
        case .userProperty: PropertyContext.allCases.reduce(0) { $0 | $1.bit }
        }
    }

    /// Whether it may occur more than once in `context`.
    package func mayRepeat(in context: PropertyContext) -> Bool {
        self == .userProperty || (self == .subscriptionIdentifier && context == .publish)
    }
}
