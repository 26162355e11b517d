package import DriverKit
package import Model
import ModbusWire
import NIOCore

/// Modbus TCP: MODBUS Application Protocol V1.1b3 over Messaging on TCP/IP V1.0b.
///
/// Function codes 1 to 6, 15, 16, and 22 for parts of a register where the device has it. Addresses as Neuron
/// writes them.
package final class ModbusTCPDriver: Driver {
    package static let info = DriverInfo(
        name: "modbus_tcp", title: "Modbus TCP", titleChinese: "Modbus TCP", connection: ModbusSettings.schema,
        statusDomain: .modbus,
        addressHelp: """
            UNIT!ADDRESS[.BIT][#ORDER][.LENGTH[H|L|D|E]][.BYTES]. The first digit of ADDRESS is the area: 0 coils, 1 \
            discrete inputs, 3 input registers, 4 holding registers; the rest counts from 1. Examples: 1!40001, \
            1!40001#BL (order of a 32-bit number), 1!40005.3 (bit 3), 1!40010.20H (text of 20 bytes), 2!00007 (a coil).
            """,
        addressHelpChinese: """
            站号!地址[.位][#字节序][.长度[H|L|D|E]][.字节数]。地址首位为区：0 线圈，1 离散输入，3 输入寄存器，4 保持寄存器；\
            其余部分从 1 开始。例如 1!40001、1!40001#BL（32 位字节序）、1!40005.3（第 3 位）、1!40010.20H（20 字节字符串）、2!00007（线圈）。
            """,
        types: Set(ScalarType.allCases.filter { $0 != .timestamp }))

    private let context: DriverContext
    private let settings: ModbusSettings
    private var session: ModbusSession?
    private var total = DriverCounters()
    /// Counts the attempts to connect, so that one that `close` has overtaken is recognised.
    private var generation = 0

    package init(_ context: DriverContext, settings: ConfigValue) throws(Problem) {
        self.context = context
        self.settings = try ModbusSettings(settings)
    }

    package var endpoint: String { "\(settings.host):\(settings.port)" }
    package var counters: DriverCounters { session?.counters ?? total }

    // MARK: tags

    package func validate(_ tag: TagSpec) -> Problem? {
        do throws(Problem) {
            let field = try field(tag)
            if tag.tag.access.isWritable, !field.area.isWritable {
                throw Problem(
                    "modbus.address.read_only",
                    "address \"\(tag.address)\": area \(field.area.rawValue) is read-only; areas 0 and 4 can be written"
                )
            }
            return nil
        } catch {
            return Problem(
                "tag.address_invalid", "tag \"\(tag.tag.name)\", \(error.message)",
                error.arguments.merging(["tag": tag.tag.name, "reason": error.code]) { first, _ in first })
        }
    }

    private func field(_ tag: TagSpec) throws(Problem) -> ModbusField {
        let text = tag.address.utf8.contains(UInt8(ascii: "!")) ? tag.address : "\(settings.unit)!\(tag.address)"
        return try ModbusField(
            address: ModbusAddress(text, base: settings.addressBase), type: tag.wireType, orders: settings.orders)
    }

    package func plan(_ tags: [TagSpec], _ descriptor: BatchDescriptor) -> any ReadPlan {
        var planned: [PlannedTag] = []
        var problems: [Int: Problem] = [:]
        var unreadable: [Int] = []
        planned.reserveCapacity(tags.count)
        for (index, tag) in tags.enumerated() {
            if let problem = validate(tag) {
                problems[index] = problem
            } else if !tag.tag.access.isReadable {
                unreadable.append(index)
            } else if let field = try? field(tag) {
                planned.append(PlannedTag(tag: index, field: field))
            }
        }
        return ModbusPlan(descriptor, planned, settings.limits, problems: problems, unreadable: unreadable)
    }

    // MARK: conversation

    package func connect(_ events: DriverEvents) async throws(Problem) {
        generation += 1
        let mine = generation
        let link = try await context.links.connect(
            host: settings.host, port: settings.port, timeout: TimeAmount(settings.connectTimeout),
            on: context.eventLoop)
        if settings.connectDelay > .zero, mine == generation {
            try? await context.eventLoop.scheduleTask(in: TimeAmount(settings.connectDelay)) {}.futureResult.get()
        }
        guard mine == generation else {
            link.close()
            throw Problem("device.not_connected", "\(endpoint): closed while connecting")
        }
        session = ModbusSession(settings, link, events, on: context.eventLoop, counters: total)
    }

    package func read(_ plan: any ReadPlan, into builder: SampleBatchBuilder) async {
        guard let plan = plan as? ModbusPlan else { return }
        for tag in plan.problems.keys { builder.fail(tag: tag, .badAddressInvalid) }
        for tag in plan.unreadable { builder.fail(tag: tag, .badNotReadable) }
        guard let session else {
            for block in plan.blocks { block.decoder.fail(.badNoCommunication, into: builder) }
            return
        }
        await session.read(plan, into: builder)
    }

    package func write(_ items: [TagWrite]) async -> [TagWriteOutcome] {
        let batch = WriteBatch(count: items.count)
        var accepted: [WriteMerger.Item] = []
        for (index, item) in items.enumerated() {
            do throws(Problem) {
                let field = try field(item.spec)
                accepted.append(
                    WriteMerger.Item(
                        index: index, unit: field.address.unit, request: try field.writeRequest(item.value)))
            } catch {
                var problem = error
                problem.message = "tag \"\(item.spec.tag.name)\", \(problem.message)"
                batch.outcomes[index] = .refused(problem)
            }
        }
        guard let session else {
            for item in accepted { batch.outcomes[item.index] = .failed(.badNoCommunication) }
            return batch.outcomes
        }
        await session.write(WriteMerger.jobs(accepted, batch: batch), batch)
        return batch.outcomes
    }

    package func close() {
        generation += 1
        guard let session else { return }
        session.close()
        total = session.counters
        self.session = nil
    }
}
