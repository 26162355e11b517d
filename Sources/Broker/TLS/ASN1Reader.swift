import SwiftASN1

/// A node of a DER tree with what certificates and revocation lists need of it.
struct ASN1Reader {
    let node: ASN1Node

    init(_ node: ASN1Node) { self.node = node }

    /// The parts of a sequence or set, at least one.
    var children: [ASN1Reader] {
        get throws {
            let list = try elements
            if list.isEmpty { throw CertificateError.incomplete }
            return list
        }
    }

    /// The parts of a sequence or set.
    var elements: [ASN1Reader] {
        get throws {
            guard case .constructed(let nodes) = node.content else { throw CertificateError.unexpected }
            return nodes.map(ASN1Reader.init)
        }
    }

    /// The content of a primitive node.
    var bytes: ArraySlice<UInt8> {
        get throws {
            guard case .primitive(let content) = node.content else { throw CertificateError.unexpected }
            return content
        }
    }

    /// Big-endian, without leading zeros.
    var integer: [UInt8] {
        get throws {
            guard node.identifier == .integer else { throw CertificateError.unexpected }
            return Array(try bytes.drop { $0 == 0 })
        }
    }

    var objectIdentifier: [UInt] { get throws { try ASN1ObjectIdentifier(derEncoded: node).oidComponents } }

    /// A bit string's bits, which must be whole octets.
    var bitString: [UInt8] { get throws { Array(try ASN1BitString(derEncoded: node).bytes) } }

    var isTime: Bool { node.identifier == .utcTime || node.identifier == .generalizedTime }

    /// Seconds since 1970. RFC 5280, 4.1.2.5
    var time: Int64 {
        get throws {
            if node.identifier == .utcTime {
                let time = try UTCTime(derEncoded: node)
                return Self.seconds(time.year, time.month, time.day, time.hours, time.minutes, time.seconds)
            }
            let time = try GeneralizedTime(derEncoded: node)
            return Self.seconds(time.year, time.month, time.day, time.hours, time.minutes, time.seconds)
        }
    }

    /// A string of any of the types that names use.
    var text: String {
        guard case .primitive(let content) = node.content else { return "" }
        switch node.identifier {
        case .bmpString:
            let bytes = Array(content)
            let units = stride(from: 0, to: bytes.count - 1, by: 2).map {
                UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
            }
            return String(decoding: units, as: UTF16.self)
        default: return String(decoding: content, as: UTF8.self)
        }
    }

    /// Days by the civil calendar: the year begins in March, so that the leap day is its last.
    private static func seconds(_ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int, _ second: Int)
        -> Int64
    {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return Int64(((days * 24 + hour) * 60 + minute) * 60 + second)
    }
}
