/// What must hold for any bytes: the decoder ends, stays inside them, and what it accepts can be written and read back
/// as the same packet. Run by the fuzzer and, seeded, by the tests.
package enum MQTTCodecProbe {
    /// The first byte chooses the version, the rest is a stream of packets. Traps if a property does not hold.
    package static func run(_ bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first else { return }
        let version: ProtocolVersion = first % 3 == 0 ? .v311 : .v5
        var rest = UnsafeRawBufferPointer(rebasing: bytes[1...])
        do throws(CodecError) {
            while let (packet, count) = try Packet.decode(rest, version: version, packetBytesMax: 1 << 20) {
                precondition(count >= 2 && count <= rest.count, "a packet beyond the bytes")
                check(packet, version)
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        } catch {
            precondition(error.reason.isError, "a refusal without an error code")
        }
    }

    private static func check(_ packet: Packet, _ version: ProtocolVersion) {
        // A CONNECT brings its own version, which decides how it is written.
        let written = packet.encoded(version)
        written.withUnsafeBytes { bytes in
            do throws(CodecError) {
                guard let (again, count) = try Packet.decode(bytes, version: version) else {
                    preconditionFailure("what was written is not complete")
                }
                precondition(again == packet && count == bytes.count, "reads differently: \(packet) \(again)")
            } catch { preconditionFailure("what was written is refused: \(error)") }
        }
    }
}
