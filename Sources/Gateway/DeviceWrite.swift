import DriverKit
import Formats
import Model

/// Writing to a device, and reading it once.
extension DeviceRunner {
    /// Writes tags of a group, ahead of all polling, and returns when the device has confirmed or refused each.
    func write(group name: String, _ items: [WriteItem]) async -> [TagWriteResult] {
        guard let group = groups.first(where: { $0.configuration.name == name }) else {
            return refuse(items, groupUnknown(name))
        }
        guard writesPending < Self.writesMax else {
            writesRefused &+= 1
            return refuse(
                items,
                Problem(
                    "write.queue_full",
                    "device \"\(configuration.name)\": \(Self.writesMax) writes are under way; try again later",
                    ["device": configuration.name, "limit": "\(Self.writesMax)"]))
        }
        writesPending += 1
        defer { writesPending -= 1 }
        writes &+= 1
        var results: [TagWriteResult] = []
        var accepted: [(index: Int, write: TagWrite)] = []
        for item in items {
            results.append(TagWriteResult(tag: item.tag, value: nil, problem: nil))
            do throws(Problem) {
                accepted.append((results.count - 1, try prepare(item, in: group)))
            } catch {
                results[results.count - 1].problem = error
            }
        }
        guard !accepted.isEmpty else { return results }
        guard let driver, connection == .connected else {
            let problem = qualityProblem(connection == .stopped ? .badNotConnected : absence, group)
            for (index, _) in accepted { results[index].problem = problem }
            return results
        }
        let outcomes = await driver.write(accepted.map(\.write))
        for (position, entry) in accepted.enumerated() {
            switch position < outcomes.count ? outcomes[position] : .failed(.badInternalError) {
            case .written: results[entry.index].value = confirmed(entry.write, in: group)
            case .failed(let quality): results[entry.index].problem = qualityProblem(quality, group)
            case .refused(let problem): results[entry.index].problem = named(problem)
            }
        }
        return results
    }

    /// Reads one tag from the device now.
    func read(group name: String, tag: String) async throws(Problem) -> TagReading {
        guard let group = groups.first(where: { $0.configuration.name == name }) else { throw groupUnknown(name) }
        guard let configuration = group.tag(named: tag) else { throw tagUnknown(tag, group) }
        guard configuration.access.isReadable else {
            throw Problem(
                "tag.not_readable",
                "device \"\(self.configuration.name)\", tag \"\(tag)\": it can only be written", ["tag": tag])
        }
        guard let driver, connection == .connected else { throw qualityProblem(absence, group) }
        let spec = configuration.spec
        let descriptor = BatchDescriptor(
            device: group.descriptor.device, deviceUID: group.descriptor.deviceUID, group: name, tags: [spec.tag],
            statusDomain: group.descriptor.statusDomain, isRecorded: false)
        let plan = driver.plan([spec], descriptor)
        if let problem = plan.problems[0] { throw named(problem) }
        let builder = SampleBatchBuilder(dense: descriptor, timestamp: context.time.now())
        await driver.read(plan, into: builder)
        GroupScaler([configuration]).apply(to: builder)
        let batch = builder.finish()
        let quality = batch.quality(0)
        return TagReading(
            device: descriptor.device, group: name, tag: spec.tag, address: spec.address,
            value: quality.isBad ? nil : batch.value(0), quality: quality,
            error: quality.isGood ? nil : quality.name(in: descriptor.statusDomain), timestamp: batch.time(0))
    }

    func browse(below address: String?) async throws(Problem) -> [BrowsedTag] {
        guard let driver, connection == .connected else {
            throw named(Problem("device.not_connected", "the device is not connected"))
        }
        return try await driver.browse(below: address)
    }

    // MARK: values

    /// The value as the device takes it: scaled back, converted without loss, in range.
    private func prepare(_ item: WriteItem, in group: DeviceGroup) throws(Problem) -> TagWrite {
        guard let tag = group.tag(named: item.tag) else { throw tagUnknown(item.tag, group) }
        let place = "device \"\(configuration.name)\", tag \"\(tag.name)\""
        guard tag.access.isWritable else {
            throw Problem(
                "tag.not_writable", "\(place): its access is read; allowed is write or read-write", ["tag": tag.name])
        }
        if let problem = driver?.validate(tag.spec) { throw named(problem) }
        do throws(ConversionFailure) {
            guard let scaling = tag.scaling else {
                return TagWrite(tag.spec, try item.value.converted(to: tag.type))
            }
            guard let number = item.value.double else { throw .wrongKind(expected: tag.type) }
            let raw = scaling.invert(number)
            guard raw.isFinite else { throw .outOfRange(expected: tag.type) }
            let wire: Value = .float64(tag.type.scalar.isInteger ? raw.rounded() : raw)
            return TagWrite(tag.spec, try wire.converted(to: tag.type))
        } catch {
            throw conversionProblem(error, item, tag, place)
        }
    }

    private func conversionProblem(
        _ failure: ConversionFailure, _ item: WriteItem, _ tag: TagConfiguration, _ place: String
    ) -> Problem {
        let arguments = [
            "device": configuration.name, "tag": tag.name, "value": item.value.description,
            "type": tag.type.description,
        ]
        switch failure {
        case .wrongKind:
            return Problem(
                "value.type_mismatch", "\(place): \(item.value.description) is not a \(tag.type)", arguments)
        case .outOfRange:
            var allowed = ""
            if let range = tag.type.scalar.integerRange {
                var (low, high) = (Double(range.min), Double(range.max))
                if let scaling = tag.scaling { (low, high) = (scaling.apply(low), scaling.apply(high)) }
                allowed = "; allowed is \(Self.plain(min(low, high))) to \(Self.plain(max(low, high)))"
            }
            return Problem(
                "value.out_of_range", "\(place): \(item.value.description) does not fit \(tag.type)\(allowed)",
                arguments)
        case .wrongCount(_, let seen):
            return Problem(
                "value.wrong_count", "\(place): \(tag.type) takes \(tag.type.arrayCount) values, not \(seen)", arguments
            )
        }
    }

    private static func plain(_ number: Double) -> String {
        Int64(exactly: number).map { String($0) } ?? "\(number)"
    }

    /// What reading would bring now.
    private func confirmed(_ write: TagWrite, in group: DeviceGroup) -> Value {
        guard let scaling = group.tag(named: write.spec.tag.name)?.scaling, let raw = write.value.double
        else { return write.value }
        let value = scaling.apply(raw)
        return write.spec.tag.type.scalar == .float32 ? .float32(Float(value)) : .float64(value)
    }

    // MARK: problems

    private func refuse(_ items: [WriteItem], _ problem: Problem) -> [TagWriteResult] {
        items.map { TagWriteResult(tag: $0.tag, value: nil, problem: problem) }
    }

    private func qualityProblem(_ quality: Quality, _ group: DeviceGroup) -> Problem {
        let name = quality.name(in: group.descriptor.statusDomain)
        return Problem(
            name.code, "device \"\(configuration.name)\": \(name.message)", ["device": configuration.name])
    }

    private func groupUnknown(_ name: String) -> Problem {
        let known = groups.map { "\"\($0.configuration.name)\"" }.joined(separator: ", ")
        return Problem(
            "group.unknown",
            "device \"\(configuration.name)\" has no group \"\(name)\"; it has \(known.isEmpty ? "none" : known)",
            ["device": configuration.name, "group": name])
    }

    private func tagUnknown(_ tag: String, _ group: DeviceGroup) -> Problem {
        Problem(
            "tag.unknown",
            "device \"\(configuration.name)\", group \"\(group.configuration.name)\": there is no tag \"\(tag)\"",
            ["device": configuration.name, "group": group.configuration.name, "tag": tag])
    }
}
