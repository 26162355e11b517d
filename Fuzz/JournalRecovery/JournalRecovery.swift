import Journal

/// libFuzzer's entry: any bytes as a journal's newest segment.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJournalRecovery(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let isSound = JournalRecoveryProbe.run(UnsafeRawBufferPointer(start: data, count: count))
    precondition(isSound, "recovery broke an invariant")
    return 0
}
