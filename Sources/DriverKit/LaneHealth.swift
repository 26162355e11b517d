package import NIOCore

/// Whether the unit behind a lane answers. A gateway may have many units; one that is silent must cost the others
/// as little as possible, so it is left out for a while that grows with each attempt.
package struct LaneHealth {
    package struct Settings: Sendable {
        /// Silent answers in a row after which the unit is left out.
        package var silencesUntilDemoted = 2
        package var pauseFirst: TimeAmount = .seconds(1)
        package var pauseMax: TimeAmount = .seconds(5)

        package init() {}
    }

    private var silences = 0
    private var pause: TimeAmount?
    private var demotedUntil: NIODeadline?

    package init() {}

    /// Whether requests of the unit should be failed without being sent. False once the pause is over: what is sent
    /// then is the probe that decides.
    package func isDemoted(at now: NIODeadline) -> Bool {
        guard let demotedUntil else { return false }
        return now < demotedUntil
    }

    /// Whether the unit has been silent and has not answered since.
    package var isSuspect: Bool { silences > 0 }

    package mutating func answered() {
        silences = 0
        pause = nil
        demotedUntil = nil
    }

    package mutating func silent(at now: NIODeadline, _ settings: Settings) {
        silences += 1
        guard silences >= settings.silencesUntilDemoted else { return }
        let next = pause.map { min($0 * 2, settings.pauseMax) } ?? settings.pauseFirst
        pause = next
        demotedUntil = now + next
    }
}
