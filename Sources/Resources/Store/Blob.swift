import GRDB

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// SQLite's blobs are `Data` to GRDB, bytes to us.
func blob(_ bytes: [UInt8]) -> Data { Data(bytes) }

func bytes(_ value: DatabaseValue) -> [UInt8] {
    guard case .blob(let data) = value.storage else { return [] }
    return Array(data)
}
