package import Model
import Synchronization

/// A payload as it came from the network, or as typed samples that are encoded only where they leave the process.
package enum Payload: Sendable {
    case bytes(Bytes)
    case samples(TypedPayload)

    /// The payload as bytes; samples are encoded on the first call and shared afterwards.
    package var bytes: Bytes {
        switch self {
        case .bytes(let bytes): bytes
        case .samples(let typed): typed.encoded
        }
    }

    package var samples: SampleBatch? {
        if case .samples(let typed) = self { return typed.batch }
        return nil
    }
}

/// Turns samples into the bytes of one payload format. Implementations are in Formats; made once per group.
package protocol PayloadEncoder: Sendable {
    /// The MIME type of what `encode` makes.
    var contentType: String { get }
    func encode(_ batch: SampleBatch) -> Bytes
}

/// Samples together with the format in which their group publishes.
package final class TypedPayload: Sendable {
    package let batch: SampleBatch
    package let encoder: any PayloadEncoder
    private let cache = Mutex<Bytes?>(nil)

    package init(_ batch: SampleBatch, encoder: any PayloadEncoder) {
        self.batch = batch
        self.encoder = encoder
    }

    /// The encoded payload: made by whoever needs it first, then shared by all receivers.
    package var encoded: Bytes {
        cache.withLock { cached in
            if let cached { return cached }
            let bytes = encoder.encode(batch)
            cached = bytes
            return bytes
        }
    }
}
