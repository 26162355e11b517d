import DriverConformance
import ModbusDriver
import NIOPosix
import Testing

@Suite struct ConformanceTests {
    @Test("the Modbus TCP driver does what any driver must", arguments: DriverCheck.allCases)
    func conforms(_ check: DriverCheck) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        try await checkDriver(check, ModbusTCPDriver.self, peer: TestDevice(group: group), on: group.any())
    }
}
