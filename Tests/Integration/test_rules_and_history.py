"""From a message through a rule to a subscriber, an alarm and the historian."""

import json
import subprocess

import pytest

from conftest import eventually
from test_mqtt_peers import Client


@pytest.fixture
def client(shared_tundish):
    made = Client(shared_tundish.mqtt_port)
    yield made
    made.close()


def wait_running(node, name):
    eventually(lambda: node.get(f"/api/v1/rules/{name}")["status"]["state"] == "running", what=f"rule {name} running")


def test_a_rule_filters_and_projects(shared_tundish, client):
    shared_tundish.apply("""
kind: Rule
name: hot
spec:
  sql: |
    SELECT payload.device AS device, round(values.t * 1.8 + 32, 1) AS fahrenheit,
           CASE WHEN values.t > 90 THEN 'high' ELSE 'raised' END AS level, list[1].x AS second
    FROM "plant/+/data" WHERE values.t > 80
  outputs:
    - publish: { topic: "hot/${device}", qos: 1 }
""")
    wait_running(shared_tundish, "hot")
    client.subscribe("hot/#", 1)
    for temperature in (70, 85, 95):
        client.publish("plant/a/data", json.dumps(
            {"device": "d1", "values": {"t": temperature}, "list": [{"x": 1}, {"x": 2}]}), 1)
    first, second = client.take(2)
    assert first.topic == "hot/d1"
    assert json.loads(first.payload) == {"device": "d1", "fahrenheit": 185.0, "level": "raised", "second": 2}
    assert json.loads(second.payload)["level"] == "high"
    metrics = shared_tundish.get("/api/v1/rules/hot/metrics")
    assert (metrics["matched"], metrics["passed"]) == (3, 2)


def test_bad_payloads_are_counted_and_the_rest_goes_on(shared_tundish, client):
    shared_tundish.apply("""
kind: Rule
name: robust
spec:
  sql: SELECT payload.x + 1 AS y FROM "robust/in"
  outputs: [ { publish: { topic: "robust/out" } } ]
""")
    wait_running(shared_tundish, "robust")
    client.subscribe("robust/out")
    for payload in ("{", "\xff", "[]", '{"x": {}}', '{"x": 41}'):
        client.publish("robust/in", payload, 1)
    eventually(lambda: b'{"y":42}' in [m.payload for m in list(client.messages.queue)])
    assert shared_tundish.get("/api/v1/rules/robust/metrics")["failed"] >= 2


def test_an_alarm_is_raised_for_mosquitto_sub_and_returns_to_normal(shared_tundish, client):
    shared_tundish.apply("""
kind: Rule
name: overheat
spec:
  sql: SELECT device, payload.t AS t FROM "alarm/in" WHERE payload.t > 80
  outputs:
    - alarm: { name: overheat, severity: high, message: "${device} is at ${t} degrees" }
""")
    wait_running(shared_tundish, "overheat")
    subscriber = subprocess.Popen(
        ["mosquitto_sub", "-p", str(shared_tundish.mqtt_port), "-t", "alarms/#", "-C", "2", "-W", "20"],
        stdout=subprocess.PIPE, text=True)
    eventually(lambda: any(item["filter"] == "alarms/#" for item in shared_tundish.get("/api/v1/subscriptions")["items"]))
    for temperature in (70, 90, 91, 60):
        client.publish("alarm/in", json.dumps({"device": "d", "t": temperature}), 1)
    out, _ = subscriber.communicate(timeout=25)
    raised, returned = [json.loads(line) for line in out.strip().split("\n")]
    assert raised["message"] == "d is at 90 degrees" and raised["severity"] == "high"
    assert raised["state"] != returned["state"]


def test_a_rules_results_go_into_the_historian(shared_tundish, client):
    shared_tundish.apply("""
kind: Rule
name: keep
spec:
  sql: SELECT payload.v AS v FROM "keep/in"
  outputs: [ { historian: { device: calc, group: results } } ]
""")
    wait_running(shared_tundish, "keep")
    for value in range(10):
        client.publish("keep/in", json.dumps({"v": value / 4}), 1)

    def rows():
        answer = shared_tundish.rest("POST", "/api/v1/query", {"tags": ["calc/results/v"], "last": "1h"})
        return answer.status == 200 and answer.json["series"][0]["rows"]

    rows = eventually(lambda: (lambda found: found if found and len(found) == 10 else None)(rows()))
    assert [row[1] for row in rows] == [value / 4 for value in range(10)]


def test_an_error_in_the_sql_says_where(shared_tundish):
    answer = shared_tundish.apply(
        "kind: Rule\nname: wrong\nspec:\n  sql: SELECT nosuchfunction(1) FROM \"a\"\n  outputs: []\n", expected=422)
    issue = answer["issues"][0]
    assert issue["line"] == 4 and "nosuchfunction" in issue["message"]
