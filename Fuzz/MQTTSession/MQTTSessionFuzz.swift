import SessionProbe

/// Any bytes as a script of what clients do to a broker; `MQTTSessionProbe` says how it is read.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzMQTTSession(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    MQTTSessionProbe.run(UnsafeBufferPointer(start: data, count: count))
    return 0
}
