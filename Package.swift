// swift-tools-version: 6.2
import Foundation
import PackageDescription

// One driver is one folder: Sources/Drivers/<name>/{Wire,Driver} and Tests/<name>{Wire,Driver}Tests.
// Adding a name here makes its targets, its tests and the Catalogue's dependency.
let drivers = ["Modbus"]

// One sink is one folder: Sources/Sinks/<name> and Tests/<name>SinkTests, with what else it needs.
let sinks: [(name: String, needs: [Target.Dependency])] = [("Postgres", ["CPostgres"])]

// `TUNDISH_FUZZ=1` adds the libFuzzer targets below Fuzz/, one executable each.
let fuzzTargets = ["MQTTCodec", "MQTTSession", "ModbusCodec", "SQLParser", "ResourceParser", "JournalRecovery"]
let withFuzzers = ProcessInfo.processInfo.environment["TUNDISH_FUZZ"] == "1"

let strict: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    ] + (withFuzzers ? [.unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library"])] : [])

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1: Target.Dependency = .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")

var targets: [Target] = []

/// A library target with its tests. `path` is below Sources/.
func library(
    _ name: String, path: String? = nil, _ dependencies: [Target.Dependency] = [],
    tests testDependencies: [Target.Dependency] = [], exclude: [String] = [], excludeTests: [String] = []
) -> [Target] {
    [
        .target(
            name: name, dependencies: dependencies, path: "Sources/" + (path ?? name), exclude: exclude,
            swiftSettings: strict),
        .testTarget(
            name: name + "Tests", dependencies: [.target(name: name)] + dependencies + testDependencies,
            path: "Tests/" + name + "Tests", exclude: excludeTests, swiftSettings: strict),
    ]
}

targets += library("Model")
targets += library("Wire", ["Model"])
targets += library("Bus", ["Model", "Wire"])
targets += library("Formats", ["Bus", "Model", "Wire"])
targets += library("Journal", ["Model", "Wire"])
targets += library("DriverKit", ["Model", "Bus", nioCore, nioPosix], tests: [nioEmbedded])
for name in drivers {
    targets += library("\(name)Wire", path: "Drivers/\(name)/Wire", ["Model", "Wire"])
    targets += library(
        "\(name)Driver", path: "Drivers/\(name)/Driver",
        [.target(name: "\(name)Wire"), "DriverKit", "Model", "Wire", nioCore],
        tests: [nioPosix, nioEmbedded, "DriverConformance"])
}
targets += library(
    "Gateway", ["DriverKit", "Bus", "Formats", "Model", nioCore, nioPosix, logging], tests: [nioEmbedded])
targets += library(
    "BrokerCore", ["Bus", "Model", "Wire", nioCore], tests: [nioEmbedded, "SessionProbe"],
    excludeTests: ["Conformance/statements-3.1.1.txt", "Conformance/statements-5.0.txt"])
targets += [.target(name: "CEpoll", path: "Sources/CEpoll")]
targets += library(
    "Broker",
    [
        "BrokerCore", "Bus", "Journal", "Formats", "Model", "CEpoll", nioCore, nioPosix, nioTLS, nioSSL, asn1, crypto,
        cryptoExtras, nioHTTP1, logging,
    ], tests: [nioEmbedded])
targets += library("Streams", ["Bus", "Formats", "Model"])
targets += library("SinkKit", ["Bus", "Journal", "Formats", "Model"], tests: ["SinkConformance"])
targets += [
    .target(
        name: "CPostgres", path: "Sources/CPostgres",
        linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))])
]
for sink in sinks {
    targets += library(
        "\(sink.name)Sink", path: "Sinks/\(sink.name)", ["SinkKit", "Formats", "Model"] + sink.needs,
        tests: ["Journal"])
}
targets += library("Historian", ["Bus", "Journal", "Model", "Wire", grdb, grdbSQLite], tests: ["SQLiteDisk"])
targets += [.systemLibrary(name: "CZlib", path: "Sources/CZlib")]
targets += library(
    "Resources", ["Model", "Journal", "CZlib", grdb, crypto, cryptoExtras, .product(name: "Yams", package: "Yams")],
    tests: ["SQLiteDisk"])
targets += library("Simulator", ["Model", "Wire", nioCore, nioPosix] + drivers.map { .target(name: "\($0)Wire") })
targets += library(
    "Catalogue",
    ["DriverKit", "SinkKit", "Streams", "Model"] + drivers.map { .target(name: "\($0)Driver") }
        + sinks.map { .target(name: "\($0.name)Sink") })
targets += library(
    "Console",
    [
        "Resources", "Bus", "Formats", "Model", "CConsoleAssets", nioCore, nioPosix, nioHTTP1, nioWebSocket, logging,
        httpTypes, nioHTTPTypes, nioHTTPTypesHTTP1, crypto, hummingbirdCore,
    ], exclude: ["Web"])
targets += library(
    "Node",
    [
        "Model", "Wire", "Bus", "Formats", "Journal", "DriverKit", "Gateway", "BrokerCore", "Broker", "Streams",
        "SinkKit", "Historian", "Resources", "Simulator", "Catalogue", "Console", nioCore, nioPosix, nioHTTP1, logging,
    ])
targets += library(
    "Bench",
    [
        "Model", "Wire", "Bus", "Formats", "Journal", "DriverKit", "Gateway", "BrokerCore", "Broker", "Streams",
        "Historian", "Simulator", "Catalogue", "Node", "CZlib", nioCore, nioPosix, nioSSL, logging,
    ])

targets += [
    .target(name: "CConsoleAssets", path: "Sources/CConsoleAssets", cSettings: [.headerSearchPath("generated")]),
    // The suite that every driver must pass; imported by the drivers' tests only.
    .target(
        name: "DriverConformance", dependencies: ["DriverKit", "Model", "Bus", nioCore, nioPosix],
        path: "Tests/Conformance/Drivers", swiftSettings: strict),
    // The suite that every sink must pass; imported by the sinks' tests only.
    .target(
        name: "SinkConformance", dependencies: ["SinkKit", "Journal", "Model"], path: "Tests/Conformance/Sinks",
        swiftSettings: strict),
    // A disk with faults beneath SQLite; imported by tests only.
    .target(
        name: "SQLiteDisk", dependencies: ["Journal", "Model", grdbSQLite], path: "Tests/Support/SQLiteDisk",
        swiftSettings: strict),
    // What must hold whatever clients do; run by the broker's tests and by a fuzzer.
    .target(
        name: "SessionProbe", dependencies: ["BrokerCore", "Bus", "Model", nioCore, nioEmbedded],
        path: "Tests/Conformance/Sessions", swiftSettings: strict),
    .executableTarget(
        name: "tundish",
        dependencies: [
            "Node", "Bench", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ], path: "Sources/tundish", swiftSettings: strict),
    .testTarget(name: "StructureTests", path: "Tests/StructureTests", swiftSettings: strict),
]

if withFuzzers {
    targets.append(.target(name: "CFuzzMain", path: "Fuzz/CFuzzMain"))
    targets += fuzzTargets.map { name in
        .executableTarget(
            name: "Fuzz\(name)",
            dependencies: [
                "BrokerCore", "SessionProbe", "Streams", "Resources", "Journal", "Model", "Wire", "CFuzzMain", nioCore,
            ] + drivers.map { .target(name: "\($0)Wire") },
            path: "Fuzz/\(name)", swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])])
    }
}

let package = Package(
    name: "tundish",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "tundish", targets: ["tundish"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.5.1"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: targets
)
