extension DemoPlant {
    /// Rules over the plant's messages, as `examples/rules.yaml` has them.
    package static let rules = #"""
        # Rules over the messages of the simulated plant. 模拟工厂消息上的规则。
        # Raised alarms are messages below alarms/: mosquitto_sub -t 'alarms/#' -v
        ---
        kind: Rule
        name: press-overheating
        spec:
          description: "A press tool above 80 °C; press-3 has a poor thermostat / 模具温度超过 80 °C"
          sql: |
            SELECT device, values.temperature AS temperature, timestamp
            FROM "acme/+/press/+/fast" WHERE values.temperature > 80
          outputs:
            - alarm: { name: press-overheating, severity: high, message: "${device}: tool at ${temperature} °C", offDelay: 2s }
        ---
        kind: Rule
        name: pump-vibration
        spec:
          description: "Vibration that calls for maintenance, ISO 10816 zone C / 振动过大，需要维护"
          sql: |
            SELECT device, values.vibration AS vibration, values.bearing_temperature AS bearing
            FROM "acme/+/pumps/+/fast" WHERE values.vibration > 4.5
          outputs:
            - alarm: { name: pump-vibration, severity: warning, message: "${device}: vibration ${vibration} mm/s", onDelay: 2s, offDelay: 5s }
        ---
        kind: Rule
        name: pump-failure
        spec:
          description: "A pump that stands still / 水泵停机"
          sql: |
            SELECT device, values.state AS state FROM "acme/+/pumps/+/fast" WHERE values.state >= 2
          outputs:
            - alarm: { name: pump-failure, severity: critical, message: "${device} has failed and waits for its repair" }
        ---
        kind: Rule
        name: press-quality
        spec:
          description: "Share of bad parts of each press, published and recorded / 每台压力机的不合格率"
          sql: |
            SELECT device, round(values.bad_parts * 100.0 / (values.good_parts + values.bad_parts), 2) AS bad_percent
            FROM "acme/+/press/+/slow" WHERE values.good_parts > 0
          outputs:
            - publish: { topic: "acme/plant1/kpi/${device}/quality" }
            - historian: { device: "${device}", group: kpi }
        ---
        kind: Rule
        name: boiler-deviation
        spec:
          description: "The boiler is away from its setpoint / 锅炉温度偏离设定值"
          sql: |
            SELECT device, values.temperature AS temperature, values.setpoint AS setpoint
            FROM "acme/+/boiler/+/control"
            WHERE values.mode = 1 AND abs(values.temperature - values.setpoint) > 3
          outputs:
            - alarm: { name: boiler-deviation, severity: info, message: "${device}: ${temperature} °C instead of ${setpoint} °C", onDelay: 1s, offDelay: 1s }

        """#
}
