import ModbusWire

/// Throws arbitrary bytes at every decoder of the Modbus codec.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzModbusCodec(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    ModbusCodecProbe.run(UnsafeRawBufferPointer(start: data, count: count))
    return 0
}
