package import DriverKit
package import Model
import ModbusDriver

/// Every driver there is. A new one is one folder, one name in `Package.swift` and one line here.
package enum Drivers {
    package static let all: [any Driver.Type] = [
        ModbusTCPDriver.self
    ]
}

/// The names of every driver's native codes, for what was recorded.
package enum StatusDomains {
    package static let all: [StatusDomain] = Drivers.all.map { $0.info.statusDomain }
}
