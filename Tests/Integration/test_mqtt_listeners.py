"""MQTT over TLS, WebSocket, Unix sockets and behind a load balancer, with foreign clients; hostile connections."""

import contextlib
import datetime
import ipaddress
import os
import queue
import socket
import ssl
import subprocess
import time

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from conftest import eventually, free_port

DAY = datetime.timedelta(days=1)
CONNECT = bytes([0x10, 13, 0, 4]) + b"MQTT" + bytes([4, 2, 0, 0, 0, 1]) + b"c"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder, name, parent=None, key=None):
        self.folder, self.name, self.parent = folder, name, parent
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key.public_key(), parent or self, authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.pem)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(self, name, public, issuer, authority=False, names=(), days=30):
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Works"),
                             x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = subject if issuer is self and authority else issuer.certificate.subject
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(public)
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now() - 60 * DAY).not_valid_after(now() + days * DAY)
                   .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
        if authority:
            builder = builder.add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(issuer.key, hashes.SHA256())

    def issue(self, name, dns=(), days=30, password=None, file=None, rsa_key=False):
        key = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(entry) for entry in dns]
        if dns:
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        certificate = self._sign(name, key.public_key(), self, names=names, days=days)
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        file = file or name
        chain, secret = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        text = certificate.public_bytes(serialization.Encoding.PEM) + (self.pem if self.parent else b"")
        self.replace(secret, key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
        self.replace(chain, text)
        return certificate, chain, secret

    @staticmethod
    def replace(path, content):
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(content)
        temporary.replace(path)

    def revoke(self, *certificates, days=7, signer=None):
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
                   .last_update(now() - 30 * DAY).next_update(now() + days * DAY))
        for certificate in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
                .revocation_date(now() - DAY).build())
        text = builder.sign(signer or self.key, hashes.SHA256())
        path = self.folder / f"{self.name}.crl"
        self.replace(path, text.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "root")


def listener(tundish, name, protocol="mqtt", bind=None, more="", expected=200):
    port = free_port()
    document = f"""apiVersion: tundish/v1
kind: Listener
name: {name}
spec:
  protocol: {protocol}
  bind: {bind or f'127.0.0.1:{port}'}
  allowAnonymous: true
{more}"""
    tundish.apply(document, expected)
    return port


def condition(tundish, name):
    return tundish.get(f"/api/v1/listeners/{name}")["status"]


def running(tundish, name):
    eventually(lambda: condition(tundish, name)["state"] in ("running", "degraded", "failed"), what=f"listener {name}")
    assert condition(tundish, name)["state"] != "failed", condition(tundish, name)


def closed(tundish, name, cause):
    text = tundish.rest("GET", "/metrics").body.decode()
    for line in text.splitlines():
        if line.startswith("tundish_listener_closed_total{") and f'listener="{name}"' in line \
                and f'cause="{cause}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return 0


def tls_lines(chain, key, more=""):
    return f"  tls:\n    certificate: {{ file: {chain} }}\n    key: {{ file: {key} }}\n{more}"


def context(authority, client=None, version=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(authority.path)
    if client:
        made.load_cert_chain(client[1], client[2])
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def connack(stream, client=b"c"):
    """What the server answers to the CONNECT of a client, of one letter; empty if it closes."""
    stream.settimeout(10)
    try:
        stream.sendall(CONNECT[:-1] + client)
        return stream.recv(4)
    except (ssl.SSLError, ConnectionError):
        return b""


def over_tls(made, port, name="localhost"):
    return made.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname=name)


def tls_answer(made, port):
    try:
        with over_tls(made, port) as stream:
            return connack(stream)
    except (ssl.SSLError, ConnectionError):
        return b""


GOOD = bytes([0x20, 2, 0, 0])


@contextlib.contextmanager
def paho(transport="tcp", **options):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, transport=transport)
    client.answers, client.taken = queue.Queue(), queue.Queue()
    client.on_connect = lambda _c, _u, _f, reason, _p: client.answers.put(reason)
    client.on_message = lambda _c, _u, message: client.taken.put(message.payload)
    client.on_subscribe = lambda _c, _u, _m, codes, _p: client.answers.put(codes[0])
    yield client
    client.disconnect()
    client.loop_stop()


def exchanges(client, host, port):
    client.connect(host, port)
    client.loop_start()
    assert not client.answers.get(timeout=10).is_failure
    client.subscribe("echo/#", 1)
    client.answers.get(timeout=10)
    for size in (0, 10, 70_000, 300_000):
        client.publish("echo/x", b"x" * size, 1)
        assert len(client.taken.get(timeout=10)) == size


@pytest.mark.parametrize("protocol", ["ws", "wss", "mqtts", "unix"])
def test_paho_over(tundish, authority, tmp_path, protocol):
    _, chain, key = authority.issue("server", dns=["localhost"])
    path = str(tmp_path / "mqtt.sock")
    secure = protocol in ("wss", "mqtts")
    port = listener(tundish, "l", protocol, bind=path if protocol == "unix" else None,
                    more=tls_lines(chain, key) if secure else "")
    running(tundish, "l")
    with paho({"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(protocol, "tcp")) as client:
        if protocol.startswith("ws"):
            client.ws_set_options(path="/mqtt")
        if secure:
            client.tls_set_context(context(authority))
        exchanges(client, path if protocol == "unix" else "localhost", 1 if protocol == "unix" else port)


def test_mosquitto_clients_over_tls(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    port = str(listener(tundish, "l", "mqtts", more=tls_lines(chain, key)))
    running(tundish, "l")
    arguments = ["-h", "localhost", "-p", port, "--cafile", str(authority.path), "-t", "m"]
    subprocess.run(["mosquitto_pub", *arguments, "-r", "-q", "1", "-m", "hello"], check=True, timeout=20)
    done = subprocess.run(["mosquitto_sub", *arguments, "-C", "1", "-W", "10"], capture_output=True, text=True, timeout=20)
    assert done.stdout == "hello\n"


def test_tls_versions(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"], rsa_key=True)
    old = listener(tundish, "old", "mqtts", more=tls_lines(chain, key))
    new = listener(tundish, "new", "mqtts", more=tls_lines(chain, key, '    minimumVersion: "1.3"\n'))
    running(tundish, "old")
    running(tundish, "new")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert tls_answer(context(authority, version=version), old) == GOOD
    assert tls_answer(context(authority, version=ssl.TLSVersion.TLSv1_3), new) == GOOD
    assert tls_answer(context(authority, version=ssl.TLSVersion.TLSv1_2), new) == b""
    eventually(lambda: closed(tundish, "new", "tls_handshake") == 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("through", [False, True], ids=["root", "intermediate"])
def test_client_certificates_and_revocation(tundish, authority, tmp_path, version, through):
    _, chain, key = authority.issue("server", dns=["localhost"])
    signer = Authority(tmp_path, "middle", authority) if through else authority
    good, bad, expired = signer.issue("good"), signer.issue("bad"), signer.issue("expired", days=-1)
    stranger = Authority(tmp_path, "elsewhere").issue("stranger")
    crl = signer.revoke(bad[0])
    port = listener(tundish, "l", "mqtts", more=tls_lines(
        chain, key, f"    clientCertificates: required\n    clientCA: {{ file: {authority.path} }}\n"
        f"    crls: [{{ file: {crl} }}]\n"))
    running(tundish, "l")

    def answer(client):
        return tls_answer(context(authority, client, version), port)

    assert answer(good) == GOOD
    for client, cause in ((bad, "certificate_revoked"), (stranger, "certificate_untrusted"),
                          (expired, "certificate_expired"), (None, "tls_handshake")):
        assert answer(client) == b"", cause
        eventually(lambda cause=cause: closed(tundish, "l", cause) == 1, what=cause)
    # The list changes on disk, with clients connected.
    with over_tls(context(authority, good, version), port) as stays:
        assert connack(stays, b"s") == GOOD
        signer.revoke(bad[0], good[0])
        eventually(lambda: answer(good) == b"", 20, "the revocation")
        stays.sendall(bytes([0xC0, 0]))
        assert stays.recv(2) == bytes([0xD0, 0])
    signer.revoke(bad[0])
    eventually(lambda: answer(good) == GOOD, 20, "the list that takes it back")
    # A list that is out of date says nothing about anybody.
    signer.revoke(days=-2)
    eventually(lambda: answer(good) == b"", 20, "the end of the list's time")
    eventually(lambda: closed(tundish, "l", "revocation_unknown") >= 1)
    eventually(lambda: condition(tundish, "l")["state"] == "degraded")


def test_a_forged_revocation_list_is_refused(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    crl = authority.revoke(signer=ec.generate_private_key(ec.SECP256R1()))
    listener(tundish, "l", "mqtts", more=tls_lines(
        chain, key, f"    clientCertificates: required\n    clientCA: {{ file: {authority.path} }}\n"
        f"    crls: [{{ file: {crl} }}]\n"))
    eventually(lambda: condition(tundish, "l").get("code") == "listener.crl_signature")


def test_a_revoked_client_does_not_resume_its_session(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    client = authority.issue("client")
    crl = authority.revoke()
    port = listener(tundish, "l", "mqtts", more=tls_lines(
        chain, key, f"    clientCertificates: required\n    clientCA: {{ file: {authority.path} }}\n"
        f"    crls: [{{ file: {crl} }}]\n"))
    running(tundish, "l")
    made = context(authority, client, ssl.TLSVersion.TLSv1_2)

    def again(session):
        try:
            raw = socket.create_connection(("127.0.0.1", port), 10)
            with made.wrap_socket(raw, server_hostname="localhost", session=session) as stream:
                return connack(stream), stream.session
        except (ssl.SSLError, ConnectionError):
            return b"", None

    first, session = again(None)
    assert first == GOOD
    assert again(session)[0] == GOOD
    authority.revoke(client[0])
    eventually(lambda: again(session)[0] == b"", 20, "the revocation")


def test_server_names_choose_the_certificate_and_it_is_replaced_while_clients_stay(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    _, other_chain, other_key = authority.issue("other", dns=["other.example", "*.wild.example"])
    port = listener(tundish, "l", "mqtts", more=tls_lines(
        chain, key, f"    certificates:\n    - certificate: {{ file: {other_chain} }}\n      key: {{ file: {other_key} }}\n"))
    running(tundish, "l")
    made = context(authority)
    made.check_hostname = False

    def served(name):
        with over_tls(made, port, name) as stream:
            return x509.load_der_x509_certificate(stream.getpeercert(True))

    def common(name):
        return served(name).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value

    assert common("localhost") == common("unknown.example") == "server"
    assert common("other.example") == common("OTHER.example") == common("a.wild.example") == "other"
    assert common("a.b.wild.example") == "server"
    with over_tls(made, port) as stays:
        assert connack(stays, b"s") == GOOD
        fresh = authority.issue("server", dns=["localhost"])[0].serial_number
        eventually(lambda: served("localhost").serial_number == fresh, 20, "the new certificate")
        stays.sendall(bytes([0xC0, 0]))
        assert stays.recv(2) == bytes([0xD0, 0])
    # What cannot be used does not replace what can.
    key.write_text("damaged")
    eventually(lambda: condition(tundish, "l")["state"] == "degraded", 20)
    assert served("localhost").serial_number == fresh


def test_what_is_wrong_with_a_certificate_is_said(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    other_key = authority.issue("other", dns=["x"])[2]
    _, locked_chain, locked_key = authority.issue("locked", dns=["x"], password=b"right")
    _, old_chain, old_key = authority.issue("old", dns=["localhost"], days=-3)
    cases = {
        "mismatch": (tls_lines(chain, other_key), "listener.key_mismatch"),
        "missing": (tls_lines("/no/such/file", key), "file.not_found"),
        "locked": (tls_lines(locked_chain, locked_key), "listener.key_password_missing"),
        "wrong": (tls_lines(locked_chain, locked_key, "    keyPassword: guess\n"), "listener.key_password_wrong"),
        "swapped": (tls_lines(key, chain), "listener.not_pem"),
    }
    for name, (lines, code) in cases.items():
        listener(tundish, name, "mqtts", more=lines)
        eventually(lambda: condition(tundish, name).get("code") == code,
                   what=f"{name}: {condition(tundish, name)}")
    port = listener(tundish, "right", "mqtts", more=tls_lines(locked_chain, locked_key, "    keyPassword: right\n"))
    running(tundish, "right")
    made = context(authority)
    made.check_hostname = False
    assert tls_answer(made, port) == GOOD
    listener(tundish, "old", "mqtts", more=tls_lines(old_chain, old_key))
    eventually(lambda: condition(tundish, "old").get("code") == "listener.certificate_expired")
    assert str((now() - 3 * DAY).date()) in condition(tundish, "old")["message"]


def test_proxy_header_before_tls(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    port = listener(tundish, "l", "mqtts",
                    more=tls_lines(chain, key) + "  proxy: { trusted: [127.0.0.0/8] }\n")
    running(tundish, "l")
    raw = socket.create_connection(("127.0.0.1", port), 10)
    raw.sendall(b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 8883\r\n")
    with context(authority).wrap_socket(raw, server_hostname="localhost") as stream:
        assert connack(stream) == GOOD
        peers = [item.get("peer") for item in tundish.get("/api/v1/clients")["items"]]
        assert "192.0.2.7:50000" in peers
    with socket.create_connection(("127.0.0.1", port), 10) as liar:
        liar.sendall(b"hello\r\n")
        assert liar.recv(1) == b""
    assert eventually(lambda: closed(tundish, "l", "proxy_header") == 1)


def test_unix_socket_permissions_and_stale_file(tundish, tmp_path):
    path = tmp_path / "mqtt.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    listener(tundish, "l", "unix", bind=path, more='  mode: "600"\n')
    running(tundish, "l")
    assert os.stat(path).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert connack(client) == GOOD
    listener(tundish, "second", "unix", bind=path)
    eventually(lambda: condition(tundish, "second").get("code") == "listener.path_in_use")
    file = tmp_path / "document"
    file.write_text("keep me")
    listener(tundish, "third", "unix", bind=file)
    eventually(lambda: condition(tundish, "third").get("code") == "listener.not_a_socket")
    assert file.read_text() == "keep me"
    tundish.rest("DELETE", "/api/v1/listeners/l")
    eventually(lambda: not path.exists())


def test_slow_and_silent_connections_are_closed_in_time(tundish, authority):
    _, chain, key = authority.issue("server", dns=["localhost"])
    limits = "  limits: { connectTimeout: 2s, packetTimeout: 2s }\n"
    ports = {
        "tcp": (listener(tundish, "tcp", more=limits), CONNECT, "connect_timeout"),
        "tls": (listener(tundish, "tls", "mqtts", more=tls_lines(chain, key) + limits), b"\x16\x03\x01\x02\x00\x01",
                "tls_timeout"),
        "ws": (listener(tundish, "ws", "ws", more=limits), b"GET /mqtt HTTP/1.1\r\nHost: x\r\n", "websocket_timeout"),
    }
    for name, (port, text, cause) in ports.items():
        running(tundish, name)
        with socket.create_connection(("127.0.0.1", port), 10) as slow:
            began = time.monotonic()
            with contextlib.suppress(OSError):
                # One byte at a time, as slowly as a client that wants to stay would.
                for byte in text[:-1] * 3:
                    slow.sendall(bytes([byte]))
                    slow.settimeout(0.4)
                    try:
                        if slow.recv(1) == b"":
                            break
                    except socket.timeout:
                        continue
            assert 1.5 < time.monotonic() - began < 6, name
        eventually(lambda: closed(tundish, name, cause) == 1, what=f"{name} {cause}")
    with socket.create_connection(("127.0.0.1", ports["tcp"][0]), 10) as endless:
        assert connack(endless) == GOOD
        endless.sendall(bytes([0x30, 0x80, 0x10]) + b"x")
        endless.settimeout(10)
        assert endless.recv(1) == b""
    eventually(lambda: closed(tundish, "tcp", "packet_timeout") == 1)


def test_hostile_packets_are_closed_and_counted(tundish):
    port = listener(tundish, "l", more="  limits: { packetBytesMax: 1000 }\n")
    running(tundish, "l")
    cases = [(bytes([0x10, 0xFF, 0xFF, 0x7F]), "packet_too_large", False), (bytes([0xC0, 0]), "protocol_error", False),
             (bytes([0x30, 0xFF, 0x7F]), "packet_too_large", True), (CONNECT, "protocol_error", True),
             (bytes([0x30, 0xFF, 0xFF, 0xFF, 0xFF]), "malformed", True)]
    counts = {}
    for text, cause, introduced in cases:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            if introduced:
                assert connack(client) == GOOD
            client.sendall(text)
            client.settimeout(10)
            assert client.recv(1) == b""
        counts[cause] = counts.get(cause, 0) + 1
        eventually(lambda: closed(tundish, "l", cause) == counts[cause], what=cause)


def test_half_open_connections_make_room_for_clients(tundish):
    port = listener(tundish, "l", more="  limits: { halfOpenMax: 100, connectionsMax: 150, connectTimeout: 60s }\n")
    running(tundish, "l")
    held = []
    try:
        for _ in range(400):
            held.append(socket.create_connection(("127.0.0.1", port), 10))
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                assert connack(client) == GOOD
        eventually(lambda: closed(tundish, "l", "half_open_max") >= 295)
    finally:
        for client in held:
            client.close()


def test_limits_change_while_clients_stay(tundish):
    port = free_port()
    bind = f"127.0.0.1:{port}"
    listener(tundish, "l", bind=bind)
    running(tundish, "l")
    with socket.create_connection(("127.0.0.1", port), 10) as stays:
        assert connack(stays, b"s") == GOOD
        listener(tundish, "l", bind=bind, more="  limits: { messagesPerSecond: 20, connectionsPerAddress: 1 }\n")

        def refused():
            with socket.create_connection(("127.0.0.1", port), 10) as other:
                return connack(other) == b""
        eventually(refused)
        assert closed(tundish, "l", "address_connections_max") >= 1
        # 80 messages at 20 a second, with a burst of a second: none is lost, the answer comes after three seconds.
        began = time.monotonic()
        stays.sendall(bytes([0x30, 4, 0, 1]) * 0 + b"\x30\x04\x00\x01tx" * 80 + bytes([0xC0, 0]))
        stays.settimeout(20)
        assert stays.recv(2) == bytes([0xD0, 0])
        assert 2.0 < time.monotonic() - began < 8


def test_connection_rate(tundish):
    port = listener(tundish, "l", more="  limits: { connectionsPerSecond: 5 }\n")
    running(tundish, "l")
    answers = []
    for _ in range(15):
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            answers.append(connack(client))
    assert answers[:5] == [GOOD] * 5
    assert answers.count(b"") >= 5
    assert closed(tundish, "l", "connection_rate") == answers.count(b"")


def test_plain_http_gets_an_answer(tundish):
    port = listener(tundish, "l", "ws")
    running(tundish, "l")
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 404 ")


def test_what_a_listener_does_not_offer_is_said_at_connect_and_refused(tundish):
    port = listener(tundish, "l", more="  limits: { maximumQoS: 1, retain: false, wildcardSubscriptions: false,\n"
                    "    sharedSubscriptions: false, subscriptionIdentifiers: false }\n")
    running(tundish, "l")
    answers, codes = queue.Queue(), queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="v5", protocol=mqtt.MQTTv5)
    client.on_connect = lambda _client, _data, _flags, _reason, properties: answers.put(properties)
    client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: codes.put(reasons[0].value)
    client.on_disconnect = lambda _client, _data, _flags, reason, _properties: codes.put(reason.value)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        told = answers.get(timeout=10)
        assert (told.MaximumQoS, told.RetainAvailable, told.WildcardSubscriptionAvailable,
                told.SharedSubscriptionAvailable, told.SubscriptionIdentifierAvailable) == (1, 0, 0, 0, 0)
        for topic, code in (("a/b", 0), ("a/#", 0xA2), ("$share/g/a", 0x9E)):
            client.subscribe(topic)
            assert codes.get(timeout=10) == code, topic
        client.publish("a", "x", retain=True)
        assert codes.get(timeout=10) == 0x9A
    finally:
        client.loop_stop()


def test_a_removed_listener_tells_its_clients_why(tundish):
    port = listener(tundish, "l")
    running(tundish, "l")
    told = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="v5", protocol=mqtt.MQTTv5)
    client.on_connect = lambda *_: told.put("connected")
    client.on_disconnect = lambda _client, _data, _flags, reason, _properties: told.put(reason.value)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert told.get(timeout=10) == "connected"
        assert tundish.rest("DELETE", "/api/v1/listeners/l").status == 204
        assert told.get(timeout=10) == 0x98
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
    finally:
        client.loop_stop()
