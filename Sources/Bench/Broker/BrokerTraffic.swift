import Model

/// The cases whose figure is how many messages a broker delivers, and how fast.
extension BrokerBench {
    func measureTraffic(_ item: BrokerCase, _ peers: [BrokerPeer]) throws -> BrokerOutcome {
        try measureDeliveries(item, peers, .ratio(against: "mosquitto"))
    }

    /// Tundish on two loops and two cores against itself on one. The generator shares the second core.
    func measureLoops(_ item: BrokerCase) throws -> BrokerOutcome {
        guard cores.count > 1, let one = peers.first(where: { $0.name == "tundish" }),
            case .tundish(let executable, let arguments, _) = one.origin
        else { return BrokerOutcome(item: item, notes: ["needs two cores and Tundish"]) }
        let two = BrokerPeer(
            name: "two loops", origin: .tundish(executable: executable, arguments: arguments, threads: 2))
        var outcome = try measureDeliveries(item, [one, two], .ratio(against: "tundish"))
        for index in outcome.figures.indices { outcome.figures[index].subject = "two loops" }
        return outcome
    }

    private func measureDeliveries(_ item: BrokerCase, _ peers: [BrokerPeer], _ judgement: BrokerFigure.Judgement)
        throws -> BrokerOutcome
    {
        var outcome = BrokerOutcome(item: item)
        var perCPU = BrokerFigure(
            "deliveries per CPU-second", unit: "thousand", scale: 1000, judgement, limit: item.limit, floor: item.floor)
        var perSecond = BrokerFigure("deliveries per second", unit: "thousand", scale: 1000, .none)
        try withBrokers(peers, item) { brokers in
            for round in 1...options.rounds {
                for broker in brokers {
                    guard
                        let result = accepted(
                            try generateOrSay(item.plan, broker, round, &outcome), item, broker, round, &outcome)
                    else { continue }
                    if let figure = result.measured.perCPUSecond {
                        perCPU.values[broker.peer.name, default: []].append(figure)
                    }
                    perSecond.values[broker.peer.name, default: []].append(result.measured.perSecond)
                }
            }
        }
        outcome.figures = [perCPU, perSecond]
        return outcome
    }

    /// A round that fails does not end the others.
    func generateOrSay(_ plan: LoadPlan, _ broker: RunningBroker, _ round: Int, _ outcome: inout BrokerOutcome)
        throws -> LoadResult?
    {
        do {
            return try generate(plan, broker)
        } catch let problem as Problem {
            outcome.invalid.append("\(broker.peer.name), round \(round): \(problem.message)")
            return nil
        }
    }

    /// Nil for a run whose messages did not all arrive as they should.
    func accepted(
        _ result: LoadResult?, _ item: BrokerCase, _ broker: RunningBroker, _ round: Int, _ outcome: inout BrokerOutcome
    ) -> LoadResult? {
        guard let result else { return nil }
        if let fault = result.account.fault(qos: item.qos) {
            outcome.invalid.append("\(broker.peer.name), round \(round): \(fault)")
            return nil
        }
        return result
    }

    /// Every broker at the same fixed rate: half of what mosquitto, or the first broker there is, delivers at most.
    func measureLatency(_ item: BrokerCase) throws -> BrokerOutcome {
        var outcome = BrokerOutcome(item: item)
        var median = BrokerFigure(
            "latency, half are below", short: "p50", unit: "µs", .inverseRatio(against: "mosquitto"), limit: item.limit)
        var tail = BrokerFigure(
            "latency, 99 of 100 are below", short: "p99", unit: "µs", .inverseRatio(against: "mosquitto"),
            limit: item.limit)
        var late: [Double] = []
        try withBrokers(peers, item) { brokers in
            guard let yardstick = brokers.first(where: { $0.peer.name == "mosquitto" }) ?? brokers.first else { return }
            let most = Bench.median(
                try (0..<3).map { _ in try generate(item.plan, yardstick).measured.perSecond })
            var plan = item.plan
            plan.mode = .rate
            plan.ratePerSecond = most / 2 / Double(item.shape.subscribers)
            outcome.notes.append(
                "\(BrokerFigure.number(most / 2)) deliveries/s, half of what \(yardstick.peer.name) reaches")
            for round in 1...options.rounds {
                for broker in brokers {
                    guard
                        let result = accepted(
                            try generateOrSay(plan, broker, round, &outcome), item, broker, round, &outcome),
                        let latency = result.latency
                    else { continue }
                    median.values[broker.peer.name, default: []].append(latency.p50)
                    tail.values[broker.peer.name, default: []].append(latency.p99)
                    late.append(result.lateP99)
                }
            }
        }
        if !late.isEmpty {
            outcome.notes.append(
                "the generator's own lateness, 99 of 100: \(BrokerFigure.number(Bench.median(late))) µs")
        }
        outcome.figures = [median, tail]
        return outcome
    }
}
