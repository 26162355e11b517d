import Streams

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTestOneInput(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    SQLParserProbe.run(Array(UnsafeBufferPointer(start: data, count: count)))
    return 0
}
