"""Roles over REST, users who must not lock everyone out, alarms that are acknowledged, and a look into the broker."""

import json
import subprocess

import paho.mqtt.client as mqtt
import pytest

from conftest import eventually

ROLES = ["viewer", "operator", "engineer", "administrator"]
PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def node(shared_tundish):
    for role in ROLES:
        answer = shared_tundish.rest("PUT", f"/api/v1/users/{role}-1", {"spec": {"password": PASSWORD, "roles": [role]}})
        assert answer.status == 201, answer.body
    return shared_tundish


class Person:
    """Somebody with a session cookie."""

    def __init__(self, node, username, password=PASSWORD):
        self.node = node
        answer = node.rest("POST", "/api/v1/login", {"username": username, "password": password}, token=False)
        assert answer.status == 200, answer.body
        self.session = answer.json
        self.cookie = next(value for key, value in answer.headers.items() if key.lower() == "set-cookie").split(";")[0]

    def rest(self, method, path, body=None, **more):
        headers = {"Cookie": self.cookie, "X-Tundish-Request": "1", **more.pop("headers", {})}
        return self.node.rest(method, path, body, token=False, headers=headers, **more)


def client(node, name, clean=True):
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    properties = None
    if not clean:
        properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
    made.connect("127.0.0.1", node.mqtt_port, clean_start=clean, properties=properties)
    made.loop_start()
    eventually(made.is_connected, what=f"{name} connected")
    return made


def test_roles_hold_in_a_running_server(node):
    people = {role: Person(node, f"{role}-1") for role in ROLES}
    assert people["operator"].session["rights"] == ["read", "operate"]
    device = {"spec": {"driver": "modbus_tcp", "connection": {"host": "127.0.0.1", "port": 1}, "groups": []}}
    seen = {}
    for role, person in people.items():
        seen[role] = (
            person.rest("GET", "/api/v1/status").status,
            person.rest("POST", "/api/v1/publish", {"topic": "x", "payload": "1"}).status,
            person.rest("PUT", f"/api/v1/devices/of-{role}", device).status != 403,
            person.rest("POST", "/api/v1/apply", "kind: Secret\nname: s\nspec: { value: x }\n",
                        content_type="application/yaml").status,
            person.rest("GET", "/api/v1/users").status,
            person.rest("GET", "/api/v1/tokens").status,
        )
    assert seen == {
        "viewer": (200, 403, False, 403, 403, 403),
        "operator": (200, 200, False, 403, 403, 403),
        "engineer": (200, 200, True, 403, 403, 403),
        "administrator": (200, 200, True, 200, 200, 200),
    }
    refused = people["viewer"].rest("POST", "/api/v1/publish", {"topic": "x"})
    assert refused.json["code"] == "access.denied" and refused.json["arguments"]["right"] == "operate"


def test_rights_that_are_taken_away_are_gone_at_once_also_for_tokens(node):
    node.rest("PUT", "/api/v1/users/fading", {"spec": {"password": PASSWORD, "roles": ["administrator"]}})
    person = Person(node, "fading")
    token = person.rest("POST", "/api/v1/tokens", {"name": "robot"}).json["token"]
    assert node.rest("GET", "/api/v1/users", token=token).status == 200
    spec = node.get("/api/v1/users/fading")["spec"]
    changed = node.rest("PUT", "/api/v1/users/fading", {"spec": {**spec, "roles": ["viewer"]}}, headers={"If-Match": "*"})
    assert changed.status == 200, changed.body
    assert person.rest("GET", "/api/v1/status").status == 401
    assert Person(node, "fading").session["rights"] == ["read"], "the password was kept"
    assert node.rest("GET", "/api/v1/users", token=token).status == 403
    assert node.rest("GET", "/api/v1/status", token=token).status == 200
    assert node.rest("DELETE", "/api/v1/users/fading").status == 204
    assert node.rest("GET", "/api/v1/status", token=token).status == 401


def test_the_last_administrator_remains(tundish):
    def put(name, role, **more):
        return tundish.rest("PUT", f"/api/v1/users/{name}", {"spec": {"password": PASSWORD, "roles": [role], **more}},
                            headers={"If-Match": "*"} if tundish.rest("GET", f"/api/v1/users/{name}").status == 200 else {})
    assert put("ann", "administrator").status == 201
    assert put("bob", "engineer").status == 201
    for answer in (put("ann", "viewer"), put("ann", "administrator", disabled=True), tundish.rest("DELETE", "/api/v1/users/ann")):
        assert answer.status == 409 and answer.json["code"] == "account.last_administrator", answer.body
    refused = tundish.apply(f"kind: User\nname: ann\nspec: {{ password: {PASSWORD}, roles: [operator] }}\n", expected=409)
    assert refused["code"] == "account.last_administrator"
    assert put("bob", "administrator").status == 200
    assert tundish.rest("DELETE", "/api/v1/users/ann").status == 204


def test_an_alarm_is_acknowledged_and_says_by_whom(node):
    node.apply("""
kind: Rule
name: too-hot
spec:
  sql: SELECT device, payload.t AS t FROM "heat/+" WHERE payload.t > 80
  outputs:
    - alarm: { name: hot, severity: high, message: "${device} is hot" }
""")
    publisher = client(node, "thermometer")

    def alarm():
        return next((item for item in node.get("/api/v1/alarms")["items"] if item["id"] == "alarms/hot/oven"), None)

    def hot(degrees):
        publisher.publish("heat/oven", json.dumps({"device": "oven", "t": degrees}), 1).wait_for_publish(5)

    def raised():
        hot(90)
        return alarm() and alarm()["state"] == "unack_active"
    eventually(raised, what="an alarm that nobody has acknowledged")
    path = "/api/v1/alarms/alarms%2Fhot%2Foven/acknowledge"
    assert Person(node, "viewer-1").rest("POST", path, {}).status == 403
    assert Person(node, "operator-1").rest("POST", path, {}).json["acknowledged"] == 1
    eventually(lambda: alarm()["state"] == "ack_active")
    assert alarm()["acknowledged_by"] == "operator-1" and alarm()["isa182"] == "ACKED"
    assert Person(node, "operator-1").rest("POST", path, {}).status == 409
    hot(20)
    eventually(lambda: alarm()["state"] == "normal", what="an acknowledged alarm that goes is normal")
    assert node.rest("POST", "/api/v1/alarms/alarms%2Fnone/acknowledge", {}).status == 404
    publisher.publish("alarms/foreign", json.dumps({"state": "active"}), 1).wait_for_publish(5)
    eventually(lambda: any(item["id"] == "alarms/foreign" for item in node.get("/api/v1/alarms")["items"]))
    foreign = node.rest("POST", "/api/v1/alarms/alarms%2Fforeign/acknowledge", {})
    assert foreign.status == 422 and foreign.json["code"] == "alarm.foreign"
    publisher.disconnect()
    publisher.loop_stop()


def test_clients_are_listed_shown_and_disconnected(node):
    made = [client(node, f"watched-{number}") for number in range(5)]
    made[0].subscribe("plant/+/state", 1)
    made[0].subscribe("$share/team/plant/jobs", 2)
    page = eventually(lambda: (found := node.get("/api/v1/clients?filter=watched-&sort=-clientId&limit=2"))["total"] == 5 and found)
    assert [item["clientId"] for item in page["items"]] == ["watched-4", "watched-3"]
    report = eventually(lambda: (found := node.get("/api/v1/clients/watched-0"))["subscriptions"] == 2 and found)
    assert {item["filter"] for item in report["filters"]} == {"plant/+/state", "$share/team/plant/jobs"}
    assert node.get("/api/v1/subscriptions?topic=plant/a/state")["items"][0]["clientId"] == "watched-0"
    listed = json.loads(node.cli("clients", "list", "--filter", "watched-", "-o", "json").stdout)
    assert listed["total"] == 5
    assert "watched-0" in node.cli("clients").stdout
    assert "plant/+/state" in node.cli("clients", "show", "watched-0").stdout
    assert 'filter: "plant/+/state"' in node.cli("subscriptions", "--client", "watched-0", "-o", "yaml").stdout
    lost = []
    made[1].on_disconnect = lambda *arguments: lost.append(str(arguments[3]))
    node.cli("clients", "kick", "watched-1")
    assert "dministrative" in eventually(lambda: lost)[0]
    node.cli("clients", "kick", "nobody-is-called-that", expected=1)
    for one in made:
        one.disconnect()
        one.loop_stop()


def test_a_forgotten_session_is_gone(node):
    sleeper = client(node, "sleeper", clean=False)
    sleeper.subscribe("dreams/#", 1)
    eventually(lambda: node.get("/api/v1/clients/sleeper")["subscriptions"] == 1)
    sleeper.disconnect()
    sleeper.loop_stop()
    eventually(lambda: node.get("/api/v1/clients/sleeper")["state"] == "disconnected")
    node.cli("clients", "kick", "sleeper", "--session")
    assert node.rest("GET", "/api/v1/clients/sleeper").status == 404
    again = client(node, "sleeper", clean=False)
    assert node.get("/api/v1/clients/sleeper")["subscriptions"] == 0
    again.disconnect()
    again.loop_stop()
    node.cli("clients", "kick", "sleeper", "--session")


def test_retained_messages_are_found_shown_and_deleted(node):
    publisher = client(node, "librarian")
    for topic in ("shelf/a", "shelf/b", "desk/a"):
        publisher.publish(topic, json.dumps({"of": topic}), 1, retain=True).wait_for_publish(5)
    assert [item["topic"] for item in node.get("/api/v1/retained?filter=shelf/%23")["items"]] == ["shelf/a", "shelf/b"]
    assert node.get("/api/v1/retained?text=DESK")["items"][0]["payload"] == '{"of": "desk/a"}'
    assert not any(item["topic"].startswith("$SYS") for item in node.get("/api/v1/retained?limit=10000")["items"])
    assert node.get("/api/v1/status")["retained"] == node.get("/api/v1/retained?limit=10000")["total"]
    assert json.loads(node.cli("retained", "get", "shelf/a").stdout) == {"of": "shelf/a"}
    assert "shelf/b" in node.cli("retained", "list", "shelf/+").stdout
    node.cli("retained", "delete", "shelf/a")
    eventually(lambda: node.rest("GET", "/api/v1/retained/shelf%2Fa").status == 404)
    node.cli("retained", "delete", "shelf/a", expected=1)
    publisher.disconnect()
    publisher.loop_stop()


def test_topic_metrics_count_until_they_are_stopped(node):
    node.cli("topics", "metrics", "start", "metered/#")
    node.cli("topics", "metrics", "start", "metered/#", expected=1)
    one = client(node, "meter")
    one.subscribe("metered/x", 1)
    eventually(lambda: node.get("/api/v1/clients/meter")["subscriptions"] == 1)
    for number in range(20):
        one.publish("metered/x", "12345", number % 2).wait_for_publish(5)
    one.publish("elsewhere", "12345", 1).wait_for_publish(5)
    figures = eventually(lambda: (found := node.get("/api/v1/topic-metrics")["items"][0])["received"] == 20 and found)
    assert figures["receivedBytes"] == 100 and figures["receivedByQos"] == [10, 10, 0]
    assert figures["sent"] == 20 and figures["dropped"] == 0
    assert "metered/#" in node.cli("topics", "metrics").stdout
    node.cli("topics", "metrics", "stop", "metered/#")
    assert node.get("/api/v1/topic-metrics")["items"] == []
    one.disconnect()
    one.loop_stop()


def test_events_reach_a_foreign_client(node):
    watcher = subprocess.Popen(["mosquitto_sub", "-p", str(node.mqtt_port), "-i", "watcher", "-t", "$events/#", "-v", "-C", "4", "-W", "30"],
                               stdout=subprocess.PIPE, text=True)
    eventually(lambda: node.get("/api/v1/clients/watcher")["subscriptions"] == 1)
    subprocess.run(["mosquitto_sub", "-p", str(node.mqtt_port), "-i", "guest", "-t", "a", "-E"], check=True, timeout=20)
    lines = watcher.communicate(timeout=40)[0].splitlines()
    told = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) for line in lines}
    # Its own subscription may be told first.
    lines = [line for line in lines if json.loads(line.split(" ", 1)[1])["clientid"] == "guest"]
    told = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) for line in lines}
    assert list(told) == ["$events/client_connected", "$events/session_subscribed", "$events/client_disconnected"]
    assert all(event["clientid"] == "guest" for event in told.values())
    assert told["$events/client_disconnected"]["reason"] == "normal"


def test_listeners_show_the_address_that_is_bound(node):
    listener = node.get("/api/v1/broker/listeners")["items"][0]
    assert listener["address"] == f"127.0.0.1:{node.mqtt_port}" and listener["accepted"] > 0
    assert str(node.mqtt_port) in node.cli("listeners").stdout


def test_refusals_tell_the_operator_why(node):
    subprocess.run(["mosquitto_pub", "-p", str(node.mqtt_port), "-i", "burglar", "-u", "viewer-1", "-P", "guess", "-t", "x", "-m", "y"],
                   capture_output=True, text=True, timeout=20)
    entry = eventually(lambda: [item for item in node.get("/api/v1/broker/refusals")["items"] if item["clientId"] == "burglar"])[0]
    assert entry["action"] == "connect" and entry["cause"] == "wrong_password" and entry["username"] == "viewer-1"
    assert "burglar" in node.cli("refusals").stdout
