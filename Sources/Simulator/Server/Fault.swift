package import Model

/// What a simulated device does wrong.
package enum Fault: Sendable, Hashable {
    /// Takes requests and never answers.
    case silent
    /// Needs this long for each answer, one after the other.
    case slow(milliseconds: Int)
    /// Refuses every request with this exception code.
    case exception(UInt8)
    /// Answers with bytes that are no Modbus.
    case nonsense
    /// Answers with another transaction id.
    case wrongTransaction
    /// Closes the connection at every request.
    case drop

    /// Reads `silent`, `slow:50`, `exception:2`, `nonsense`, `wrong-transaction`, `drop`; nil for `none`.
    package static func parse(_ text: String) throws(Problem) -> Fault? {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        let number = parts.count == 2 ? Int(parts[1]) : nil
        switch (parts.first ?? "", parts.count) {
        case ("none", 1): return nil
        case ("silent", 1): return .silent
        case ("slow", 2): if let number, (1...600_000).contains(number) { return .slow(milliseconds: number) }
        case ("exception", 2): if let number, (1...255).contains(number) { return .exception(UInt8(number)) }
        case ("nonsense", 1): return .nonsense
        case ("wrong-transaction", 1): return .wrongTransaction
        case ("drop", 1): return .drop
        default: break
        }
        throw Problem(
            "simulator.fault",
            "unknown fault \"\(text)\"; known are none, silent, slow:MILLISECONDS, exception:CODE, nonsense, wrong-transaction, drop",
            ["fault": text])
    }

    /// The numbers of the control unit's registers 1 and 2.
    init?(code: UInt16, parameter: UInt16) {
        switch code {
        case 1: self = .silent
        case 2: self = .slow(milliseconds: Int(parameter))
        case 3: self = .exception(UInt8(truncatingIfNeeded: parameter))
        case 4: self = .nonsense
        case 5: self = .wrongTransaction
        case 6: self = .drop
        default: return nil
        }
    }
}

/// `DEVICE=FAULT`, where the device may be `all`.
package struct FaultCommand: Sendable, Hashable {
    package var device: String
    package var fault: Fault?

    package init(device: String, fault: Fault?) {
        self.device = device
        self.fault = fault
    }

    /// Reads `press-1=slow:50`, or `press-1 slow:50` as a line of standard input has it.
    package init(parsing text: String) throws(Problem) {
        let parts = text.split(maxSplits: 1, whereSeparator: { $0 == "=" || $0 == " " }).map(String.init)
        guard parts.count == 2 else {
            throw Problem(
                "simulator.fault", "expected DEVICE=FAULT, as in \"press-1=slow:50\", not \"\(text)\"", ["fault": text])
        }
        device = parts[0]
        fault = try Fault.parse(parts[1])
    }
}
