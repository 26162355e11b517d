package import Model

/// What a driver says about itself before any device exists: the console's form, the reference page and the
/// validator are made from it.
package struct DriverInfo: Sendable {
    /// Stable, as written in a device's `driver:`: lower case, `_` between words.
    package var name: String
    package var title: String
    package var titleChinese: String
    /// The device's `connection:`.
    package var connection: Schema
    /// Names of the protocol's own codes.
    package var statusDomain: StatusDomain
    /// How an address is written, with examples.
    package var addressHelp: String
    package var addressHelpChinese: String
    /// Whether samples come by polling, by themselves, or both ways.
    package var acquisition: Acquisition
    /// The types that the driver can read.
    package var types: Set<ScalarType>
    /// Whether `browse` lists what the device has.
    package var browses: Bool

    package init(
        name: String, title: String, titleChinese: String, connection: Schema, statusDomain: StatusDomain = .none,
        addressHelp: String, addressHelpChinese: String, acquisition: Acquisition = .polled,
        types: Set<ScalarType> = Set(ScalarType.allCases), browses: Bool = false
    ) {
        self.name = name
        self.title = title
        self.titleChinese = titleChinese
        self.connection = connection
        self.statusDomain = statusDomain
        self.addressHelp = addressHelp
        self.addressHelpChinese = addressHelpChinese
        self.acquisition = acquisition
        self.types = types
        self.browses = browses
    }
}

/// How a protocol's samples reach the host.
package enum Acquisition: String, Sendable {
    /// The host calls `read` at each interval.
    case polled
    /// The driver reports by `DriverEvents.samples`; `read` answers only single requests.
    case unsolicited
    /// Both: polled at each interval, and changes come in between.
    case mixed
}
