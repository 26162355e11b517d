import GRDB
import Model

extension ChangePlan {
    /// Whoever changes users, and from wherever: one who can sign in and may do everything must remain. Throws
    /// `account.last_administrator`.
    func keepAdministrator() throws {
        let touched = steps.filter {
            $0.change.key.kind == ResourceKind.userName && $0.change.action != .unchanged && $0.change.action != .left
        }
        if touched.isEmpty { return }
        let keys = Set(touched.map(\.change.key))
        var lost: ResourceKey?
        for row in try store.database.list(db, kind: ResourceKind.userName, space: nil) {
            guard Accounts.isAdministrator(try store.snapshot(db, row).spec) else { continue }
            guard keys.contains(row.key) else { return }
            lost = row.key
        }
        guard let lost else { return }
        let remains = touched.contains { step in
            step.change.action != .delete && step.checked.map { Accounts.isAdministrator($0.spec) } == true
        }
        if remains { return }
        throw Rejection(
            Problem(
                "account.last_administrator",
                "\"\(lost.name)\" is the last administrator who can sign in: make another one first",
                ["name": lost.name]))
    }
}
