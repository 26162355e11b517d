/// The resources of the simulated plant: its devices as `examples/plant.yaml` has them, for any ports. The tables here
/// and the register maps of `Press`, `Pump`, `Meter` and `Boiler` say the same; a test reads every tag.
package enum DemoPlant {
    struct TagRow {
        var name: String
        /// Without the unit.
        var address: String
        var type: String
        var unit: String?
        var isWritable = false
        var english: String
        var chinese: String
    }

    struct GroupRow {
        var name: String
        var interval: String
        var area: String
        var tags: [TagRow]
    }

    /// The YAML documents of all nine devices; `ports` are those of the listeners, in order.
    package static func devices(host: String = "127.0.0.1", ports: [Int] = Array(1502...1507)) -> String {
        var text = """
            # The simulated plant (tundish simulate): three presses, three pumps behind a gateway, two energy meters
            # behind another, a boiler. Made by the simulator; a test keeps this file equal to it.
            # 模拟工厂：三台压力机、网关后的三台水泵、两块电表和一台锅炉。

            """
        for place in Plant.places where place.listener < ports.count {
            text += "---\n" + device(place, host: host, port: ports[place.listener])
        }
        return text
    }

    /// The devices where a running simulator has them.
    package static func devices(of simulator: PlantSimulator) -> String {
        devices(host: simulator.endpoints[0].host, ports: simulator.endpoints.map(\.port))
    }

    /// The groups of a device of the plant.
    static func groups(of device: String) -> [GroupRow] {
        switch device.prefix(while: { $0 != "-" }) {
        case "press": pressGroups
        case "pump": pumpGroups
        case "meter": meterGroups
        default: boilerGroups
        }
    }

    private static func device(_ place: Plant.UnitPlace, host: String, port: Int) -> String {
        let kind = String(place.device.prefix { $0 != "-" })
        let title = titles[kind] ?? (english: kind, chinese: kind)
        var text = """
            kind: Device
            name: \(place.device)
            spec:
              description: "\(title.english) / \(title.chinese)"
              driver: modbus_tcp
              connection: { host: \(host), port: \(port), timeout: 1s }
              groups:

            """
        for group in groups(of: place.device) {
            text += """
                    - name: \(group.name)
                      interval: \(group.interval)
                      topic: acme/plant1/\(group.area)/\(place.device)/\(group.name)
                      tags:

                """
            for tag in group.tags { text += line(tag, unit: place.unit) }
        }
        return text
    }

    private static func line(_ tag: TagRow, unit: UInt8) -> String {
        // Inside braces, YAML takes a bare bracket for a list.
        let type = tag.type.contains("[") ? "\"\(tag.type)\"" : tag.type
        var fields = ["name: \(tag.name)", "address: \"\(unit)!\(tag.address)\"", "type: \(type)"]
        if tag.isWritable { fields.append("access: read-write") }
        if let text = tag.unit { fields.append("unit: \"\(text)\"") }
        fields.append("description: \"\(tag.english) / \(tag.chinese)\"")
        return "        - { \(fields.joined(separator: ", ")) }\n"
    }

    private static let titles: [String: (english: String, chinese: String)] = [
        "press": ("Forging press", "锻造压力机"),
        "pump": ("Centrifugal pump that wears out", "会磨损的离心泵"),
        "meter": ("Three-phase energy meter", "三相电能表"),
        "boiler": ("Hot-water boiler with a PI controller", "带 PI 控制器的热水锅炉"),
    ]

    private static func tag(
        _ name: String, _ address: String, _ type: String, _ unit: String?, _ english: String, _ chinese: String,
        writable: Bool = false
    ) -> TagRow {
        TagRow(
            name: name, address: address, type: type, unit: unit, isWritable: writable, english: english,
            chinese: chinese)
    }

    private static let pressGroups = [
        GroupRow(
            name: "fast", interval: "100ms", area: "press",
            tags: [
                tag("temperature", "400001", "float32", "°C", "Tool temperature", "模具温度"),
                tag("force", "400003", "float32", "kN", "Press force", "压制力"),
                tag("position", "400005", "float32", "mm", "Ram position", "滑块位置"),
                tag("pressure", "400016", "float32", "bar", "Hydraulic pressure", "液压压力"),
                tag("state", "400013", "uint16", nil, "0 stopped to 6 cooling", "状态：0 停止 … 6 冷却"),
            ]),
        GroupRow(
            name: "slow", interval: "1s", area: "press",
            tags: [
                tag("cycles", "400007", "uint32", nil, "Strokes since start", "累计行程数"),
                tag("good_parts", "400009", "uint32", nil, "Good parts", "合格件数"),
                tag("bad_parts", "400011", "uint32", nil, "Bad parts", "不合格件数"),
                tag("cycle_time", "400014", "float32", "s", "Time of the last cycle", "上一周期时间"),
                tag("power", "400018", "float32", "kW", "Electrical power", "电功率"),
                tag("state_name", "400020.16H", "string", nil, "State in words", "状态名称"),
                tag(
                    "speed", "400040", "float32", "1/min", "Strokes per minute, 6 to 20", "每分钟行程数，6 到 20",
                    writable: true),
                tag("run", "000001", "bool", nil, "Whether the press runs", "运行开关", writable: true),
                tag("guard_closed", "100001", "bool", nil, "Safety guard is closed", "防护门已关闭"),
                tag("cooling_water", "100002", "bool", nil, "Cooling water is on", "冷却水已开"),
            ]),
    ]

    private static let pumpGroups = [
        GroupRow(
            name: "fast", interval: "200ms", area: "pumps",
            tags: [
                tag("vibration", "400005", "float32", "mm/s", "Vibration velocity, RMS", "振动速度有效值"),
                tag("flow", "400001", "float32", "m³/h", "Flow", "流量"),
                tag("pressure", "400003", "float32", "bar", "Discharge pressure", "出口压力"),
                tag("bearing_temperature", "400007", "float32", "°C", "Bearing temperature", "轴承温度"),
                tag(
                    "state", "400013", "uint16", nil, "0 stopped, 1 running, 2 failed, 3 in repair",
                    "0 停止，1 运行，2 故障，3 维修"),
            ]),
        GroupRow(
            name: "slow", interval: "1s", area: "pumps",
            tags: [
                tag("power", "400009", "float32", "kW", "Electrical power", "电功率"),
                tag("run_seconds", "400011", "uint32", "s", "Running time since the repair", "维修后运行时间"),
                tag("failed", "400014.1", "bool", nil, "The pump has failed", "水泵故障"),
                tag("vibration_warning", "400014.2", "bool", nil, "Vibration above 4.5 mm/s", "振动超过 4.5 mm/s"),
                tag("failures", "400030", "uint32", nil, "Failures since start", "累计故障次数"),
                tag("speed", "400020", "float32", "%", "Speed setpoint, 0 to 100", "转速设定值，0 到 100", writable: true),
                tag("state_name", "400022.16H", "string", nil, "State in words", "状态名称"),
            ]),
    ]

    private static let meterGroups = [
        GroupRow(
            name: "power", interval: "1s", area: "energy",
            tags: [
                tag("voltage", "300001", "float32[3]", "V", "Voltage L1, L2, L3 to N", "三相电压"),
                tag("current_l1", "300007", "float32", "A", "Current L1", "A 相电流"),
                tag("current_l2", "300009", "float32", "A", "Current L2", "B 相电流"),
                tag("current_l3", "300011", "float32", "A", "Current L3", "C 相电流"),
                tag("power", "300019", "float32", "kW", "Active power", "有功功率"),
                tag("power_factor", "300021", "float32", nil, "Power factor", "功率因数"),
                tag("frequency", "300023", "float32", "Hz", "Grid frequency", "电网频率"),
                tag("energy", "300029", "float32", "kWh", "Energy", "电能"),
                tag("energy_wh", "300025", "uint64", "Wh", "Energy, exact", "电能（精确）"),
            ])
    ]

    private static let boilerGroups = [
        GroupRow(
            name: "control", interval: "500ms", area: "boiler",
            tags: [
                tag("temperature", "400001", "float32", "°C", "Water temperature", "水温"),
                tag(
                    "setpoint", "400003", "float32", "°C", "Wanted temperature, 20 to 95", "温度设定值，20 到 95",
                    writable: true),
                tag("output", "400005", "float32", "%", "Burner output", "燃烧器输出"),
                tag("mode", "400011", "uint16", nil, "0 off, 1 automatic, 2 manual", "0 关，1 自动，2 手动", writable: true),
                tag("manual_output", "400012", "float32", "%", "Output in manual mode", "手动输出", writable: true),
            ]),
        GroupRow(
            name: "slow", interval: "1s", area: "boiler",
            tags: [
                tag("return_temperature", "400009", "float32", "°C", "Return temperature", "回水温度"),
                tag("pressure", "400007", "float32", "bar", "System pressure", "系统压力"),
                tag("gas_flow", "400014", "float32", "m³/h", "Gas flow", "燃气流量"),
                tag("burner_seconds", "400030", "uint32", "s", "Burner running time", "燃烧器运行时间"),
                tag("mode_name", "400016.16H", "string", nil, "Mode in words", "模式名称"),
                tag("pump", "000001", "bool", nil, "Circulation pump", "循环泵", writable: true),
                tag("flame", "100001", "bool", nil, "Flame detected", "火焰检测"),
            ]),
    ]
}
