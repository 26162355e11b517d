"""Starting, stopping, watching; what goes wrong at 3 a.m. and what is said then."""

import json
import os
import re
import socket
import subprocess
import urllib.request

import pytest

from conftest import BINARY, Peer, Tundish, eventually, free_port, free_port_range


def run(folder, *arguments, timeout=60):
    return subprocess.run([str(BINARY), *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout)


def test_exit_codes_and_help(tmp_path):
    assert run(tmp_path, "--help").returncode == 0
    for verb in ("serve", "demo", "check", "schema", "plan", "apply", "get", "delete", "history", "rollback", "read", "write",
                 "pub", "sub", "query", "simulate", "bench", "rule"):
        done = run(tmp_path, verb, "--help")
        assert done.returncode == 0 and "USAGE" in done.stdout, verb
    assert run(tmp_path, "nonsense").returncode == 2
    assert run(tmp_path, "serve", "--nonsense").returncode == 2


def test_schemas_are_printed_for_editors_and_for_people(tmp_path):
    whole = json.loads(run(tmp_path, "schema").stdout)
    assert {one["title"] for one in whole["oneOf"]} >= {"Device", "Listener", "Rule", "Secret", "User"}
    device = json.loads(run(tmp_path, "schema", "devices").stdout)
    assert "groups" in device["properties"]["spec"]["properties"]
    page = run(tmp_path, "schema", "Device", "-o", "markdown").stdout
    assert page.startswith("## Device") and "| `interval` | duration, 10ms to " in page
    unknown = run(tmp_path, "schema", "devise")
    assert unknown.returncode == 1 and "Device" in unknown.stderr


def test_check_counts_in_words(tmp_path):
    (tmp_path / "one.yaml").write_text("kind: Rule\nname: r\nspec: { sql: 'SELECT 1 AS n FROM \"a\"', "
                                       "outputs: [ { publish: { topic: b } } ] }\n")
    assert run(tmp_path, "check", "one.yaml").stdout.strip() == "1 document in 1 file: all valid"


def test_a_port_in_use_is_one_clear_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, "serve", "--data-dir", "d", "--mqtt", f"127.0.0.1:{free_port()}", "--console", f"127.0.0.1:{port}")
    assert done.returncode == 1
    sentence = done.stderr.strip().splitlines()[-1]
    assert str(port) in sentence and "in use" in sentence


def test_a_listener_whose_port_is_in_use_fails_alone(shared_tundish):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shared_tundish.apply(f'kind: Listener\nname: second\nspec: {{ protocol: mqtt, bind: "127.0.0.1:{port}" }}\n')
        status = eventually(lambda: (lambda s: s if s["state"] == "failed" else None)(
            shared_tundish.get("/api/v1/listeners/second")["status"]))
        assert str(port) in status["message"] and "in use" in status["message"]
    eventually(lambda: shared_tundish.get("/api/v1/listeners/second")["status"]["state"] == "running", 60,
               "the listener running once the port is free")
    assert shared_tundish.rest("GET", "/readyz", token=False).status == 200


def test_a_data_directory_in_use_is_refused(shared_tundish):
    done = run(shared_tundish.folder, "serve", "--data-dir", str(shared_tundish.data), "--mqtt", f"127.0.0.1:{free_port()}",
               "--console", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1 and "data" in done.stderr


def test_an_unusable_data_directory_and_config_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    ports = ("--mqtt", f"127.0.0.1:{free_port()}", "--console", f"127.0.0.1:{free_port()}")
    done = run(tmp_path, "serve", "--data-dir", "file/below", *ports)
    assert done.returncode == 1 and "file/below" in done.stderr
    done = run(tmp_path, "serve", "--config", "absent.yaml", *ports)
    assert done.returncode == 1 and "absent.yaml" in done.stderr
    (tmp_path / "tundish.yaml").write_text("dataDirectry: x\n")
    done = run(tmp_path, "serve", "--config", "tundish.yaml", *ports)
    assert done.returncode == 1 and "tundish.yaml:1:1" in done.stderr and "dataDirectory" in done.stderr


def test_health_readiness_and_metrics(shared_tundish):
    assert shared_tundish.rest("GET", "/healthz", token=False).status == 200
    text = shared_tundish.rest("GET", "/metrics", token=False).body.decode()
    assert re.search(r"^# TYPE tundish_\w+ counter$", text, re.M)
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert all(re.fullmatch(r"tundish_[a-z0-9_]+", name) for name in names), names
    for part in ("broker", "gateway", "historian", "streams", "journal"):
        assert any(name.startswith(f"tundish_{part}") for name in names), part
    # A collector refuses a page on which a series stands twice, or a name is explained twice.
    series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if line and not line.startswith("#")]
    types = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    for seen in (series, types):
        assert len(seen) == len(set(seen)), sorted({name for name in seen if seen.count(name) > 1})


def test_the_openapi_document_describes_what_is_served(shared_tundish):
    document = shared_tundish.rest("GET", "/api/openapi.json", token=False).json
    assert document["openapi"].startswith("3.")
    for path in ("/api/v1/status", "/api/v1/tags", "/api/v1/write", "/api/v1/publish", "/api/v1/query", "/api/v1/clients",
                 "/api/v1/subscriptions", "/api/v1/apply", "/api/v1/devices/{name}"):
        assert path in document["paths"], path


def test_nothing_is_shown_without_authentication(shared_tundish):
    document = shared_tundish.rest("GET", "/api/openapi.json", token=False).json
    for path, operations in document["paths"].items():
        for method in operations:
            if not path.startswith("/api/v1/") or path.split("/")[3] in ("session", "setup", "login", "logout", "live"):
                continue
            answer = shared_tundish.rest(method.upper(), path.replace("{name}", "x").replace("{id}", "x").replace("{kind}", "Device"),
                                         body={} if method in ("post", "put") else None, token=False)
            assert answer.status == 401, (method, path, answer.status)
            assert answer.json["code"]
    assert shared_tundish.rest("GET", "/api/v1/status", token="wrong").status == 401


def test_the_first_start_prints_a_link_that_works_once(tmp_path):
    node = Tundish(tmp_path).start()
    try:
        link = eventually(lambda: re.search(r"http://\S*setup\?token=(\S+)", node.log_text()))
        body = {"token": link.group(1), "username": "chief", "password": "correct horse battery"}
        assert node.rest("POST", "/api/v1/setup", {**body, "token": "wrong"}, token=False).status in (401, 403)
        assert node.rest("POST", "/api/v1/setup", body, token=False).status in (200, 201, 204)
        assert node.rest("POST", "/api/v1/setup", body, token=False).status in (401, 403, 409, 410)
        assert node.rest("POST", "/api/v1/login", {"username": "chief", "password": "wrong password"}, token=False).status == 401
        login = node.rest("POST", "/api/v1/login", {"username": "chief", "password": "correct horse battery"}, token=False)
        assert login.status == 200
        cookie = login.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        seen = node.rest("GET", "/api/v1/status", token=False, headers={"Cookie": cookie.split(";")[0]})
        assert seen.status == 200
        for file in node.data.rglob("*"):
            if file.is_file():
                assert b"correct horse battery" not in file.read_bytes()
        assert (node.data / "admin.token").stat().st_mode & 0o777 == 0o600
    finally:
        node.stop()


def test_garbage_on_every_port_hurts_nobody(shared_tundish):
    for port in (shared_tundish.mqtt_port, shared_tundish.console_port):
        for garbage in (b"\0" * 100, b"\xff" * 5000, os.urandom(4096), b"GET / HTTP/9.9\r\n\r\n", b"\x10\xff\xff\xff\xff\xff"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.settimeout(5)
                try:
                    connection.sendall(garbage)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass
    assert shared_tundish.rest("GET", "/readyz", token=False).status == 200


@pytest.fixture
def plant():
    port = free_port_range(6)
    peer = Peer(str(BINARY), "simulate", "--port", str(port), "--seed", "5")
    eventually(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close() or True)
    yield peer, port
    peer.stop()


def device(port, interval="100ms"):
    return json.dumps({"kind": "Device", "name": "sim", "spec": {
        "driver": "modbus_tcp", "connection": {"host": "127.0.0.1", "port": port, "timeout": "500ms"}, "groups": [
            {"name": "g", "interval": interval, "tags": [
                {"name": "a", "address": "1!400001", "type": "uint16"}, {"name": "b", "address": "1!400002", "type": "uint16"}]}]}})


def test_a_changed_interval_takes_effect_without_a_reconnect(shared_tundish, plant):
    node, port = shared_tundish, plant[1]
    node.apply(device(port, "100ms"))
    eventually(lambda: node.tags("sim")["a"]["quality"] == "good")
    before = node.get("/api/v1/devices/sim/diagnostics")
    node.apply(device(port, "2s"))
    after = eventually(lambda: (lambda d: d if d["groups"][0]["intervalMilliseconds"] == 2000 else None)(
        node.get("/api/v1/devices/sim/diagnostics")))
    assert after["counters"]["reconnects"] == before["counters"]["reconnects"] and after["state"] == "connected"


def test_a_device_that_dies_says_so_and_comes_back(shared_tundish, plant):
    node, (peer, port) = shared_tundish, plant
    node.apply(device(port))
    eventually(lambda: node.tags("sim")["a"]["quality"] == "good")
    peer.stop()
    error = eventually(lambda: node.tags("sim")["a"].get("error"))
    assert error["code"] in ("device.unreachable", "device.timeout", "device.not_connected")
    again = Peer(str(BINARY), "simulate", "--port", str(port), "--seed", "5")
    try:
        eventually(lambda: node.tags("sim")["a"]["quality"] == "good", 30)
    finally:
        again.stop()


def test_the_group_message_has_the_promised_shape(shared_tundish, plant):
    node, port = shared_tundish, plant[1]
    node.apply(device(port))
    done = subprocess.run(["mosquitto_sub", "-p", str(node.mqtt_port), "-t", "tundish/sim/g", "-C", "1", "-W", "20"],
                          capture_output=True, text=True, timeout=30)
    message = json.loads(done.stdout)
    assert message["device"] == "sim" and message["group"] == "g"
    assert set(message["values"]) | set(message.get("errors", {})) == {"a", "b"}
    assert abs(message["timestamp"] / 1000 - __import__("time").time()) < 60


def test_sigterm_ends_cleanly(tmp_path):
    node = Tundish(tmp_path).start()
    assert node.stop() == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(node.url + "/healthz", timeout=2)
