"""The Broker resource: bounds and habits of the whole broker, changed while it runs."""

import queue

import paho.mqtt.client as mqtt

from conftest import eventually


def document(sessions="", shared="", name="default"):
    return f"""apiVersion: tundish/v1
kind: Broker
name: {name}
spec:
  sessions: {{ {sessions} }}
  sharedSubscriptions: {{ {shared} }}
"""


def applied(tundish, *arguments):
    tundish.apply(document(*arguments))
    eventually(lambda: tundish.get("/api/v1/brokers/default")["status"]["state"] == "running")
    eventually(lambda: tundish.get("/api/v1/brokers/default")["status"]["observedRevision"]
               == tundish.get("/api/v1/brokers/default")["revision"])


class Client:
    """A paho client of MQTT 5 whose messages are taken one by one; `answers` false: it acknowledges nothing."""

    def __init__(self, tundish, name, clean=True):
        self.messages, self.subscribed = queue.Queue(), queue.Queue()
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.paho.on_message = lambda _c, _d, message: self.messages.put(message.payload.decode())
        self.paho.on_subscribe = lambda *_: self.subscribed.put(1)
        properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if clean else 600
        self.paho.connect("127.0.0.1", tundish.mqtt_port, clean_start=clean, properties=properties)
        self.paho.loop_start()

    def subscribe(self, topic):
        self.paho.subscribe(topic, 1)
        self.subscribed.get(timeout=10)

    def publish(self, topic, count):
        for number in range(count):
            self.paho.publish(topic, str(number), 1).wait_for_publish(10)

    def take(self, count):
        return [self.messages.get(timeout=10) for _ in range(count)]

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def test_there_is_one_broker_and_its_keys_are_checked(tundish):
    answer = tundish.apply(document(name="second"), 422)
    assert "default" in str(answer)
    answer = tundish.apply(document(shared="strategy: fastest"), 422)
    assert "leastInFlight" in str(answer)
    answer = tundish.apply(document(shared="groups: [ { group: a/b, strategy: sticky } ]"), 422)
    assert "a/b" in str(answer)


def test_a_full_queue_loses_its_oldest_or_its_newest(tundish):
    writer = Client(tundish, "writer")
    for policy, expected in (("dropNewest", ["0", "1", "2"]), ("dropOldest", ["4", "5", "6"])):
        applied(tundish, f"queuedMessagesMax: 3, whenFull: {policy}")
        name = "sleeper-" + policy
        sleeper = Client(tundish, name, clean=False)
        sleeper.subscribe("q/" + policy)
        sleeper.close()
        eventually(lambda name=name: tundish.get("/api/v1/clients/" + name)["state"] == "disconnected")
        writer.publish("q/" + policy, 7)
        assert tundish.get("/api/v1/clients/" + name)["dropped"] == 4
        sleeper = Client(tundish, name, clean=False)
        assert sleeper.take(3) == expected
        sleeper.close()
    writer.close()


def test_a_group_changes_its_strategy_while_it_works(tundish):
    members = [Client(tundish, f"member-{number}") for number in range(3)]
    for member in members:
        member.subscribe("$share/line/work")
    writer = Client(tundish, "writer")

    def spread():
        writer.publish("work", 12)
        eventually(lambda: sum(member.messages.qsize() for member in members) == 12)
        return sorted(len(member.take(member.messages.qsize())) for member in members)

    assert spread() == [4, 4, 4]
    applied(tundish, "", "strategy: sticky")
    assert spread() == [0, 0, 12]
    applied(tundish, "", "strategy: sticky, groups: [ { group: line, strategy: roundRobin } ]")
    assert spread() == [4, 4, 4]
    for client in [*members, writer]:
        client.close()
