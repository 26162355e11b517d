package import Model

/// What the live WebSockets count.
package final class LiveCounters: MetricSource {
    let opened = Counter()
    let closed = Counter()
    let refused = Counter()
    let messages = Counter()
    /// Updates that a page did not get because it does not keep up; it gets a newer one.
    let skipped = Counter()
    /// Messages of topics that were lost because a page does not keep up.
    let dropped = Counter()

    package func collect() async -> [MetricSample] {
        func counter(_ name: String, _ help: String, _ counter: Counter) -> MetricSample {
            MetricSample("tundish_console_live_\(name)_total", .counter, help, Double(counter.count))
        }
        let open = Double(opened.count) - Double(closed.count)
        return [
            MetricSample("tundish_console_live_sockets", .gauge, "WebSockets that are open.", open),
            counter("sockets_opened", "WebSockets that were opened.", opened),
            counter("sockets_refused", "WebSockets that were refused.", refused),
            counter("messages_sent", "Messages to pages.", messages),
            counter("updates_skipped", "Updates left out because a page does not keep up.", skipped),
            counter("messages_dropped", "Messages of topics lost because a page does not keep up.", dropped),
        ]
    }
}
