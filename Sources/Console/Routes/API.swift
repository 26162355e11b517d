import Bus
import Formats
import HTTPTypes
import Model

/// The routes of the API and what they work with. One extension per section holds the handlers.
struct API: Sendable {
    static let base = "/api/v1"
    /// Documents of an apply; 10,000 tags take about 2 MiB.
    static let documentBytesMax = 32 << 20
    static let payloadBytesMax = 8 << 20

    let services: any ConsoleServices
    let resources: any ConsoleResources
    let accounts: any ConsoleAccounts
    let bus: any Bus
    let gatekeeper: Gatekeeper
    let setup: SetupLink
    let hub: LiveHub
    let options: ConsoleOptions
    let throttle: LoginThrottle
    let publisher: any BusPublisher

    init(
        services: any ConsoleServices, resources: any ConsoleResources, bus: any Bus, gatekeeper: Gatekeeper,
        setup: SetupLink, hub: LiveHub, options: ConsoleOptions
    ) {
        self.services = services
        self.resources = resources
        accounts = gatekeeper.accounts
        self.bus = bus
        self.gatekeeper = gatekeeper
        self.setup = setup
        self.hub = hub
        self.options = options
        throttle = LoginThrottle(time: options.time)
        publisher = bus.publisher(Origin(.console, clientID: "console"))
    }

    /// All routes, in the order of the document.
    func routes() -> [Route] {
        var routes =
            sessionRoutes() + systemRoutes() + resourceRoutes() + deviceRoutes() + historyRoutes() + pointRoutes()
            + brokerRoutes() + alarmRoutes() + sinkRoutes()
        let document = OpenAPIDocument(routes: routes, version: options.version).text
        routes.append(
            Route(.get, "/api/openapi.json", "system", "This document", answer: "Any") { _ in
                .text(document, contentType: "application/json")
            }.with { $0.access = .open })
        return routes
    }

    /// Only what the gatekeeper admitted gets here.
    func caller(_ request: ConsoleRequest) throws(Refusal) -> Caller {
        guard let caller = request.caller else { throw Gatekeeper.unauthenticated }
        return caller
    }
}
