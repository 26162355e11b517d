"""kill -9 at random moments: what was acknowledged is there afterwards."""

import json
import random
import threading

from conftest import Tundish, eventually

KILLS = 20


def rule(number):
    return (f"kind: Rule\nname: rule-{number % 7}\nspec:\n  sql: SELECT {number} AS n FROM \"crash/none\"\n"
            "  outputs: [ { publish: { topic: crash/out } } ]\n")


def test_every_acknowledged_change_and_point_survives_twenty_kills(tmp_path):
    """A thread changes resources and writes points through REST; each answer goes into the book; then the process dies."""
    random.seed(20260101)
    node = Tundish(tmp_path).start()
    changes, points, counter = {}, {}, 0
    for _ in range(KILLS):
        stop = threading.Event()
        lock = threading.Lock()

        def work():
            nonlocal counter
            while not stop.is_set():
                counter += 1
                number = counter
                try:
                    if node.rest("POST", "/api/v1/apply", rule(number), content_type="application/yaml", timeout=5).status == 200:
                        with lock:
                            changes[number % 7] = number
                    body = {"points": [{"tag": "crash/log/n", "time": 1_700_000_000_000 + number, "value": number}]}
                    if node.rest("POST", "/api/v1/points", body, timeout=5).status == 200:
                        with lock:
                            points[1_700_000_000_000 + number] = number
                except OSError:
                    return

        worker = threading.Thread(target=work)
        worker.start()
        stop.wait(random.uniform(0.05, 0.6))
        node.kill()
        stop.set()
        worker.join(20)
        node.start()
    try:
        for key, number in changes.items():
            seen = int(node.get(f"/api/v1/rules/rule-{key}")["spec"]["sql"].split()[1])
            # A change whose answer the kill swallowed may stand as well; an acknowledged one never goes back.
            assert seen >= number, f"rule-{key}: acknowledged {number}, found {seen}"
        answer = node.rest("POST", "/api/v1/query", {
            "tags": ["crash/log/n"], "from": 1_700_000_000_000, "to": 1_700_100_000_000, "limit": 100000})
        assert answer.status == 200, answer.body
        stored = {row[0]: row[1] for row in answer.json["series"][0]["rows"]}
        missing = {time: value for time, value in points.items() if stored.get(time) != value}
        assert not missing, f"{len(missing)} of {len(points)} acknowledged points are missing"
        assert len(points) > KILLS and len(changes) == 7
        times = [row[0] for row in answer.json["series"][0]["rows"]]
        assert len(times) == len(set(times)), "points came back twice"
    finally:
        node.stop()


def test_recorded_samples_of_a_device_come_back_after_a_kill(tmp_path):
    node = Tundish(tmp_path).start()
    simulator = None
    try:
        from conftest import BINARY, Peer, free_port_range

        port = free_port_range(6)
        simulator = Peer(str(BINARY), "simulate", "--port", str(port), "--seed", "3")
        node.apply(json.dumps({"kind": "Device", "name": "sim", "spec": {
            "driver": "modbus_tcp", "connection": {"host": "127.0.0.1", "port": port}, "groups": [
                {"name": "g", "interval": "100ms", "tags": [{"name": "t", "address": "1!400001", "type": "uint16"}]}]}}))

        def rows():
            answer = node.rest("POST", "/api/v1/query", {"tags": ["sim/g/t"], "last": "1h", "limit": 100000})
            return answer.json["series"][0]["rows"] if answer.status == 200 else []

        before = eventually(lambda: (lambda found: found if len(found) > 20 else None)(rows()))
        node.kill()
        node.start()
        after = {row[0]: row[1] for row in rows()}
        assert all(after.get(row[0]) == row[1] for row in before)
    finally:
        node.stop()
        if simulator:
            simulator.stop()
