#!/usr/bin/env python3
"""Opens many connections that never finish their CONNECT, and measures what an ordinary client notices.

    half_open.py --binary .build/release/tundish --count 100000

A third of them send nothing, a third one byte, a third half a CONNECT. Prints the latency of a client that was there
before, how long new clients take to connect, the server's memory for each of them, and what became of them in the end.
"""

import argparse
import os
import pathlib
import re
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# One address has some 28,000 ports to connect from.
PER_ADDRESS = 25_000
HALF = b"\x10\x20\x00\x04MQTT\x05\x02"
TIMEOUT = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def text(value):
    return len(value).to_bytes(2, "big") + value


def connect_packet(name):
    body = text(b"MQTT") + b"\x04\x02\x00\x00" + text(name)
    return bytes([0x10, len(body)]) + body


def read_exactly(client, count):
    got = b""
    while len(got) < count:
        part = client.recv(count - len(got))
        if not part:
            raise ConnectionError("closed")
        got += part
    return got


class Probe:
    """A client that sends itself messages of QoS 0 and measures how long they take."""

    def __init__(self, port):
        self.client = socket.create_connection(("127.0.0.1", port), 10)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.sendall(connect_packet(b"probe"))
        assert read_exactly(self.client, 4) == b"\x20\x02\x00\x00"
        self.client.sendall(b"\x82\x08\x00\x01" + text(b"pro") + b"\x00")
        read_exactly(self.client, 5)

    def round(self):
        frame = b"\x30\x09" + text(b"pro") + b"ping"
        start = time.perf_counter()
        self.client.sendall(frame)
        assert read_exactly(self.client, len(frame)) == frame
        return time.perf_counter() - start

    def rounds(self, count):
        return sorted(self.round() for _ in range(count))


def new_client(port, number):
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(connect_packet(b"new-%d" % number))
        assert read_exactly(client, 4) == b"\x20\x02\x00\x00"
    return time.perf_counter() - start


def memory(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def shown(latencies):
    return (f"median {statistics.median(latencies) * 1e3:.2f} ms, p99 {latencies[int(len(latencies) * 0.99)] * 1e3:.2f} ms, "
            f"longest {latencies[-1] * 1e3:.1f} ms")


def open_files(wanted):
    """Raises the bound on open files, for the server too, as far as this user may; what it is then."""
    hardest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hardest),) * 2)
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hardest,) * 2)
        if hardest < wanted:
            print(f"this user may open {hardest} files only")
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / ".build" / "release" / "tundish")
    parser.add_argument("--count", type=int, default=100_000)
    arguments = parser.parse_args()
    arguments.count = min(arguments.count, open_files(arguments.count + 1000) - 1000)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tundish-half-open-"))
    port, console = free_port(), free_port()
    (folder / "listener.yaml").write_text(
        f"kind: Listener\nname: many\nspec:\n  protocol: mqtt\n  bind: 127.0.0.1:{port}\n  allowAnonymous: true\n"
        f"  limits: {{ halfOpenMax: {arguments.count + 100}, connectionsMax: {arguments.count + 1000}, "
        f"connectTimeout: {TIMEOUT}s }}\n")
    process = subprocess.Popen(
        [str(arguments.binary), "serve", "--data-dir", str(folder / "data"), "--mqtt", f"127.0.0.1:{free_port()}",
         "--console", f"127.0.0.1:{console}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    held = []
    try:
        measure(arguments, folder, process, port, console, held)
    finally:
        for client in held:
            client.close()
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def measure(arguments, folder, process, port, console, held):
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", console), 1).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    token = (folder / "data" / "admin.token").read_text().strip()
    subprocess.run([str(arguments.binary), "apply", "-f", str(folder / "listener.yaml")], check=True,
                   stdout=subprocess.DEVNULL,
                   env={**os.environ, "TUNDISH_SERVER": f"http://127.0.0.1:{console}", "TUNDISH_TOKEN": token})

    def closed():
        request = urllib.request.Request(f"http://127.0.0.1:{console}/metrics", headers={"Authorization": f"Bearer {token}"})
        found = {}
        for line in urllib.request.urlopen(request, timeout=30).read().decode().splitlines():
            match = re.match(r'tundish_listener_closed_total\{.*cause="(\w+)".*listener="many".*\} (\S+)', line) or re.match(
                r'tundish_listener_closed_total\{.*listener="many".*cause="(\w+)".*\} (\S+)', line)
            if match and float(match[2]):
                found[match[1]] = int(float(match[2]))
        return found

    deadline = time.monotonic() + 30
    while True:
        try:
            probe = Probe(port)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    print(f"before:             {shown(probe.rounds(2000))}")
    before = memory(process)
    began = time.monotonic()
    while_opening = []
    for number in range(arguments.count):
        client = socket.socket()
        client.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
        client.connect(("127.0.0.1", port))
        if number % 3:
            client.sendall(HALF[:1] if number % 3 == 1 else HALF)
        client.setblocking(False)
        held.append(client)
        if number % 50 == 0:
            while_opening.append(probe.round())
    opened = time.monotonic() - began
    print(f"while they open:    {shown(sorted(while_opening))}; {arguments.count} in {opened:.1f} s")
    print(f"while they are open: {shown(probe.rounds(2000))}")
    print(f"new clients connect: {shown(sorted(new_client(port, number) for number in range(200)))}")
    print(f"memory of each:     {(memory(process) - before) / arguments.count / 1024:.2f} KB")
    poll = select.epoll()
    waiting = {}
    for client in held:
        poll.register(client.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
        waiting[client.fileno()] = client
    while_closing = []
    deadline = time.monotonic() + TIMEOUT * 2 + opened
    while waiting and time.monotonic() < deadline:
        for descriptor, _ in poll.poll(0.1, 4096):
            poll.unregister(descriptor)
            waiting.pop(descriptor)
        while_closing.append(probe.round())
    print(f"while they close:   {shown(sorted(while_closing))}; {len(waiting)} left after "
          f"{time.monotonic() - began:.0f} s")
    print(f"closed by cause:    {closed()}")
    if waiting:
        sys.exit(1)


if __name__ == "__main__":
    main()
