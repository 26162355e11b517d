"""Who may come and what they may do: paho and raw sockets against users, files, HTTP, tokens, SCRAM and rules."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import queue
import re
import socket
import struct
import subprocess
import threading
import time

import jwt
import paho.mqtt.client as mqtt
import pytest

from conftest import BINARY, ROOT, eventually

NOT_AUTHORIZED = 0x87


class Client:
    """One connection; `code` is the reason of the CONNACK."""

    def __init__(self, node, username=None, password=None, client_id="", protocol=mqtt.MQTTv5):
        self.connected, self.subscribed, self.published, self.messages = (queue.Queue() for _ in range(4))
        self.lost = threading.Event()
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol,
                                reconnect_on_failure=False)
        self.paho.username_pw_set(username, password)
        self.paho.on_connect = lambda _c, _u, _f, reason, _p: self.connected.put(reason)
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self.subscribed.put(codes)
        self.paho.on_publish = lambda _c, _u, _m, reason, _p: self.published.put(reason)
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_disconnect = lambda *_: self.lost.set()
        self.paho.connect("127.0.0.1", node.mqtt_port)
        self.paho.loop_start()
        self.code = self.connected.get(timeout=20).value

    def subscribe(self, topic):
        self.paho.subscribe(topic, 1)
        return self.subscribed.get(timeout=10)[0].value

    def publish(self, topic, retain=False):
        self.paho.publish(topic, "x", 1, retain)
        return self.published.get(timeout=10).value

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def code(node, *arguments, **options):
    client = Client(node, *arguments, **options)
    client.close()
    return client.code


def put(node, documents):
    """Applies, and waits until what was applied is in force."""
    for change in node.apply(documents)["changes"]:
        if change["kind"] in PLURALS:
            path = f"/api/v1/{PLURALS[change['kind']]}/{change['name']}"

            def is_in_force():
                seen = node.get(path)
                return seen["status"]["observedRevision"] == seen["revision"] and seen["status"]["state"] == "running"

            eventually(is_in_force, what=path)


PLURALS = {"User": "users", "Authentication": "authentications", "AccessPolicy": "accesspolicies"}


def test_users_are_told_nothing_and_the_operator_everything(tundish):
    put(tundish, "kind: User\nname: ali\nspec: { password: right-password, roles: [operator] }\n")
    assert code(tundish, "ali", "right-password") == 0
    assert code(tundish, "ali", "wrong-password") == NOT_AUTHORIZED
    # Configured: a name that nobody has is not anonymous any more.
    put(tundish, "kind: Authentication\nname: staff\nspec: { type: users }\n")
    assert code(tundish, "eve", "x") == NOT_AUTHORIZED
    causes = {(item["username"], item["cause"]) for item in tundish.get("/api/v1/broker/refusals")["items"]}
    assert {("ali", "wrong_password"), ("eve", "unknown_user")} <= causes


def test_a_user_who_is_disabled_is_disconnected(tundish):
    user = "kind: User\nname: ali\nspec: {{ password: right-password, disabled: {} }}\n"
    put(tundish, user.format("false"))
    client = Client(tundish, "ali", "right-password")
    assert client.code == 0
    put(tundish, user.format("true"))
    assert client.lost.wait(15)
    assert code(tundish, "ali", "right-password") == NOT_AUTHORIZED


def test_a_changed_password_ends_the_connections_made_with_the_old_one(tundish):
    user = "kind: User\nname: {}\nspec: {{ password: {}, scram: {} }}\n"
    put(tundish, user.format("ali", "right-password", "false") + "---\n" + user.format("eve", "other-password", "false"))
    ali, eve = Client(tundish, "ali", "right-password"), Client(tundish, "eve", "other-password")
    assert (ali.code, eve.code) == (0, 0)
    # The same password once more is no change, whatever else does.
    put(tundish, user.format("ali", "right-password", "true"))
    assert code(tundish, "ali", "right-password") == 0 and not ali.lost.is_set()
    put(tundish, user.format("ali", "newer-password", "true"))
    assert ali.lost.wait(15)
    assert code(tundish, "ali", "right-password") == NOT_AUTHORIZED
    assert code(tundish, "ali", "newer-password") == 0
    assert not eve.lost.is_set()
    eve.close()


def test_a_file_of_mosquitto_passwd(tundish, tmp_path):
    file = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(file), "ali", "one"], check=True)
    os.chmod(file, 0o644)
    put(tundish, f"kind: Authentication\nname: file\nspec: {{ type: passwordFile, settings: {{ file: {file} }} }}\n")
    assert code(tundish, "ali", "one") == 0
    assert code(tundish, "ali", "two") == NOT_AUTHORIZED
    subprocess.run(["mosquitto_passwd", "-b", str(file), "ali", "two"], check=True)
    os.chmod(file, 0o644)
    eventually(lambda: code(tundish, "ali", "two") == 0)


class AuthServer:
    """Answers as told: a status and a body, or not at all."""

    def __init__(self):
        outer = self
        self.answer, self.seen = (200, {"result": "allow"}), []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if outer.answer is None:
                    time.sleep(6)
                    return
                status, body = outer.answer
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_an_http_server_that_answers_fails_hangs_and_is_away(tundish):
    server = AuthServer()
    document = """
kind: Authentication
name: web
spec:
  {{ type: http, timeout: 500ms, onUnavailable: {when}, order: 1,
    settings: {{ url: "http://127.0.0.1:{port}/", cacheAccepted: 0s, cacheRefused: 0s }} }}
---
kind: Authentication
name: staff
spec: {{ type: users, order: 2 }}
---
kind: User
name: ali
spec: {{ password: right-password }}
"""
    put(tundish, document.format(when="refuse", port=server.port))
    server.answer = (200, {"result": "allow", "acl": [{"permission": "deny", "action": "all", "topic": "secret/#"}]})
    client = Client(tundish, "someone", "x", client_id="c9")
    assert client.code == 0 and server.seen[-1] == {"clientid": "c9", "username": "someone", "password": "x"}
    assert client.publish("secret/a") == NOT_AUTHORIZED and client.subscribe("secret/#") == NOT_AUTHORIZED
    client.close()
    server.answer = (200, {"result": "deny"})
    assert code(tundish, "ali", "right-password") == NOT_AUTHORIZED
    server.answer = (200, {"result": "ignore"})
    assert code(tundish, "ali", "right-password") == 0
    for answer in [(500, {}), None]:
        server.answer = answer
        assert code(tundish, "ali", "right-password") == 0x88
    put(tundish, document.format(when="next", port=server.port))
    assert code(tundish, "ali", "right-password") == 0
    server.stop()
    assert code(tundish, "ali", "right-password") == 0


def test_tokens(tundish):
    secret = "0123456789abcdef0123456789abcdef"
    put(tundish, f"""
kind: Authentication
name: tokens
spec: {{ type: jwt, settings: {{ secret: {secret}, claims: {{ username: "${{username}}" }} }} }}
""")

    def token(key=secret, **claims):
        return jwt.encode({"username": "ali", "exp": time.time() + 600, **claims}, key, algorithm="HS256")

    assert code(tundish, "ali", token()) == 0
    assert code(tundish, "bob", token()) == NOT_AUTHORIZED
    assert code(tundish, "ali", token(key="f" * 32)) == NOT_AUTHORIZED
    assert code(tundish, "ali", token(exp=time.time() - 1)) == NOT_AUTHORIZED
    client = Client(tundish, "ali", token(exp=time.time() + 3, acl={"pub": ["mine/#"]}))
    assert client.publish("mine/a") < 0x80 and client.publish("other") == NOT_AUTHORIZED
    assert client.lost.wait(15)


def test_rules_change_under_connected_clients(tundish):
    put(tundish, 'kind: AccessPolicy\nname: p\nspec: { rules: [ { permission: deny, topics: ["secret/#"] } ] }\n')
    watcher, client = Client(tundish), Client(tundish)
    assert watcher.subscribe("secret/#") == NOT_AUTHORIZED
    assert watcher.subscribe("plain/#") == 1
    assert client.publish("secret/a") == NOT_AUTHORIZED and client.publish("plain/a") == 0
    put(tundish, 'kind: AccessPolicy\nname: p\nspec: { rules: [ { permission: deny, topics: ["plain/#"] } ] }\n')
    eventually(lambda: client.publish("secret/a") < 0x80)
    assert client.publish("plain/a") == NOT_AUTHORIZED
    filters = [item["filter"] for item in tundish.get("/api/v1/subscriptions")["items"]]
    assert "plain/#" not in filters
    assert not watcher.lost.is_set()
    watcher.close()
    client.close()


class Scram:
    """MQTT 5 with SCRAM-SHA-256 over a raw socket. Written from the RFC, so that both sides are not the same code."""

    METHOD = b"SCRAM-SHA-256"

    def __init__(self, port, username, password):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.username, self.password = username, password

    def field(self, data):
        return struct.pack(">H", len(data)) + data

    def properties(self, data):
        body = b"\x15" + self.field(self.METHOD) + (b"\x16" + self.field(data) if data is not None else b"")
        return self.length(body) + body

    def length(self, body):
        count = len(body)
        return bytes([count]) if count < 128 else bytes([count & 127 | 128, count >> 7])

    def send(self, first, body):
        self.socket.sendall(bytes([first]) + self.length(body) + body)

    def connect(self):
        self.send(0x10, self.field(b"MQTT") + b"\x05\x02\x00\x3c" + self.properties(self.first()) + self.field(b"scram"))
        return self.answer()

    def again(self):
        self.send(0xF0, b"\x19" + self.properties(self.first()))
        return self.answer()

    def first(self):
        self.bare = f"n={self.username},r={os.urandom(9).hex()}"
        return b"n,," + self.bare.encode()

    def packet(self):
        def read(count):
            data = b""
            while len(data) < count:
                part = self.socket.recv(count - len(data))
                if not part:
                    raise ConnectionError("closed")
                data += part
            return data

        kind, length, shift = read(1)[0], 0, 0
        while True:
            byte = read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return kind, read(length)

    def answer(self):
        kind, body = self.packet()
        if kind != 0xF0:
            return kind, body
        assert body[0] == 0x18
        first = body[body.index(b"r=", 1):].decode()
        fields = dict(part.split("=", 1) for part in first.split(","))
        final = f"c=biws,r={fields['r']}"
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        message = f"{self.bare},{first},{final}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.expected = b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256"))
        self.send(0xF0, b"\x18" + self.properties(f"{final},p={proof}".encode()))
        return self.packet()


def test_scram_and_again(tundish):
    put(tundish, """
kind: User
name: ali
spec: { password: right-password, scram: true }
---
kind: Authentication
name: scram
spec: { type: scram }
""")
    good = Scram(tundish.mqtt_port, "ali", "right-password")
    kind, body = good.connect()
    assert (kind, body[1]) == (0x20, 0) and good.expected in body and Scram.METHOD in body
    kind, body = good.again()
    assert kind == 0xF0 and (not body or body[0] == 0) and good.expected in body
    for name, password in [("ali", "wrong-password"), ("eve", "right-password")]:
        kind, body = Scram(tundish.mqtt_port, name, password).connect()
        assert (kind, body[1]) == (0x20, NOT_AUTHORIZED)
    good.password = "wrong-password"
    kind, body = good.again()
    assert (kind, body[0]) == (0xE0, NOT_AUTHORIZED)
    with pytest.raises(ConnectionError):
        good.packet()


@pytest.mark.parametrize("name", ["security.md", "broker.md"])
def test_the_examples_of_the_pages_are_valid(tmp_path, name):
    page = (ROOT / "docs" / name).read_text()
    for index, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.S)):
        file = pathlib.Path(tmp_path / f"{index}.yaml")
        file.write_text(text)
        done = subprocess.run([str(BINARY), "check", str(file)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
