import PostgresSink
package import SinkKit

/// Every kind of sink there is. A new one is one folder, one name in `Package.swift` and one line here.
package enum Sinks {
    package static let all: [any Sink.Type] = [
        PostgresSink.self
    ]
}
