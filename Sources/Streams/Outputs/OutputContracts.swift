package import Model

/// Takes what a rule's `historian` output makes. Implemented where the historian is known.
package protocol HistorianOutput: Sendable {
    /// Hands a batch over; never blocks. `refused` is called, at once or later and on any thread, if the batch was not
    /// recorded.
    func record(_ batch: SampleBatch, refused: @escaping @Sendable (Problem) -> Void)
}

/// Takes what a rule's `sink` output makes. Implemented where sinks are known.
package protocol SinkOutputs: Sendable {
    func hasSink(_ name: String) -> Bool
    /// Hands a row, a JSON object, over; never blocks. False if it was refused.
    func offer(_ row: Bytes, sink: String) -> Bool
}
