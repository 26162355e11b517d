"""Rows per second from messages through a rule into PostgreSQL, into a table with an index on (tag, time), beside the
rate of bare binary COPY into such a table.

    python3 Tests/Load/postgres_rows.py --binary .build/release/tundish --rate 100000 --seconds 60

Starts its own PostgreSQL and Tundish on loopback, sends for that long, and ends both. With --outage the database is
killed for that many seconds in the middle, and Tundish is killed while it replays.
"""

import argparse
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Integration"))

TAGS = 1000


def publish_packets(first, count):
    """QoS 0 PUBLISH packets of MQTT 3.1.1, one row each."""
    topic = b"plant/line/data"
    head = struct.pack(">H", len(topic)) + topic
    parts = []
    for number in range(first, first + count):
        payload = b'{"n":%d,"tag":"t%d","ts":%d,"value":%d.5}' % (
            number, number % TAGS, 1_767_225_600_000 + number // 100, number % 997)
        length = len(head) + len(payload)
        assert length < 16_384
        size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
        parts.append(b"\x30" + size + head + payload)
    return b"".join(parts)


def connect(port):
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(bytes([0x10, 14 + 3]) + b"\x00\x04MQTT\x04\x02\x00\x00" + b"\x00\x05loadN"[:7])
    assert line.recv(4)[3] == 0, "the broker refused"
    return line


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=".build/release/tundish")
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--outage", type=int, default=0)
    options = parser.parse_args()
    os.environ["TUNDISH_BINARY"] = str(pathlib.Path(options.binary).resolve())
    from conftest import Tundish, eventually
    from postgres_server import Postgres

    folder = pathlib.Path(tempfile.mkdtemp(prefix="tundish-rows-"))
    postgres = Postgres().start("shared_buffers=512MB", "max_wal_size=4GB")
    node = Tundish(folder).start()
    try:
        table = "(n bigint, tag text, ts timestamptz, value double precision)"
        postgres.query(f"CREATE TABLE rows {table}; CREATE INDEX ON rows (tag, ts)")
        node.apply(f"""
kind: Sink
name: rows
spec:
  type: postgres
  connection: {{ url: "{postgres.url}" }}
  table: rows
  columns: {{ n: "${{n}}", tag: "${{tag}}", ts: "${{ts}}", value: "${{value}}" }}
  lanes: {{ lanes: {options.lanes}, key: tag }}
  retry: {{ first: 200ms, longest: 2s }}
---
kind: Rule
name: rows
spec:
  sql: SELECT n, tag, ts, value FROM "plant/line/data"
  outputs: [ {{ sink: rows }} ]
""")
        eventually(lambda: node.get("/api/v1/rules/rows")["status"]["state"] == "running", what="the rule runs")
        eventually(lambda: node.get("/api/v1/sinks/rows")["status"]["state"] == "running", what="the sink runs")
        pace = 2000
        sent = 0
        begin = time.monotonic()
        windows = []
        written, mark, used = 0, begin, cpu(node.process.pid)
        line = connect(node.mqtt_port)
        outage, killed = None, False
        while time.monotonic() - begin < options.seconds:
            line.sendall(publish_packets(sent, pace))
            sent += pace
            ahead = begin + sent / options.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            now = time.monotonic()
            if options.outage and outage is None and now - begin > options.seconds / 3:
                postgres.kill()
                outage = threading.Timer(options.outage, postgres.start, ["shared_buffers=512MB", "max_wal_size=4GB"])
                outage.start()
            if now - mark >= 10:
                figures = node.get("/api/v1/sinks/rows/metrics")
                spent = cpu(node.process.pid)
                windows.append((figures["written"] - written) / (now - mark))
                print(f"{now - begin:6.0f} s  {windows[-1]:9,.0f} rows/s written, {sent / (now - begin):9,.0f} sent, "
                      f"{figures['queued']:9,} wait, oldest {figures.get('oldestSeconds', 0):.2f} s, "
                      f"{(spent - used) / (now - mark):.2f} cores", flush=True)
                written, mark, used = figures["written"], now, spent
            if outage and not killed and not outage.is_alive() and now - begin > options.seconds / 3 + options.outage + 5:
                # Killed in the middle of the replay. What was sent is given time to be journaled: messages of QoS 0
                # that are still on their way are nobody's promise.
                time.sleep(1)
                print(f"killed with {node.get('/api/v1/sinks/rows/metrics')['queued']:,} rows waiting", flush=True)
                node.kill()
                node.start()
                eventually(lambda: node.get("/api/v1/rules/rows")["status"]["state"] == "running", what="the rule runs")
                killed = True
                line = connect(node.mqtt_port)
                written, mark, used = 0, time.monotonic(), cpu(node.process.pid)
        line.close()
        eventually(lambda: node.get("/api/v1/sinks/rows/metrics")["queued"] == 0, 300, "nothing waits")
        figures = node.get("/api/v1/sinks/rows/metrics")
        count, distinct = postgres.query("SELECT count(*), count(DISTINCT n) FROM rows").split("|")
        print(f"sent {sent:,}; in the table {int(count):,}, of them different {int(distinct):,}")
        print("sink:", figures)
        if windows and not options.outage:
            print(f"least rows/s in a window of 10 s: {min(windows):,.0f}")
        # Bare: the same rows, from a file that the server wrote itself.
        postgres.query("COPY (SELECT * FROM rows LIMIT 2000000) TO '%s' (FORMAT BINARY)" % (postgres.folder / "bare"))
        for index in ("", "; CREATE INDEX ON bare (tag, ts)"):
            postgres.query(f"DROP TABLE IF EXISTS bare; CREATE TABLE bare {table}{index}")
            start = time.monotonic()
            postgres.query("COPY bare FROM '%s' (FORMAT BINARY)" % (postgres.folder / "bare"))
            bare = min(2_000_000, int(count)) / (time.monotonic() - start)
            print(f"bare binary COPY {'with the index' if index else 'without an index'}: {bare:,.0f} rows/s")
    finally:
        node.stop()
        postgres.remove()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


if __name__ == "__main__":
    main()
