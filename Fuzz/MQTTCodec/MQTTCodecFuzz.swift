import BrokerCore

/// Throws arbitrary bytes at the MQTT decoder, and reads back what it accepts.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMQTTCodec(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    MQTTCodecProbe.run(UnsafeRawBufferPointer(start: data, count: count))
    return 0
}
