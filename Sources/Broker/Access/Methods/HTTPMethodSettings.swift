package import Model

/// How an HTTP server is asked about a client.
package struct HTTPQuestion: Sendable {
    package var isPost = true
    /// With placeholders, whose values are percent-encoded.
    var url: Template
    var headers: [(name: String, value: Template)] = []
    /// Members of the JSON object or of the form that is sent; with GET, of the query.
    var body: [(name: String, value: Template)]
    package var isForm = false
    package var cacheAccepted = Duration.seconds(60)
    package var cacheRefused = Duration.seconds(5)
    package var cacheMax = 100_000

    package init(url: Template) throws(Problem) {
        self.url = url
        body = [
            ("clientid", try Template("${clientid}")), ("username", try Template("${username}")),
            ("password", try Template("${password}")),
        ]
        // What the client sends may stand in path and query, but not choose the server.
        let server = url.text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3)
        guard try !Template(server.joined(separator: "/")).hasPlaces else {
            throw Problem("access.url", "URL \"\(url.text)\": the server's name cannot hold placeholders")
        }
    }

    package mutating func setBody(_ members: [(name: String, value: Template)]) { body = members }
    package mutating func setHeaders(_ members: [(name: String, value: Template)]) { headers = members }
}
