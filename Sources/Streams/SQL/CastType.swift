/// What CAST makes.
enum CastType: UInt8, CaseIterable {
    case integer
    case double
    case string
    case bool
    case timestamp

    static let known = "bigint, double, string, boolean, timestamp"

    /// The names of the three dialects and of common SQL.
    init?(name: String) {
        switch name.lowercased() {
        case "bigint", "int", "integer", "int64", "long", "smallint": self = .integer
        case "float", "double", "real", "float64", "number", "decimal": self = .double
        case "string", "text", "varchar", "char", "str": self = .string
        case "bool", "boolean": self = .bool
        case "timestamp", "datetime": self = .timestamp
        default: return nil
        }
    }

    var name: String {
        switch self {
        case .integer: "bigint"
        case .double: "double"
        case .string: "string"
        case .bool: "boolean"
        case .timestamp: "timestamp"
        }
    }
}
