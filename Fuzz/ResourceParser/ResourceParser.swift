import Resources

/// The first byte chooses YAML or JSON; the rest is the file.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzResourceParser(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data + 1, count: count - 1))
    precondition(
        ResourceParserProbe.run(bytes, data[0] & 1 == 0 ? .yaml : .json), "a document changed by being written")
    return 0
}
