import Model
import Testing

@Suite struct TimestampTests {
    @Test(
        "prints RFC 3339 with the fewest fraction digits that lose nothing",
        arguments: [
            (0, "1970-01-01T00:00:00Z"),
            (1_767_225_600_000_000_000, "2026-01-01T00:00:00Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (1_500_000_000, "1970-01-01T00:00:01.500Z"),
            (1_000_001_000, "1970-01-01T00:00:01.000001Z"),
        ] as [(Int64, String)])
    func prints(nanoseconds: Int64, text: String) {
        #expect(Timestamp(nanoseconds: nanoseconds).description == text)
        #expect(Timestamp(rfc3339: text)?.nanoseconds == nanoseconds)
    }

    @Test("reads offsets, a space for T and a missing offset as UTC")
    func readsVariants() {
        #expect(Timestamp(rfc3339: "2026-01-01T08:00:00+08:00")?.milliseconds == 1_767_225_600_000)
        #expect(Timestamp(rfc3339: "2025-12-31 19:00:00-05:00")?.milliseconds == 1_767_225_600_000)
        #expect(Timestamp(rfc3339: "2026-01-01T00:00:00")?.milliseconds == 1_767_225_600_000)
    }

    @Test(
        "refuses what is not a time",
        arguments: [
            "", "2026", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Zx", "9999-01-01T00:00:00Z", "2026-01-01T00:00:00+99:00",
        ])
    func refuses(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

    @Test("dates survive the way there and back over four centuries")
    func civilDates() {
        for day in stride(from: Int64(-150_000), through: 150_000, by: 37) {
            #expect(CivilDate(daysSince1970: day).daysSince1970 == day)
        }
    }

    @Test("saturates instead of overflowing")
    func saturates() {
        #expect(Timestamp(milliseconds: .max).nanoseconds == .max)
        #expect(Timestamp(milliseconds: .min).nanoseconds == .min)
        #expect(Timestamp(nanoseconds: .max).advanced(nanoseconds: 1).nanoseconds == .max)
        #expect(Timestamp(nanoseconds: -1).milliseconds == -1)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    }
}
