/// What a file of documents may hold at most. A file beyond it is refused before it costs memory.
package struct SourceLimits: Sendable {
    /// Bytes of one file or request.
    package var bytesMax: Int
    /// Maps and lists inside one another.
    package var depthMax: Int
    /// Values of one file, with what aliases stand for counted each time.
    package var nodesMax: Int
    package var documentsMax: Int

    package init(
        bytesMax: Int = 32 << 20, depthMax: Int = 64, nodesMax: Int = 2_000_000, documentsMax: Int = 20_000
    ) {
        self.bytesMax = bytesMax
        self.depthMax = depthMax
        self.nodesMax = nodesMax
        self.documentsMax = documentsMax
    }
}
