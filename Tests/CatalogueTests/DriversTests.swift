import Catalogue
import DriverKit
import Model
import Testing

@Suite struct DriversTests {
    @Test("names are unique, lower case with underscores, and explained in both languages")
    func names() {
        let infos = Drivers.all.map { $0.info }
        #expect(Set(infos.map(\.name)).count == infos.count)
        for info in infos {
            #expect(info.name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(info.name)")
            for text in [info.title, info.titleChinese, info.addressHelp, info.addressHelpChinese] {
                #expect(!text.isEmpty, "\(info.name)")
            }
            #expect(!info.types.isEmpty, "\(info.name)")
            for field in info.connection.fields {
                #expect(!field.help.isEmpty && field.helpChinese?.isEmpty == false, "\(info.name): \(field.name)")
            }
        }
    }

    @Test("no two protocols store their codes under the same number")
    func domains() {
        let numbers = StatusDomains.all.map(\.number).filter { $0 != StatusDomain.none.number }
        #expect(Set(numbers).count == numbers.count)
    }
}
