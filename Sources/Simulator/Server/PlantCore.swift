import Model
import ModbusWire
import Wire

/// The plant and its faults as the listeners share them. Belongs to one event loop.
final class PlantCore {
    /// Holding registers 1 to 3 of this unit, on every port, set faults: code (0 none, 1 silent, 2 slow, 3 exception,
    /// 4 nonsense, 5 wrong transaction id, 6 drop), parameter (milliseconds or exception code), unit (0: all units of
    /// the port). Writing register 1 applies it; register 4 counts the requests of the port.
    static let controlUnit: UInt8 = 250

    enum Outcome {
        /// Frames to send at a time of the monotonic clock, at once if that is past.
        case reply([UInt8], atNanoseconds: Int64)
        case none
        case drop
    }

    private(set) var plant: Plant
    private let time: any TimeSource
    private var faults: [Fault?]
    /// When each machine has finished what it is doing: a slow device works on one request at a time.
    private var busyUntil: [Int64]
    private var control: [UnitImage]
    private var requests: [UInt32]
    private var started: Int64
    private var nonsense = SplitMix64(seed: 0xBAD)

    init(seed: UInt64, time: any TimeSource) {
        plant = Plant(seed: seed)
        self.time = time
        faults = Array(repeating: nil, count: Plant.places.count)
        busyUntil = Array(repeating: 0, count: Plant.places.count)
        requests = Array(repeating: 0, count: Plant.listeners.count)
        control = Plant.listeners.map { _ in
            var image = UnitImage(holding: 8, input: 8, coils: 0, discreteInputs: 0)
            for (number, limit) in [(1, 6.0), (2, 65_535), (3, 255)] {
                image.allowWord(number, in: 0...limit, initially: 0)
            }
            return image
        }
        started = time.monotonicNanoseconds()
    }

    /// Brings the plant to the present: as many steps as the clock says, at most two seconds' worth at once, so that
    /// a machine that slept does not make up for it.
    func catchUp() {
        let now = time.monotonicNanoseconds()
        let due = (now - started) / Plant.stepNanoseconds - Int64(plant.steps)
        if due > 40 { started += (due - 40) * Plant.stepNanoseconds }
        for _ in 0..<max(0, min(due, 40)) { plant.step() }
    }

    func step(_ count: Int) {
        for _ in 0..<count { plant.step() }
        started -= Int64(count) * Plant.stepNanoseconds
    }

    /// Sets or clears a fault of a device, or of all; false if there is no such device.
    func setFault(_ command: FaultCommand) -> Bool {
        var found = false
        for (index, place) in Plant.places.enumerated() where command.device == "all" || place.device == command.device
        {
            faults[index] = command.fault
            found = true
        }
        return found
    }

    func handle(listener: Int, transaction: UInt16, unit: UInt8, pdu: UnsafeRawBufferPointer) -> Outcome {
        requests[listener] &+= 1
        let now = time.monotonicNanoseconds()
        if unit == Self.controlUnit {
            return .reply(
                frame(transaction, unit, pdu) { request throws(ModbusException) in
                    try self.controlAnswer(listener, request)
                }, atNanoseconds: now)
        }
        let match = Plant.places.firstIndex { $0.listener == listener && $0.unit == unit }
        guard let place = match else {
            return .reply(
                frame(transaction, unit, pdu) { _ throws(ModbusException) in
                    throw .gatewayTargetFailedToRespond
                }, atNanoseconds: now)
        }
        var answerID = transaction
        var ready = max(now, busyUntil[place])
        switch faults[place] {
        case nil: break
        case .silent: return .none
        case .drop: return .drop
        case .slow(let milliseconds): ready += Int64(milliseconds) * 1_000_000
        case .wrongTransaction: answerID &+= 1
        case .nonsense:
            return .reply((0..<24).map { _ in UInt8(truncatingIfNeeded: nonsense.next()) | 1 }, atNanoseconds: now)
        case .exception(let code):
            return .reply(
                frame(transaction, unit, pdu) { _ throws(ModbusException) in
                    throw ModbusException(rawValue: code)
                }, atNanoseconds: now)
        }
        busyUntil[place] = ready
        return .reply(
            frame(answerID, unit, pdu) { request throws(ModbusException) in
                try self.plant.answer(request, place: place)
            }, atNanoseconds: ready)
    }

    private func frame(
        _ transaction: UInt16, _ unit: UInt8, _ pdu: UnsafeRawBufferPointer,
        _ answer: (ModbusRequest) throws(ModbusException) -> [UInt8]
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: ModbusLimits.tcpFrameBytesMax)
        ModbusFrame.append(transaction: transaction, unit: unit, to: &writer) { writer in
            do throws(ModbusException) {
                let request = try ModbusRequest(decoding: pdu)
                request.encodeReply(data: try answer(request), to: &writer)
            } catch {
                error.encode(refusing: pdu.first ?? 0, to: &writer)
            }
        }
        return writer.bytes
    }

    private func controlAnswer(_ listener: Int, _ request: ModbusRequest) throws(ModbusException) -> [UInt8] {
        control[listener].set(4, UInt16(truncatingIfNeeded: requests[listener]))
        let data = try control[listener].answer(request)
        let touchesCode: Bool =
            switch request {
            case .writeRegister(let address, _): address == 0
            case .writeRegisters(let address, _): address == 0
            default: false
            }
        if touchesCode {
            let image = control[listener]
            let fault = Fault(code: image.word(1), parameter: image.word(2))
            for (index, place) in Plant.places.enumerated() where place.listener == listener {
                if image.word(3) == 0 || image.word(3) == UInt16(place.unit) { faults[index] = fault }
            }
        }
        return data
    }
}
