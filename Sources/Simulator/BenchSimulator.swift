import Model
import NIOCore
import NIOPosix

/// Devices made only to be read fast: `tagsPerDevice` float32 tags each, from holding register 1 of unit 1 on, all
/// changed once a second. One port a device, one event loop for all.
package final class BenchSimulator: Sendable {
    package let ports: [Int]
    private let group: MultiThreadedEventLoopGroup
    private let channels: [any Channel]

    private init(ports: [Int], group: MultiThreadedEventLoopGroup, channels: [any Channel]) {
        self.ports = ports
        self.group = group
        self.channels = channels
    }

    /// The unit (from 1) and the offset (from 0) of a tag of a device.
    package static func place(ofTag tag: Int) -> (unit: Int, offset: Int) {
        (tag / BenchImage.tagsPerUnit + 1, tag % BenchImage.tagsPerUnit * 2)
    }

    /// The address of a tag of a device, as a resource has it.
    package static func address(ofTag tag: Int) -> String {
        let place = place(ofTag: tag)
        let number = String(place.offset + 1)
        return "\(place.unit)!4" + String(repeating: "0", count: 5 - number.count) + number
    }

    /// `basePort` 0 lets the system choose; `delay` is what each answer takes.
    package static func start(
        devices: Int, tagsPerDevice: Int, basePort: Int = 0, host: String = "127.0.0.1", delay: Duration = .zero
    ) async throws -> BenchSimulator {
        guard (1...1000).contains(devices), (1...1_000_000).contains(tagsPerDevice) else {
            throw Problem("simulator.options", "a bench has 1 to 1000 devices of 1 to 1000000 tags each")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let images = try await loop.submit {
            NIOLoopBound((0..<devices).map { _ in BenchImage(tags: tagsPerDevice) }, eventLoop: loop)
        }.get()
        var channels: [any Channel] = []
        do {
            for device in 0..<devices {
                let channel = try await bind(group, host: host, port: basePort == 0 ? 0 : basePort + device) {
                    channel in
                    let handler = BenchHandler(image: images.value[device], delay: .nanoseconds(delay.nanoseconds))
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
                channels.append(channel)
            }
        } catch {
            for channel in channels { try? await channel.close() }
            try? await group.shutdownGracefully()
            throw error
        }
        loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            for image in images.value { image.change() }
        }
        let ports = channels.map { $0.localAddress?.port ?? 0 }
        return BenchSimulator(ports: ports, group: group, channels: channels)
    }

    package func stop() async {
        for channel in channels { try? await channel.close() }
        try? await group.shutdownGracefully()
    }
}
