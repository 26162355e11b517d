package import Model

/// Takes what a rule's `historian` output makes. Implemented where the historian is known.
package protocol HistorianOutput: Sendable {
    /// Hands a batch over; never blocks. False if it was refused because a bound was reached: the caller counts it.
    func record(_ batch: SampleBatch) -> Bool
}

/// Takes what a rule's `sink` output makes. Implemented where sinks are known.
package protocol SinkOutputs: Sendable {
    func hasSink(_ name: String) -> Bool
    /// Hands a row, a JSON object, over; never blocks. False if it was refused.
    func offer(_ row: Bytes, sink: String) -> Bool
}
