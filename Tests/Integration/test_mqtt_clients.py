"""MQTT with more foreign clients: paho in all three versions, gmqtt, aiomqtt, the mosquitto commands, and the Paho C
library: every QoS, retained messages, wills, shared subscriptions, request and response, expiry, large payloads."""

import asyncio
import pathlib
import subprocess

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from conftest import eventually
from test_mqtt_peers import Client

VERSIONS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}
UNICODE = "werk/größe/温度/🌡"


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


def properties(packet=PacketTypes.PUBLISH, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


# paho


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_carries_unicode_topics_and_large_payloads(client, version, qos):
    subscriber = client(protocol=VERSIONS[version], client_id=f"sub{version}{qos}")
    publisher = client(protocol=VERSIONS[version], client_id=f"pub{version}{qos}")
    topic = f"{UNICODE}/{version}/{qos}"
    assert subscriber.subscribe(topic, qos)[0].value == qos
    payloads = [b"", b"\x00\xff", bytes(range(256)) * 3600, "grüße".encode()]
    for payload in payloads:
        publisher.publish(topic, payload, qos)
    got = subscriber.take(len(payloads))
    assert [message.payload for message in got] == payloads
    assert {(message.topic, message.qos) for message in got} == {(topic, qos)}


@pytest.mark.parametrize("version", VERSIONS)
def test_paho_keeps_a_session_in_every_version(client, shared_tundish, version):
    protocol, name = VERSIONS[version], f"keeper{version}"

    def connect():
        return Client(shared_tundish.mqtt_port, protocol=protocol, client_id=name, clean=False, expiry=600)

    first = connect()
    first.subscribe(f"keep/{version}", 2)
    first.close()
    publisher = client(protocol=protocol, client_id=f"keeping{version}")
    for number in range(30):
        publisher.publish(f"keep/{version}", str(number), number % 2 + 1)
    again = connect()
    # A client hands QoS 2 on later, so the order is that of each QoS.
    got = again.take(30)
    for qos in (1, 2):
        assert [int(message.payload) for message in got if message.qos == qos] == list(range(qos - 1, 30, 2))
    again.close()


def test_paho_request_and_response(client):
    server, asker = client(), client()
    server.paho.on_message = lambda c, _u, message: c.publish(
        message.properties.ResponseTopic, message.payload.upper(), 1,
        properties=properties(CorrelationData=message.properties.CorrelationData))
    server.subscribe("service/upper", 1)
    asker.subscribe("answers/me", 1)
    asker.publish("service/upper", "hello", 1, properties=properties(ResponseTopic="answers/me", CorrelationData=b"7"))
    answer = asker.take(1)[0]
    assert (answer.payload, answer.properties.CorrelationData) == (b"HELLO", b"7")


def test_paho_message_expiry(client, shared_tundish):
    def connect():
        return Client(shared_tundish.mqtt_port, client_id="expiring", clean=False, expiry=600)

    away = connect()
    away.subscribe("expiring", 1)
    away.close()
    publisher = client()
    publisher.publish("expiring", "short", 1, properties=properties(MessageExpiryInterval=1))
    publisher.publish("expiring", "long", 1, properties=properties(MessageExpiryInterval=500))
    # The shorter one is over when a retained one with the same interval is.
    publisher.publish("expiring/clock", "x", 1, retain=True, properties=properties(MessageExpiryInterval=1))

    def is_over():
        watcher = Client(shared_tundish.mqtt_port)
        watcher.subscribe("expiring/clock", 0)
        watcher.publish("expiring/ping", "x", 1)
        seen = watcher.messages.qsize()
        watcher.close()
        return seen == 0

    eventually(is_over, 20, "the end of a second")
    back = connect()
    message = back.take(1)[0]
    assert message.payload == b"long" and 400 < message.properties.MessageExpiryInterval <= 500
    back.close()


def test_paho_subscription_options(client):
    one = client()
    one.publish("options/kept", "x", 1, retain=True)
    one.paho.subscribe("options/#", options=SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2))
    one.subscribed.get(timeout=10)
    other = client()
    one.publish("options/own", "own", 1)
    other.publish("options/other", "other", 1, retain=True)
    message = one.take(1)[0]
    assert (message.payload, message.retain) == (b"other", True)
    assert one.messages.empty()
    other.publish("options/kept", "", 1, retain=True)
    other.publish("options/other", "", 1, retain=True)


def test_paho_will_delay_and_properties(client, shared_tundish):
    watcher = client()
    watcher.subscribe("delayed/#", 1)
    doomed = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="doomed", protocol=paho.MQTTv5)
    will = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=1, ContentType="text/plain")
    will.UserProperty = [("b", "1"), ("a", "2")]
    doomed.will_set("delayed/will", "gone", 1, False, will)
    doomed.connect("127.0.0.1", shared_tundish.mqtt_port, properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=60))
    doomed.loop_start()
    eventually(doomed.is_connected)
    doomed._sock.close()
    doomed.loop_stop()
    message = watcher.take(1, timeout=20)[0]
    assert message.payload == b"gone" and message.properties.ContentType == "text/plain"
    assert message.properties.UserProperty == [("b", "1"), ("a", "2")]


# gmqtt


class Gmqtt:
    """A gmqtt client whose messages end in a queue."""

    def __init__(self, name, **options):
        self.messages, self.subscribed = asyncio.Queue(), asyncio.Event()
        self.client = gmqtt.Client(name, **options)
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    async def on_message(self, _client, topic, payload, qos, properties):
        self.messages.put_nowait((topic, bytes(payload), qos, properties))
        return 0

    async def connect(self, port, version):
        await asyncio.wait_for(self.client.connect("127.0.0.1", port, version=version), 10)

    async def subscribe(self, topic, qos, **options):
        self.subscribed.clear()
        self.client.subscribe(gmqtt.Subscription(topic, qos=qos, **options))
        await asyncio.wait_for(self.subscribed.wait(), 10)

    async def take(self, count):
        return [await asyncio.wait_for(self.messages.get(), 10) for _ in range(count)]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_gmqtt(shared_tundish, version, qos):
    async def run():
        subscriber, publisher = Gmqtt(f"g-sub-{version}-{qos}"), Gmqtt(f"g-pub-{version}-{qos}")
        for one in (subscriber, publisher):
            await one.connect(shared_tundish.mqtt_port, version)
        topic = f"gmqtt/{UNICODE}/{version}/{qos}"
        await subscriber.subscribe(topic, qos)
        extra = {"user_property": [("k", "ü"), ("k", "2")], "content_type": "text"} if version == 5 else {}
        for number in range(50):
            publisher.client.publish(topic, str(number), qos=qos, **extra)
        got = await subscriber.take(50)
        assert [int(payload) for _, payload, _, _ in got] == list(range(50))
        assert {(name, level) for name, _, level, _ in got} == {(topic, qos)}
        if version == 5:
            assert got[0][3]["user_property"] == [("k", "ü"), ("k", "2")] and got[0][3]["content_type"] == ["text"]
        for one in (subscriber, publisher):
            await one.client.disconnect()

    asyncio.run(run())


def test_gmqtt_retained_shared_and_identifiers(shared_tundish):
    async def run():
        port = shared_tundish.mqtt_port
        publisher = Gmqtt("g-retainer")
        await publisher.connect(port, 5)
        publisher.client.publish("gmqtt/kept", "kept", qos=1, retain=True)
        late = Gmqtt("g-late")
        await late.connect(port, 5)
        await late.subscribe("gmqtt/kept", 1, subscription_identifier=77)
        (_, payload, _, seen), = await late.take(1)
        assert payload == b"kept" and seen["retain"] == 1 and seen["subscription_identifier"] == [77]
        members = [Gmqtt(f"g-member-{number}") for number in range(2)]
        for member in members:
            await member.connect(port, 5)
            await member.subscribe("$share/g/gmqtt/work", 1)
        for number in range(20):
            publisher.client.publish("gmqtt/work", str(number), qos=1)
        got = await members[0].take(10) + await members[1].take(10)
        assert sorted(int(payload) for _, payload, _, _ in got) == list(range(20))
        for one in (publisher, late, *members):
            await one.client.disconnect()

    asyncio.run(run())


# aiomqtt


@pytest.mark.parametrize("version", [aiomqtt.ProtocolVersion.V31, aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_aiomqtt(shared_tundish, version, qos):
    async def run():
        topic = f"aiomqtt/{version.value}/{qos}"
        port = shared_tundish.mqtt_port
        async with aiomqtt.Client("127.0.0.1", port, protocol=version, identifier=f"a-sub-{version.value}-{qos}") as subscriber:
            await subscriber.subscribe(topic + "/#", qos)
            async with aiomqtt.Client(
                "127.0.0.1", port, protocol=version, identifier=f"a-pub-{version.value}-{qos}"
            ) as publisher:
                for number in range(50):
                    await publisher.publish(topic, str(number), qos)
                got = []
                async with asyncio.timeout(20):
                    async for message in subscriber.messages:
                        got.append((int(message.payload), message.qos, str(message.topic)))
                        if len(got) == 50:
                            break
                assert got == [(number, qos, topic) for number in range(50)]

    asyncio.run(run())


# mosquitto's commands


def mosquitto(verb, port, *arguments, **options):
    return subprocess.run([f"mosquitto_{verb}", "-p", str(port), *arguments], check=True, timeout=30, **options)


def collect(shared_tundish, topic, *arguments):
    """A mosquitto_sub that has subscribed."""
    process = subprocess.Popen(
        ["mosquitto_sub", "-p", str(shared_tundish.mqtt_port), "-t", topic, "-W", "30", *arguments],
        stdout=subprocess.PIPE)
    eventually(lambda: any(item["filter"] == topic for item in shared_tundish.get("/api/v1/subscriptions")["items"]))
    return process


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquitto_carries_a_large_file(shared_tundish, tmp_path, version, qos):
    payload = bytes(range(256)) * 3900
    (tmp_path / "payload").write_bytes(payload)
    topic = f"m/{UNICODE}/{version}/{qos}"
    subscriber = collect(shared_tundish, topic, "-V", version, "-q", qos, "-C", "1", "-N")
    mosquitto("pub", shared_tundish.mqtt_port, "-V", version, "-q", qos, "-t", topic, "-f", str(tmp_path / "payload"))
    out, _ = subscriber.communicate(timeout=30)
    assert out == payload


def test_mosquitto_rr(shared_tundish):
    port = str(shared_tundish.mqtt_port)
    server = collect(shared_tundish, "m/ask", "-V", "mqttv5", "-C", "1", "-F", "%R %D %p")
    asker = subprocess.Popen(
        ["mosquitto_rr", "-p", port, "-V", "mqttv5", "-t", "m/ask", "-e", "m/answer", "-m", "what?",
         "-D", "publish", "correlation-data", "77", "-W", "30"], stdout=subprocess.PIPE, text=True)
    out, _ = server.communicate(timeout=30)
    assert out.decode().split() == ["m/answer", "77", "what?"]
    mosquitto("pub", port, "-V", "mqttv5", "-t", "m/answer", "-m", "that")
    out, _ = asker.communicate(timeout=30)
    assert out.strip() == "that"


def test_mosquitto_wills_retained_and_properties(shared_tundish):
    port = shared_tundish.mqtt_port
    watcher = collect(shared_tundish, "m/w/#", "-V", "mqttv5", "-q", "1", "-C", "1", "-F", "%t %q %p")
    doomed = collect(shared_tundish, "m/doomed", "-V", "mqttv5", "--will-topic", "m/w/x", "--will-payload", "gone", "--will-qos", "1")
    doomed.kill()
    doomed.wait()
    out, _ = watcher.communicate(timeout=30)
    assert out.decode().strip() == "m/w/x 1 gone"
    mosquitto("pub", port, "-V", "mqttv5", "-t", "m/kept", "-r", "-q", "1", "-m", "kept",
              "-D", "publish", "user-property", "a", "1", "-D", "publish", "content-type", "text")
    late = mosquitto("sub", port, "-V", "mqttv5", "-t", "m/kept", "-C", "1", "-W", "20", "-F", "%r %C %P %p",
                     stdout=subprocess.PIPE)
    assert late.stdout.decode().strip() == "1 text a:1 kept"


def test_mosquitto_keeps_a_session(shared_tundish):
    port = shared_tundish.mqtt_port
    session = ["-V", "mqttv5", "-i", "m-keeper", "-c", "-x", "600", "-q", "2", "-t", "m/keep"]
    # -E: leaves when it has subscribed.
    mosquitto("sub", port, *session, "-E")
    for number in range(5):
        mosquitto("pub", port, "-V", "mqttv311", "-q", "2", "-t", "m/keep", "-m", str(number))
    out = mosquitto("sub", port, *session, "-C", "5", "-W", "20", stdout=subprocess.PIPE).stdout
    assert out.decode().split() == ["0", "1", "2", "3", "4"]


# Paho C


@pytest.fixture(scope="module")
def paho_c(tmp_path_factory):
    program = tmp_path_factory.mktemp("paho-c") / "paho_c_client"
    source = pathlib.Path(__file__).parent / "peers" / "paho_c_client.c"
    subprocess.run(["cc", "-Wall", "-Werror", "-o", str(program), str(source), "-lpaho-mqtt3c"], check=True, timeout=60)
    return str(program)


@pytest.mark.parametrize("version", ["3", "4", "5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_paho_c(shared_tundish, paho_c, version, qos):
    uri = f"tcp://127.0.0.1:{shared_tundish.mqtt_port}"
    done = subprocess.run(
        [paho_c, uri, version, qos, "100", f"c/{UNICODE}/{version}/{qos}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"message {number}" for number in range(100)]
