import Bus
import DriverKit
import Model
import NIOCore

/// The cycles of a device's groups.
extension DeviceRunner {
    /// (Re)arms the group's timer for the next moment of its grid.
    func schedule(_ group: DeviceGroup) {
        group.timer?.cancel()
        group.timer = nil
        guard !group.isRetired, driverType.info.acquisition != .unsolicited else { return }
        group.nextAt = group.due(after: loop.now)
        arm(group)
    }

    private func arm(_ group: DeviceGroup) {
        group.timer = loop.assumeIsolated().scheduleTask(deadline: group.nextAt) {
            self.tick(group)
        }
    }

    private func tick(_ group: DeviceGroup) {
        guard !group.isRetired else { return }
        let now = loop.now
        // Cycles whose time passed while the loop was busy.
        let late = (now - group.nextAt).nanoseconds / group.intervalNanoseconds
        if late > 0 { group.skipped &+= UInt64(late) }
        group.nextAt = group.due(after: now)
        arm(group)
        switch connection {
        case .connected: begin(group)
        // Nothing is known about the device before its first connection has succeeded or failed.
        case .connecting, .waiting: if hasTried { publishAbsence(of: group) }
        case .stopped: break
        }
    }

    /// Begins a cycle; one that is still going on makes this one skipped.
    func begin(_ group: DeviceGroup) {
        if group.isReading {
            group.skipped &+= 1
            return
        }
        group.isReading = true
        Task { await self.cycle(group) }
    }

    private func cycle(_ group: DeviceGroup) async {
        defer { group.isReading = false }
        guard let driver, connection == .connected, !group.isRetired else { return }
        if driverType.info.acquisition != .polled, !group.isSubscribed { await subscribe(group, driver) }
        if driverType.info.acquisition == .unsolicited { return }
        let started = loop.now
        let builder = SampleBatchBuilder(dense: group.descriptor, timestamp: context.time.now().inWholeMilliseconds)
        await driver.read(group.plan, into: builder)
        guard !group.isRetired else { return }
        group.scaler.apply(to: builder)
        group.lastCycleNanoseconds = (loop.now - started).nanoseconds
        publish(builder.finish(), of: group)
        refreshStatus()
    }

    private func subscribe(_ group: DeviceGroup, _ driver: any Driver) async {
        do throws(Problem) {
            try await driver.subscribe(group.plan)
            group.isSubscribed = true
        } catch {
            lastError = (named(error), context.time.now())
            publishAbsence(of: group)
        }
    }

    /// Every tag of the group with the error that keeps the device away.
    private func publishAbsence(of group: DeviceGroup) {
        guard !group.isReading else { return }
        let builder = SampleBatchBuilder(
            dense: group.descriptor, timestamp: context.time.now().inWholeMilliseconds, missing: absence)
        for tag in group.plan.problems.keys { builder.fail(tag: tag, .badAddressInvalid) }
        publish(builder.finish(), of: group)
    }

    func publish(_ batch: SampleBatch, of group: DeviceGroup) {
        group.cycles &+= 1
        group.lastCycleAt = batch.timestamp
        guard let report = group.take(batch, monotonic: Int64(clamping: loop.now.uptimeNanoseconds)),
            report.count > 0
        else { return }
        let message = Message(
            topic: group.topic, payload: .samples(TypedPayload(report, encoder: group.encoder)),
            qos: QoS(rawValue: group.configuration.qos) ?? .atMostOnce, retain: group.configuration.isRetained,
            receivedAt: batch.timestamp, origin: origin)
        if publisher.publish([message]) {
            group.batches &+= 1
        } else {
            group.publishDropped &+= 1
        }
    }
}
