import GRDB
import Model

/// What SQLite says, as sentences for people.
enum DatabaseProblems {
    static func problem(_ error: any Error, _ path: String) -> Problem {
        if let problem = error as? Problem { return problem }
        guard let error = error as? DatabaseError else {
            return Problem("store.failed", "\(path): \(error)", ["path": path])
        }
        switch error.resultCode {
        case .SQLITE_FULL:
            return Problem("store.full", "cannot write \(path): the disk is full; free some space", ["path": path])
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            return Problem(
                "store.read_only", "cannot write \(path): it is read-only; check its owner and mode", ["path": path])
        case .SQLITE_CANTOPEN:
            return Problem(
                "store.unreadable", "cannot open \(path): check that its folder exists and is yours", ["path": path])
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return Problem("store.busy", "\(path) is in use by another process; stop it", ["path": path])
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return Problem("store.damaged", "\(path) is damaged: restore it from a backup", ["path": path])
        case .SQLITE_IOERR:
            return Problem("store.io", "cannot use \(path): the device reports an error", ["path": path])
        default:
            return Problem(
                "store.failed", "\(path): \(error.message ?? "error \(error.resultCode.rawValue)")", ["path": path])
        }
    }

    static func rejection(_ error: any Error, _ path: String) -> Rejection {
        (error as? Rejection) ?? Rejection(problem(error, path))
    }
}
