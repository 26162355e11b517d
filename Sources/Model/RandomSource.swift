import Synchronization

/// Where randomness comes from, injected so that a test or a simulation can be repeated.
package protocol RandomSource: Sendable {
    func next() -> UInt64
}

/// The operating system's cryptographic generator.
package struct SystemRandom: RandomSource {
    package init() {}
    package func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

/// SplitMix64: the same seed gives the same sequence on every machine. Not for secrets.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    package var state: UInt64

    package init(seed: UInt64) { state = seed }

    @inlinable
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A shared `SplitMix64`.
package final class SeededRandom: RandomSource {
    private let generator: Mutex<SplitMix64>
    package init(seed: UInt64) { generator = Mutex(SplitMix64(seed: seed)) }
    package func next() -> UInt64 { generator.withLock { $0.next() } }
}

extension RandomSource {
    /// A uniform number in 0..<1.
    package func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
