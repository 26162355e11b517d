package import Model

/// The broker as people look after it. Every call takes its snapshot when it is asked for.
package protocol ConsoleBroker: Sendable {
    func clients() async -> [ClientInfo]
    /// Nil: no such session.
    func client(_ id: String) async -> ClientReport?
    /// Disconnects the client; with `discarding` its session is forgotten too. False: there is none.
    func disconnect(client id: String, discarding: Bool) async -> Bool
    /// Of clients; of one of them if given.
    func subscriptions(client: String?) async -> [SubscriptionInfo]
    /// By topic, at most `limit`; those that `filter` matches. Without a filter the broker's own are left out.
    func retained(filter: TopicFilter?, limit: Int) async -> [RetainedInfo]
    /// As a client would: with an empty retained message, in the name of `username`. False: there is none.
    func deleteRetained(topic: Topic, by username: String) async throws(Problem) -> Bool
    func listeners() async -> [ListenerReport]
    func topicMetrics() async -> [TopicMetricsReport]
    /// Fails with `topic_metrics.exists`, `topic_metrics.count`, `topic_metrics.shared`.
    func startTopicMetrics(_ filter: TopicFilter) async throws(Problem)
    /// False: not counted.
    func stopTopicMetrics(_ filter: String) async -> Bool
    /// Newest first.
    func refusals() async -> [AccessRefusal]
}
