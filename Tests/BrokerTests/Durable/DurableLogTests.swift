import BrokerCore
import Journal
import Model
import Testing

@testable import Broker

@Suite("The log's blocks on disk")
struct DurableLogTests {
    @Test("nothing yet")
    func nothing() {}
}
