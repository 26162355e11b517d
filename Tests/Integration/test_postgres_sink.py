"""Rows from rules into PostgreSQL 15: every row, once, in order, whatever is killed meanwhile."""

import json
import socket
import threading

import pytest

from conftest import Tundish, eventually
from postgres_server import Postgres
from test_mqtt_peers import Client


@pytest.fixture(scope="module")
def postgres():
    server = Postgres().start()
    yield server
    server.remove()


@pytest.fixture
def client(tundish):
    made = Client(tundish.mqtt_port)
    yield made
    made.close()


def sink(postgres, name, table, columns="ts: \"${timestamp}\", device: \"${device}\", value: \"${value}\"", more=""):
    return f"""
kind: Sink
name: {name}
spec:
  type: postgres
  connection: {{ url: "{postgres.url}" }}
  table: {table}
  columns: {{ {columns} }}
  retry: {{ first: 100ms, longest: 1s }}
{more}
---
kind: Rule
name: into-{name}
spec:
  sql: SELECT timestamp, device, value FROM "{name}/in"
  outputs: [ {{ sink: {name} }} ]
"""


def state(node, name):
    return node.get(f"/api/v1/sinks/{name}")["status"]


def wait_for(node, name, wanted="running", code=None):
    def reached():
        status = state(node, name)
        rule = node.rest("GET", f"/api/v1/rules/into-{name}")
        if rule.status == 200 and rule.json["status"]["state"] != "running":
            return None
        return status["state"] == wanted and (code is None or status.get("code") == code) and status
    return eventually(reached, 30, f"sink {name} {wanted} {code or ''}")


def metric(node, name, sink):
    for line in node.rest("GET", "/metrics").body.decode().splitlines():
        if line.startswith(f"tundish_sink_{name}{{") and f'sink="{sink}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return None


def publish(client, name, numbers, value=lambda n: n * 0.5, device="press-1"):
    for number in numbers:
        client.publish(f"{name}/in", json.dumps(
            {"timestamp": 1_767_225_600_000 + number, "device": device, "value": value(number)}), 1)


def test_rows_arrive_in_a_table_that_is_made(tundish, client, postgres):
    tundish.apply(sink(postgres, "made", "made_table", more="""
  createTable: true
  types: { ts: timestamp, device: string, value: float64 }
"""))
    wait_for(tundish, "made")
    publish(client, "made", range(100))
    eventually(lambda: postgres.query("SELECT count(*) FROM made_table") == "100", what="100 rows")
    assert postgres.query("SELECT ts AT TIME ZONE 'UTC', device, value FROM made_table ORDER BY ts LIMIT 1") \
        == "2026-01-01 00:00:00|press-1|0"
    eventually(lambda: metric(tundish, "rows_written_total", "made") == 100)
    assert metric(tundish, "rows_queued", "made") == 0


def test_refused_rows_are_set_apart_and_the_rest_goes_through(tundish, client, postgres):
    postgres.query("CREATE TABLE strict (ts timestamptz, device text, value real CHECK (value < 1000))")
    tundish.apply(sink(postgres, "strict", "strict", more="  batch: { rowsMax: 5000, delayMax: 300ms }"))
    wait_for(tundish, "strict")
    # One is no number, one breaks the table's own rule.
    publish(client, "strict", range(500), lambda n: "broken" if n == 77 else 5000 if n == 300 else n)
    eventually(lambda: postgres.query("SELECT count(*) FROM strict") == "498", what="498 rows")
    eventually(lambda: metric(tundish, "rows_set_apart_total", "strict") == 2)
    rows = tundish.get("/api/v1/sinks/strict/refused")["items"]
    by_code = {row["code"]: row for row in rows}
    assert by_code["22000"]["reason"] == 'column "value": "broken" is not a number'
    assert "strict_value_check" in by_code["23514"]["reason"]
    assert json.loads(by_code["23514"]["row"])["value"] == 5000
    assert postgres.query("SELECT string_agg(value::text, ',' ORDER BY ts) = (SELECT string_agg(n::text, ',' ORDER BY n) "
                          "FROM generate_series(0, 499) n WHERE n NOT IN (77, 300)) FROM strict") == "t"


def test_an_upsert_replaces_rows_of_the_same_key(tundish, client, postgres):
    tundish.apply(sink(postgres, "latest", "latest", more="""
  createTable: true
  upsert: [device]
  types: { ts: timestamp, device: string, value: float64 }
"""))
    wait_for(tundish, "latest")
    for number in range(50):
        publish(client, "latest", [number], device=f"d{number % 3}")
    eventually(lambda: postgres.query("SELECT string_agg(device || '=' || value, ' ' ORDER BY device) FROM latest")
               == "d0=24 d1=24.5 d2=23.5", what="the newest value of each device")


def test_what_a_person_must_mend_is_said(tundish, postgres):
    postgres.query("CREATE TABLE clash (ts timestamptz, device text, value integer)")
    postgres.query("CREATE TABLE needy (ts timestamptz, device text, value real, line text NOT NULL)")
    tundish.apply(sink(postgres, "nowhere", "no_such_table"))
    tundish.apply(sink(postgres, "clash", "clash", more="  types: { value: float64 }"))
    tundish.apply(sink(postgres, "needy", "needy"))
    tundish.apply(sink(postgres, "missing", "clash", columns='speed: "${value}"'))
    assert "there is no table no_such_table" in wait_for(tundish, "nowhere", "failed", "postgres.table_missing")["message"]
    assert 'column "value" of clash is integer, which does not take every float64' \
        in wait_for(tundish, "clash", "failed", "postgres.type_clash")["message"]
    assert 'column "line" of needy must not be null' \
        in wait_for(tundish, "needy", "failed", "postgres.column_not_filled")["message"]
    assert 'has no column "speed"; it has ts, device, value' \
        in wait_for(tundish, "missing", "failed", "postgres.column_missing")["message"]


def test_a_wrong_password_is_said_and_rows_wait_for_the_right_one(tundish, client, postgres):
    postgres.query("CREATE ROLE plant LOGIN PASSWORD 'right'")
    postgres.query("CREATE DATABASE guarded OWNER plant")
    text = sink(postgres, "guarded", "guarded", more="  createTable: true").replace(
        f'url: "{postgres.url}"', f'url: "postgres://plant@127.0.0.1:{postgres.port}/guarded", password: {{ secret: pg }}')
    tundish.apply("kind: Secret\nname: pg\nspec: { value: wrong }\n---" + text)
    status = wait_for(tundish, "guarded", "failed", "postgres.refused")
    assert "password authentication failed" in status["message"]
    publish(client, "guarded", range(10))
    tundish.apply("kind: Secret\nname: pg\nspec: { value: right }\n")
    eventually(lambda: postgres.query("SELECT count(*) FROM guarded", "guarded") == "10", 30, "rows after the password was mended")
    wait_for(tundish, "guarded")


def test_the_spec_is_checked_where_it_stands(tundish, postgres):
    bad = sink(postgres, "bad", "t").replace("postgres@127", "postgres:geheim@127")
    answer = tundish.rest("POST", "/api/v1/apply", bad, content_type="application/yaml")
    assert answer.status == 422
    assert "geheim" not in answer.body.decode() and "password" in answer.body.decode(), answer.body
    for change, message in (("  upsert: [nothing]", "upsert names"), ("  lanes: { lanes: 65 }", "64 lanes at most"),
                            ("  types: { other: string }", "types names the column"), ("  tabel: x", "tabel")):
        answer = tundish.rest("POST", "/api/v1/apply", sink(postgres, "bad", "t", more=change), content_type="application/yaml")
        assert answer.status == 422 and message in answer.body.decode(), answer.body
    # A rule cannot name a sink that is not there.
    answer = tundish.rest("POST", "/api/v1/apply", sink(postgres, "bad", "t").split("---")[1], content_type="application/yaml")
    assert answer.status == 422 and "bad" in answer.body.decode()


def test_a_database_that_takes_nothing_for_the_moment_is_waited_for(tundish, client, postgres):
    postgres.query("CREATE TABLE frozen (ts timestamptz, device text, value real)")
    tundish.apply(sink(postgres, "frozen", "frozen"))
    wait_for(tundish, "frozen")
    publish(client, "frozen", range(5))
    eventually(lambda: postgres.query("SELECT count(*) FROM frozen") == "5", what="5 rows")
    postgres.query("ALTER SYSTEM SET default_transaction_read_only = on")
    postgres.query("SELECT pg_reload_conf()")
    publish(client, "frozen", range(5, 10))
    status = wait_for(tundish, "frozen", "degraded", "postgres.25006")
    assert "read-only transaction" in status["message"]
    postgres.query("ALTER SYSTEM RESET default_transaction_read_only")
    postgres.query("SELECT pg_reload_conf()")
    eventually(lambda: postgres.query("SELECT count(*) FROM frozen") == "10", 30, "the rows that waited")
    wait_for(tundish, "frozen")
    figures = tundish.get("/api/v1/sinks/frozen/metrics")
    assert (figures["written"], figures["queued"], figures["setApart"]) == (10, 0, 0) and figures["retries"] > 0


class Hole:
    """Passes bytes on to a server, or swallows them and says nothing, as a network that has died."""

    def __init__(self, port):
        self.target, self.is_open, self.lines = port, False, []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                line, _ = self.door.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.lines += [line, server]
            for source, sink in ((line, server), (server, line)):
                threading.Thread(target=self.pass_on, args=(source, sink), daemon=True).start()

    def pass_on(self, source, sink):
        try:
            while data := source.recv(65536):
                if not self.is_open:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.door.close()
        for line in self.lines:
            line.close()


def test_a_network_that_swallows_everything_is_given_up_and_tried_again(tundish, client, postgres):
    hole = Hole(postgres.port)
    try:
        postgres.query("CREATE TABLE swallowed (ts timestamptz, device text, value real)")
        tundish.apply(sink(postgres, "swallowed", "swallowed").replace(str(postgres.port), str(hole.port)).replace(
            "connection: { url:", "connection: { writeTimeout: 1s, timeout: 2s, url:"))
        wait_for(tundish, "swallowed")
        publish(client, "swallowed", range(10))
        eventually(lambda: postgres.query("SELECT count(*) FROM swallowed") == "10", what="10 rows")
        hole.is_open = True
        publish(client, "swallowed", range(10, 20))
        status = wait_for(tundish, "swallowed", "degraded")
        assert status["code"] in ("postgres.connection_lost", "postgres.unreachable"), status
        assert metric(tundish, "rows_queued", "swallowed") == 10
        hole.is_open = False
        eventually(lambda: postgres.query("SELECT count(*) FROM swallowed") == "20", 30, "the rows that waited")
        wait_for(tundish, "swallowed")
    finally:
        hole.close()


def test_lanes_and_settings_change_without_a_row_lost_or_doubled(tundish, client, postgres):
    postgres.query("CREATE TABLE moving (ts timestamptz, device text, value real)")
    for lanes in (1, 3, 5, 2):
        tundish.apply(sink(postgres, "moving", "moving", more=f"  lanes: {{ lanes: {lanes} }}"))
        if lanes == 1:
            wait_for(tundish, "moving")
        for number in range(100):
            publish(client, "moving", [lanes * 1000 + number], device=f"d{number % 7}")
    eventually(lambda: metric(tundish, "rows_offered_total", "moving") == 400, what="400 rows offered")
    eventually(lambda: postgres.query("SELECT count(*), count(DISTINCT ts) FROM moving") == "400|400", 30, "400 rows")
    tundish.apply(sink(postgres, "moving", "moving", more="  enabled: false"))
    wait_for(tundish, "moving", "stopped")
    publish(client, "moving", range(50))
    eventually(lambda: metric(tundish, "rows_offered_total", "moving") == 450, what="rows wait while it is off")
    assert postgres.query("SELECT count(*) FROM moving") == "400"
    tundish.apply(sink(postgres, "moving", "moving", more="  enabled: true"))
    eventually(lambda: postgres.query("SELECT count(*), count(DISTINCT ts) FROM moving") == "450|450", 30, "450 rows")


def test_a_sink_that_is_removed_takes_its_buffer_along(tundish, client, postgres):
    tundish.apply(sink(postgres, "gone", "no_such_table"))
    wait_for(tundish, "gone", "failed")
    publish(client, "gone", range(10))
    eventually(lambda: metric(tundish, "rows_queued", "gone") == 10, what="rows wait")
    assert tundish.rest("DELETE", "/api/v1/sinks/gone").status == 409, "a rule needs it"
    assert tundish.rest("DELETE", "/api/v1/rules/into-gone").status in (200, 204)
    assert tundish.rest("DELETE", "/api/v1/sinks/gone").status in (200, 204)
    eventually(lambda: not [p for p in tundish.file("sinks").rglob("*") if p.is_file()], what="the buffer is gone")


def test_nothing_is_lost_or_doubled_when_database_and_server_are_killed(tmp_path):
    postgres = Postgres().start()
    node = Tundish(tmp_path).start()
    try:
        postgres.query("CREATE TABLE ledger (number bigint, device text, place bigserial)")
        node.apply(f"""
kind: Sink
name: ledger
spec:
  type: postgres
  connection: {{ url: "{postgres.url}" }}
  table: ledger
  columns: {{ number: "${{n}}", device: "${{device}}" }}
  lanes: {{ lanes: 4 }}
  batch: {{ rowsMax: 50, delayMax: 20ms }}
  retry: {{ first: 50ms, longest: 500ms }}
---
kind: Rule
name: ledger
spec:
  sql: SELECT n, device FROM "ledger/in"
  outputs: [ {{ sink: ledger }} ]
""")
        wait_for(node, "ledger")
        sent = 0

        def send(count):
            nonlocal sent
            client = Client(node.mqtt_port)
            for number in range(sent, sent + count):
                client.publish("ledger/in", json.dumps({"n": number, "device": f"d{number % 16}"}), 1)
            sent += count
            client.close()
            # Acknowledged is not yet journaled: what a rule makes of it is a moment later.
            eventually(lambda: metric(node, "rows_offered_total", "ledger") >= count, what="rows offered")

        for round_number in range(4):
            send(1000)
            postgres.kill()
            send(1000)
            eventually(lambda: (metric(node, "rows_queued", "ledger") or 0) >= 1000, what="rows wait")
            eventually(lambda: state(node, "ledger")["state"] == "degraded", what="the loss is noticed")
            postgres.start()
            # In the middle of the replay.
            eventually(lambda: int(postgres.query("SELECT count(*) FROM ledger")) > sent - 900, 30, "replay begins")
            node.kill()
            node.start()
        eventually(lambda: postgres.query("SELECT count(DISTINCT number) FROM ledger") == str(sent), 60, "every row")
        assert postgres.query("SELECT count(*) FROM ledger") == str(sent)
        eventually(lambda: metric(node, "rows_queued", "ledger") == 0, what="nothing waits")
        # Rows of one device were inserted in their order.
        assert postgres.query("SELECT count(*) FROM (SELECT number - lag(number) OVER (PARTITION BY device ORDER BY place) "
                              "AS step FROM ledger) s WHERE step < 0") == "0"
    finally:
        node.stop()
        postgres.remove()
