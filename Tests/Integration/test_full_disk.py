"""A disk that is full: what cannot be kept is refused in one sentence, the rest goes on, and all comes back by itself."""

import json
import os
import pathlib
import re
import secrets
import subprocess

import pytest

from conftest import BINARY, Peer, Tundish, eventually, free_port_range

SIZE = "24m"
# `unshare` becomes the shell, and the shell becomes the server: the process that is started is the server.
MOUNT = ["sh", "-c", f'mount -t tmpfs -o size={SIZE} tmpfs "$0" && exec "$@"']


def namespace():
    """A command that gives a process mounts of its own; skips where this user may not."""
    for flags in (["-m"], ["-Urm"]):
        try:
            tried = subprocess.run(["unshare", *flags, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"],
                                   capture_output=True, text=True, timeout=20)
        except FileNotFoundError:
            pytest.skip("there is no `unshare` (Debian: util-linux) to mount a small disk with")
        if tried.returncode == 0:
            return ["unshare", *flags]
    pytest.skip(f"this user may mount no small disk, neither directly nor in a user namespace: {tried.stderr.strip()}")


class SmallDisk(Tundish):
    """A server whose data directory is a file system of 24 MiB, which only it sees."""

    def __init__(self, folder):
        super().__init__(folder)
        self.data.mkdir()
        self.wrapper = [*namespace(), *MOUNT, str(self.data)]

    def file(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.data}") / name

    def fill(self):
        """Takes all the space there is, to the last block."""
        with open(self.file("filler"), "ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    pass

    def free(self):
        os.unlink(self.file("filler"))


@pytest.fixture
def node(tmp_path):
    node = SmallDisk(tmp_path).start()
    yield node
    if node.process.poll() is None:
        node.stop()


@pytest.fixture
def plant():
    port = free_port_range(6)
    peer = Peer(str(BINARY), "simulate", "--port", str(port), "--seed", "5")
    yield port
    peer.stop()


def rule(number):
    """A document that does not become small when it is stored."""
    return (f"kind: Rule\nname: rule-{number}\ndescription: {secrets.token_hex(2000)}\n"
            f"spec:\n  sql: SELECT {number} AS n FROM \"none\"\n  outputs: [ {{ publish: {{ topic: out }} }} ]\n")


def metric(node, name):
    text = node.rest("GET", "/metrics", token=False).body.decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.M))


def newest(node):
    answer = node.rest("POST", "/api/v1/query", {"tags": ["sim/g/a"], "last": "1h", "limit": 100000})
    rows = answer.json["series"][0]["rows"] if answer.status == 200 else []
    return rows[-1][0] if rows else 0


def polled(node):
    return node.tags("sim")["a"]["timestamp"]


def test_a_full_disk_is_refused_told_counted_and_got_over(node, plant):
    node.apply(json.dumps({"kind": "Device", "name": "sim", "spec": {
        "driver": "modbus_tcp", "connection": {"host": "127.0.0.1", "port": plant}, "groups": [
            {"name": "g", "interval": "50ms", "tags": [{"name": "a", "address": "1!400001", "type": "uint16"}]}]}}))
    eventually(lambda: newest(node), what="recorded points")
    node.apply(rule(0))

    node.fill()
    # What is allocated already may take a few changes more.
    refused = eventually(lambda: (lambda a: a if a.status != 200 else None)(
        node.rest("POST", "/api/v1/apply", rule(1) + "---\n" + rule(2), content_type="application/yaml")), 60, "a refusal")
    problem = refused.json
    assert refused.status in (500, 503, 507) and problem["code"] == "store.full", problem
    assert "the disk is full" in problem["detail"] and "\n" not in problem["detail"], problem
    assert "resources.sqlite" in problem["detail"]
    (node.folder / "more.yaml").write_text(rule(3))
    done = node.cli("apply", "-f", "more.yaml", expected=1)
    assert len(done.stderr.strip().splitlines()) == 1 and "the disk is full" in done.stderr, done.stderr
    eventually(lambda: metric(node, "tundish_historian_points_refused_total") > 0, what="refused points in the count")

    seen = polled(node)
    eventually(lambda: polled(node) > seen, what="polling that goes on")
    text = secrets.token_hex(8)
    listener = subprocess.Popen(["mosquitto_sub", "-p", str(node.mqtt_port), "-t", "full/test", "-C", "1", "-W", "30"],
                                stdout=subprocess.PIPE, text=True)
    eventually(lambda: subprocess.run(["mosquitto_pub", "-p", str(node.mqtt_port), "-t", "full/test", "-m", text], timeout=10)
               .returncode == 0 and listener.poll() is not None, what="a message that gets through")
    assert listener.communicate()[0].strip() == text
    assert node.rest("GET", "/healthz", token=False).status == 200
    assert node.get("/api/v1/rules/rule-0")["spec"]["sql"].startswith("SELECT 0"), "reading goes on"

    node.free()
    eventually(lambda: node.rest("POST", "/api/v1/apply", rule(4), content_type="application/yaml").status == 200,
               what="a change that is taken again")
    before = polled(node)
    eventually(lambda: newest(node) >= before, 30, "points that are recorded again")
    count = metric(node, "tundish_historian_points_refused_total")
    later = polled(node)
    eventually(lambda: newest(node) > later, 30, "points that go on being recorded")
    assert metric(node, "tundish_historian_points_refused_total") == count
    names = {item["name"] for item in node.get("/api/v1/rules")["items"]}
    assert "rule-4" in names and "rule-3" not in names
    assert node.stop() == 0, "it has run through all of this without a restart"
