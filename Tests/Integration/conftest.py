"""What the integration tests share: a Tundish of the build under test, ports, waiting with a deadline."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("TUNDISH_BINARY", ROOT / ".build" / "debug" / "tundish"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_port_range(count: int) -> int:
    """The first of `count` free ports that follow one another, as the simulated plant takes them."""
    for _ in range(200):
        base = free_port()
        if base + count > 65_535:
            continue
        held = []
        try:
            for port in range(base, base + count):
                probe = socket.socket()
                held.append(probe)
                probe.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for probe in held:
                probe.close()
    pytest.fail(f"there are no {count} free ports in a row")


def eventually(condition, seconds=20.0, what="the condition"):
    """Calls `condition` until it returns something true; its value. Fails with the last value or error after the deadline."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, OSError, KeyError, IndexError, urllib.error.URLError) as error:
            last = error
        time.sleep(0.05)
    pytest.fail(f"{what} did not come true within {seconds} s; last seen: {last!r}")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Tundish:
    """One `tundish serve` with its own data directory and ports."""

    def __init__(self, folder: pathlib.Path, verb=("serve",), arguments=(), environment=None):
        self.folder = folder
        self.data = folder / "data"
        self.mqtt_port = free_port()
        self.console_port = free_port()
        self.verb = verb
        self.arguments = list(arguments)
        self.environment = environment or {}
        # A command that runs the server, for instance in a namespace of its own.
        self.wrapper = []
        self.log = folder / "tundish.log"
        self.process = None

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, str(BINARY), *self.verb, "--data-dir", str(self.data), "--mqtt", f"127.0.0.1:{self.mqtt_port}",
                 "--console", f"127.0.0.1:{self.console_port}", *self.arguments],
                stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, env={**os.environ, **self.environment})
        if wait:
            eventually(self.is_ready, 60, f"readiness (log: {self.log_text()[-2000:]})")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            pytest.fail(f"tundish ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")
        with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
            return answer.status == 200

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                pytest.fail("tundish did not end within 20 s of SIGTERM")
        return self.process.returncode if self.process else None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.console_port}"

    def file(self, name):
        """A file of the data directory, as this process sees it."""
        return self.data / name

    @property
    def token(self):
        return self.file("admin.token").read_text().strip()

    def rest(self, method, path, body=None, token=True, headers=None, content_type="application/json", timeout=20):
        data = None
        if body is not None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", content_type)
        if token:
            request.add_header("Authorization", "Bearer " + (self.token if token is True else token))
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def get(self, path):
        answer = self.rest("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def apply(self, documents: str, expected=200):
        answer = self.rest("POST", "/api/v1/apply", documents, content_type="application/yaml")
        assert answer.status == expected, answer.body.decode()
        return answer.json

    def cli(self, *arguments, expected=0, stdin=None):
        done = subprocess.run(
            [str(BINARY), *arguments], capture_output=True, text=True, timeout=60, cwd=self.folder, input=stdin,
            env={**os.environ, "TUNDISH_SERVER": self.url, "TUNDISH_TOKEN": self.token})
        assert done.returncode == expected, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def tags(self, device, group=None):
        path = f"/api/v1/tags?device={device}&limit=1000" + (f"&group={group}" if group else "")
        return {item["tag"]: item for item in self.get(path)["items"]}


@pytest.fixture
def tundish(tmp_path):
    """A fresh server for one test."""
    node = Tundish(tmp_path).start()
    yield node
    if node.process.poll() is None:
        node.stop()


@pytest.fixture(scope="module")
def shared_tundish(tmp_path_factory):
    """One server for the tests of a file that do not disturb each other."""
    node = Tundish(tmp_path_factory.mktemp("tundish")).start()
    yield node
    if node.process.poll() is None:
        node.stop()


class Peer:
    """A foreign program that runs beside the tests."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
