/// The version that `--version`, `$SYS/broker/version` and the console show.
package enum NodeVersion {
    package static let number = "0.1.0"
    package static let text = "tundish \(number)"
}
