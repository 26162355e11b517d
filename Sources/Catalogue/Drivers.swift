package import DriverKit
import ModbusDriver

/// Every driver there is. A new one is one folder, one name in `Package.swift` and one line here.
package enum Drivers {
    package static let all: [any Driver.Type] = [
        ModbusDriver.ModbusTCPDriver.self
    ]
}
