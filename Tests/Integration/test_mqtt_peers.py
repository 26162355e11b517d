"""MQTT with foreign clients: mosquitto_pub, mosquitto_sub and paho, 3.1.1 and 5.0."""

import queue
import subprocess
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conftest import eventually


class Client:
    """A paho client whose callbacks end in queues, so that tests wait instead of sleeping."""

    def __init__(self, port, protocol=mqtt.MQTTv5, client_id="", clean=True, expiry=None, will=None, connect=True):
        self.messages, self.connected, self.subscribed, self.published = (queue.Queue() for _ in range(4))
        options = {} if protocol == mqtt.MQTTv5 else {"clean_session": clean}
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **options)
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: self.connected.put((flags, reason))
        self.paho.on_subscribe = lambda _c, _u, mid, codes, _p: self.subscribed.put((mid, codes))
        self.paho.on_publish = lambda _c, _u, mid, reason, _p: self.published.put((mid, reason))
        if will:
            self.paho.will_set(*will)
        arguments = {}
        if protocol == mqtt.MQTTv5:
            arguments["clean_start"] = clean
            if expiry is not None:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = expiry
                arguments["properties"] = properties
        self.paho.connect("127.0.0.1", port, keepalive=30, **arguments)
        self.paho.loop_start()
        if connect:
            self.flags, reason = self.connected.get(timeout=10)
            assert not reason.is_failure, reason

    def subscribe(self, topic, qos=0):
        self.paho.subscribe(topic, qos)
        return self.subscribed.get(timeout=10)[1]

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        self.paho.publish(topic, payload, qos, retain, properties)
        return self.published.get(timeout=10)[1]

    def take(self, count, timeout=10):
        return [self.messages.get(timeout=timeout) for _ in range(count)]

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self):
        """Closes the socket without DISCONNECT."""
        self.paho._sock.close()
        self.paho.loop_stop()


@pytest.fixture
def client(shared_tundish):
    opened = []

    def make(**arguments):
        made = Client(shared_tundish.mqtt_port, **arguments)
        opened.append(made)
        return made

    yield make
    for made in opened:
        made.close()


VERSIONS = [mqtt.MQTTv311, mqtt.MQTTv5]


@pytest.mark.parametrize("protocol", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_delivers_in_order_at_every_qos(client, protocol, qos):
    topic = f"order/{protocol}/{qos}"
    subscriber, publisher = client(protocol=protocol), client(protocol=protocol)
    subscriber.subscribe(topic, qos)
    for number in range(200):
        publisher.paho.publish(topic, str(number), qos)
    assert [int(message.payload) for message in subscriber.take(200)] == list(range(200))


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquitto_clients(shared_tundish, version, qos):
    port, topic = str(shared_tundish.mqtt_port), f"mosquitto/{version}/{qos}"
    subscriber = subprocess.Popen(
        ["mosquitto_sub", "-p", port, "-V", version, "-q", qos, "-t", topic, "-C", "3", "-W", "20", "-F", "%t %q %p"],
        stdout=subprocess.PIPE, text=True)
    eventually(lambda: any(item["filter"] == topic for item in shared_tundish.get("/api/v1/subscriptions")["items"]))
    for number in range(3):
        subprocess.run(["mosquitto_pub", "-p", port, "-V", version, "-q", qos, "-t", topic, "-m", str(number)],
                       check=True, timeout=20)
    out, _ = subscriber.communicate(timeout=20)
    assert out.split("\n")[:3] == [f"{topic} {qos} {number}" for number in range(3)]


@pytest.mark.parametrize("protocol", VERSIONS)
def test_retained_messages(client, protocol):
    topic = f"kept/{protocol}/a"
    publisher = client(protocol=protocol)
    publisher.publish(topic, "first", 1, retain=True)
    publisher.publish(topic, "second", 1, retain=True)
    late = client(protocol=protocol)
    late.subscribe(f"kept/{protocol}/+", 1)
    message = late.take(1)[0]
    assert (message.payload, message.retain) == (b"second", True)
    publisher.publish(topic, "", 1, retain=True)
    assert late.take(1)[0].payload == b""
    later = client(protocol=protocol)
    later.subscribe(f"kept/{protocol}/#", 1)
    publisher.publish(f"kept/{protocol}/marker", "m", 1)
    assert later.take(1)[0].payload == b"m"


@pytest.mark.parametrize("protocol", VERSIONS)
def test_a_will_is_published_when_the_connection_breaks(client, shared_tundish, protocol):
    watcher = client(protocol=protocol)
    watcher.subscribe("will/#", 1)
    doomed = Client(shared_tundish.mqtt_port, protocol=protocol, will=(f"will/{protocol}", b"gone", 1, False))
    doomed.vanish()
    message = watcher.take(1)[0]
    assert (message.topic, message.payload) == (f"will/{protocol}", b"gone")


@pytest.mark.parametrize("protocol", VERSIONS)
def test_a_session_keeps_what_came_while_its_client_was_away(client, shared_tundish, protocol):
    name, topic = f"sleeper{protocol}", f"sleep/{protocol}"
    first = Client(shared_tundish.mqtt_port, protocol=protocol, client_id=name, clean=False, expiry=3600)
    first.subscribe(topic, 1)
    first.close()
    publisher = client(protocol=protocol)
    for number in range(50):
        publisher.publish(topic, str(number), 1)
    again = Client(shared_tundish.mqtt_port, protocol=protocol, client_id=name, clean=False, expiry=3600)
    assert again.flags.session_present
    assert [int(message.payload) for message in again.take(50)] == list(range(50))
    again.close()


def test_a_second_connection_takes_the_session_over(client, shared_tundish):
    lost = threading.Event()
    first = Client(shared_tundish.mqtt_port, client_id="twin")
    first.paho.on_disconnect = lambda *_: lost.set()
    second = Client(shared_tundish.mqtt_port, client_id="twin")
    assert lost.wait(10)
    first.paho.loop_stop()
    second.subscribe("twin/x", 0)
    second.publish("twin/x", "y")
    assert second.take(1)[0].payload == b"y"
    second.close()


def test_a_shared_subscription_gives_each_message_to_one_member(client):
    members = [client() for _ in range(4)]
    for member in members:
        member.subscribe("$share/line/work/#", 1)
    publisher = client()
    for number in range(200):
        publisher.publish("work/a", str(number), 1)
    eventually(lambda: sum(member.messages.qsize() for member in members) == 200)
    counts = [member.messages.qsize() for member in members]
    assert min(counts) >= 40, counts


def test_properties_travel(client):
    subscriber, publisher = client(), client()
    subscriber.subscribe("properties", 1)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/json"
    properties.ResponseTopic = "answer/here"
    properties.CorrelationData = b"\x00\x01"
    properties.UserProperty = [("a", "1"), ("a", "2"), ("b", "ü")]
    properties.PayloadFormatIndicator = 1
    publisher.publish("properties", "{}", 1, properties=properties)
    seen = subscriber.take(1)[0].properties
    assert seen.ContentType == "application/json" and seen.ResponseTopic == "answer/here"
    assert seen.CorrelationData == b"\x00\x01" and seen.PayloadFormatIndicator == 1
    assert seen.UserProperty == [("a", "1"), ("a", "2"), ("b", "ü")]


def test_reason_codes_say_when_nobody_listens_and_when_a_filter_is_wrong(client):
    publisher = client()
    assert publisher.publish("nobody/at/home", "x", 1).value == 0x10
    assert client(protocol=mqtt.MQTTv311).subscribe("ok/+", 2)[0].value == 2


def test_sys_topics(client):
    watcher = client()
    watcher.subscribe("$SYS/broker/version")
    assert b"tundish" in watcher.take(1)[0].payload.lower()
    watcher.subscribe("$SYS/broker/clients/connected")
    # The retained figure may be from before this client came; the next one is not.
    eventually(lambda: (lambda message: message.topic.endswith("connected") and int(message.payload) >= 1)(
        watcher.take(1, timeout=30)[0]), 60, "a connected client in $SYS")
