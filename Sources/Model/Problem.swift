/// One thing that went wrong, said so that the person who can mend it knows what, where and how: the error that
/// crosses module boundaries, and what the console renders in its reader's language.
///
/// The code is stable and dotted (`device.timeout`); the message is English; arguments are what the message names,
/// so that the console can build the sentence in another language.
package struct Problem: Error, Sendable, Hashable {
    package var code: String
    package var message: String
    package var arguments: [String: String]

    package init(_ code: String, _ message: String, _ arguments: [String: String] = [:]) {
        self.code = code
        self.message = message
        self.arguments = arguments
    }
}

extension Problem: CustomStringConvertible {
    package var description: String { message }
}
