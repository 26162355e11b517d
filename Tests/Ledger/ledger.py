#!/usr/bin/env python3
"""The ledger: kills a broker with SIGKILL at random moments under mixed load and keeps a book of what was acknowledged
to whom. Prints the book; ends with 1 if anything acknowledged is missing, doubled at QoS 2, or out of order.

    ledger.py --binary .build/release/tundish --kills 200
    ledger.py --binary .build/release/tundish --kills 40 --disk full

With `--disk` the disk goes bad under load. Every second time the broker is killed while it is; the other times the
disk heals, and the broker must go on by itself.
"""

import argparse
import asyncio
import collections
import logging
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mqtt import Client, Gone, Refused  # noqa: E402

SHORT_EXPIRY = 1
SLACK_SECONDS = 1.5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Entry:
    __slots__ = ("epoch", "acknowledged_at")

    def __init__(self, epoch):
        self.epoch, self.acknowledged_at = epoch, None


class Book:
    """What was sent and acknowledged, by topic and sequence number; and what each receiver got."""

    def __init__(self):
        self.epoch = 0
        self.sent = collections.defaultdict(dict)
        self.receipts = {}
        self.violations = []
        self.refused = 0
        self.notes = collections.Counter()

    def violation(self, kind, text):
        self.violations.append((self.epoch, kind, text))
        print(f"ledger: {kind}: {text}", file=sys.stderr, flush=True)

    def receiver(self, name, topics, qos):
        receipt = Receipt(self, name, topics, qos)
        self.receipts[name] = receipt
        return receipt


class Receipt:
    """What one subscriber, or one shared group, has received."""

    def __init__(self, book, name, topics, qos):
        self.book, self.name, self.topics, self.qos = book, name, topics, qos
        self.taken = collections.defaultdict(set)
        self.last = collections.defaultdict(lambda: -1)
        self.doubles = 0
        self.count = 0
        self.isOrdered = True

    def take(self, topic, payload, qos):
        sequence = int(payload.split(b" ", 1)[0])
        if sequence not in self.book.sent[topic]:
            self.book.violation("invented", f"{self.name} got {topic} {sequence}, which nobody sent")
            return
        self.count += 1
        if sequence in self.taken[topic]:
            self.doubles += 1
            if qos == 2:
                self.book.violation("doubled", f"{self.name} got {topic} {sequence} twice at QoS 2")
            return
        self.taken[topic].add(sequence)
        if self.isOrdered:
            if sequence < self.last[topic]:
                self.book.violation("order", f"{self.name} got {topic} {sequence} after {self.last[topic]}")
            self.last[topic] = max(self.last[topic], sequence)

    def missing(self):
        for topic in self.topics:
            for sequence, entry in self.book.sent[topic].items():
                if entry.acknowledged_at is not None and sequence not in self.taken[topic]:
                    yield topic, sequence, entry


class Broker:
    def __init__(self, binary, folder, arguments, hasFaults=False):
        self.binary, self.folder, self.arguments, self.hasFaults = binary, folder, arguments, hasFaults
        self.port, self.console = free_port(), free_port()
        self.log = folder / "tundish.log"
        self.disk = folder / "disk"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), "serve", "--data-dir", str(self.folder / "data"), "--mqtt", f"127.0.0.1:{self.port}",
                 "--console", f"127.0.0.1:{self.console}", *self.arguments],
                stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                env={**os.environ, "TUNDISH_TEST_DISK_FAULTS": str(self.disk)} if self.hasFaults else None)

    def set_disk(self, state):
        """What is wrong with the disk from now on."""
        waiting = self.disk.with_suffix(".new")
        waiting.write_text(state + "\n")
        waiting.rename(self.disk)

    def configure(self):
        """Queues that hold whatever a sleeper misses: what a full one drops, by its policy, is nobody's loss."""
        document = self.folder / "broker.yaml"
        document.write_text("kind: Broker\nname: default\nspec: { sessions: { queuedMessagesMax: 100000000 } }\n")
        subprocess.run(
            [str(self.binary), "apply", "-f", str(document)], check=True, stdout=subprocess.DEVNULL, cwd=self.folder,
            env={**os.environ, "TUNDISH_SERVER": f"http://127.0.0.1:{self.console}",
                 "TUNDISH_TOKEN": (self.folder / "data" / "admin.token").read_text().strip()})

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True

    def check(self):
        if self.process.poll() is not None:
            raise SystemExit(f"ledger: the broker ended by itself with {self.process.returncode}:\n{self.tail()}")

    def tail(self):
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


class Actor:
    """A client with a loop that brings it back whenever the broker is there."""

    def __init__(self, run, client, pattern=None, qos=0):
        self.run, self.client, self.pattern, self.qos = run, client, pattern, qos
        self.hadSession = False
        self.isSubscribed = False
        self.wantsOnline = asyncio.Event()
        self.wantsOnline.set()
        self.task = None

    def will(self):
        return None

    def start(self):
        self.task = asyncio.create_task(self.loop())

    async def loop(self):
        while True:
            await self.wantsOnline.wait()
            try:
                await self.come_online()
                await self.client.closed.wait()
            except Refused as refusal:
                # The broker is not ready for it, or is full; it must come back by itself.
                self.run.book.notes[f"CONNECT or SUBSCRIBE refused with 0x{refusal.reason:02x}"] += 1
                await self.client.drop()
                await asyncio.sleep(0.05)
            except (OSError, Gone, asyncio.TimeoutError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.02)

    async def come_online(self):
        present = await self.client.connect(self.run.broker.port, will=self.will())
        if self.hadSession and not self.client.clean and not present:
            self.run.book.violation("session", f"{self.client.id} had a session, and the broker forgot it")
            self.isSubscribed = False
        self.hadSession = True
        if self.pattern and (self.client.clean or not self.isSubscribed):
            await self.client.subscribe(self.pattern, self.qos)
            self.isSubscribed = True

    async def sleep(self, politely):
        self.wantsOnline.clear()
        await (self.client.disconnect() if politely else self.client.drop())

    def wake(self):
        self.wantsOnline.set()


class Publisher(Actor):
    """Numbers its messages on each of its topics and has at most `window` unacknowledged."""

    def __init__(self, run, name, topics, window, pause, expiry=None):
        super().__init__(run, Client(name))
        self.topics, self.window, self.pause, self.expiry = topics, window, pause, expiry
        self.numbers = collections.Counter()
        self.free = asyncio.Semaphore(window)
        self.isPublishing = True
        self.acknowledgements = 0

    def start(self):
        super().start()
        self.work = asyncio.create_task(self.publish())

    async def publish(self):
        generator = random.Random(self.client.id)
        while self.isPublishing:
            await self.free.acquire()
            while not self.client.is_connected:
                await asyncio.sleep(0.01)
            topic, qos = generator.choice(self.topics)
            number = self.numbers[topic]
            self.numbers[topic] += 1
            entry = Entry(self.run.book.epoch)
            self.run.book.sent[topic][number] = entry
            payload = b"%d " % number + bytes(generator.choice((8, 60, 250)))
            future = self.client.publish(topic, payload, qos, expiry=self.expiry)
            future.add_done_callback(lambda done, entry=entry: self.acknowledged(done, entry))
            if self.pause:
                await asyncio.sleep(generator.random() * self.pause)

    def acknowledged(self, done, entry):
        self.free.release()
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            entry.acknowledged_at = time.monotonic()
            self.acknowledgements += 1
        else:
            self.run.book.refused += 1


class RetainedPublisher(Actor):
    """Sets retained messages to growing numbers; `confirmed` holds those acknowledged."""

    def __init__(self, run, topics):
        super().__init__(run, Client("keeper"))
        self.topics, self.confirmed, self.tried = topics, {}, collections.Counter()
        self.isPublishing = True

    def start(self):
        super().start()
        self.work = asyncio.create_task(self.publish())

    async def publish(self):
        while self.isPublishing:
            for topic in self.topics:
                while not self.client.is_connected:
                    await asyncio.sleep(0.01)
                self.tried[topic] += 1
                value = self.tried[topic]
                try:
                    await self.client.publish(topic, b"%d" % value, 1, retain=True)
                    self.confirmed[topic] = value
                except Refused:
                    self.run.book.refused += 1
            await asyncio.sleep(0.005)


class WillClient(Actor):
    """Connects with a will that names the epoch; when the broker dies its will must be published."""

    def __init__(self, run, name, clean):
        super().__init__(run, Client(name, clean=clean, expiry=0 if clean else 0xFFFF_FFFF))
        self.armed = None
        self.next = 0

    def will(self):
        self.next += 1
        return (f"will/{self.client.id}", b"%d" % self.next, 1, False)

    async def come_online(self):
        # The will of the attempt counts once the CONNACK is here; before that it may or may not come.
        self.run.book.sent[f"will/{self.client.id}"][self.next + 1] = Entry(self.run.book.epoch)
        await super().come_online()
        self.armed = self.next

    def killed(self):
        if self.armed is not None and self.client.is_connected:
            self.run.book.sent[f"will/{self.client.id}"][self.armed].acknowledged_at = time.monotonic()
        self.armed = None


class Run:
    def __init__(self, arguments, folder):
        self.arguments, self.book = arguments, Book()
        self.random = random.Random(arguments.seed)
        self.broker = Broker(arguments.binary, folder, arguments.serve, arguments.disk != "none")
        self.healed = 0
        count = arguments.publishers
        topics = [[(f"load/{i}/a", 1), (f"load/{i}/b", 2)] for i in range(count)]
        self.all_topics = [name for pair in topics for name, _ in pair]
        self.publishers = [
            Publisher(self, f"press-{i}", topics[i], arguments.window, arguments.pause) for i in range(count)
        ]
        self.brief = Publisher(self, "brief", [("brief/x", 1)], 5, 0.02, expiry=SHORT_EXPIRY)
        self.lasting = Publisher(self, "lasting", [("lasting/x", 1)], 5, 0.02, expiry=3600)
        self.keeper = RetainedPublisher(self, [f"kept/{i}" for i in range(8)])
        self.wills = [WillClient(self, "mourned-session", False), WillClient(self, "mourned-clean", True)]
        self.steady, self.flapping, self.sleepers = [], [], []
        self.subscriber("steady-1", "load/#", 1, self.all_topics, self.steady)
        self.subscriber("steady-2", "load/#", 2, self.all_topics, self.steady, delay=0.002)
        self.subscriber("flapping-1", "load/+/a", 1, [t for t in self.all_topics if t.endswith("a")], self.flapping)
        self.subscriber("flapping-2", "load/+/b", 2, [t for t in self.all_topics if t.endswith("b")], self.flapping)
        self.subscriber("sleeper-1", "load/#", 1, self.all_topics, self.sleepers)
        self.subscriber("sleeper-2", "load/#", 2, self.all_topics, self.sleepers)
        self.subscriber("lasting-sleeper", "lasting/#", 2, ["lasting/x"], self.sleepers)
        self.subscriber("mourner", "will/#", 2, [f"will/{w.client.id}" for w in self.wills], self.steady)
        self.group("shared-1", "$share/one/load/+/a", 1, [t for t in self.all_topics if t.endswith("a")])
        self.group("shared-2", "$share/two/load/+/b", 2, [t for t in self.all_topics if t.endswith("b")])
        self.brief_got = collections.Counter()
        self.brief_sleeper = Actor(self, Client("brief-sleeper", on_message=self.brief_message), "brief/#", 1)
        self.sleepers.append(self.brief_sleeper)

    @property
    def actors(self):
        return [*self.publishers, self.brief, self.lasting, self.keeper, *self.wills, *self.steady, *self.flapping,
                *self.sleepers]

    def subscriber(self, name, pattern, qos, topics, where, delay=0.0):
        receipt = self.book.receiver(name, topics, qos)

        def taken(topic, payload, granted, retain, packet_id):
            receipt.take(topic, payload, granted)
            if delay:
                return asyncio.sleep(self.random.random() * delay)

        where.append(Actor(self, Client(name, on_message=taken), pattern, qos))

    def group(self, name, pattern, qos, topics):
        receipt = self.book.receiver(name, topics, qos)
        # Between members there is no order to keep.
        receipt.isOrdered = False
        for member in range(3):
            def taken(topic, payload, granted, retain, packet_id):
                receipt.take(topic, payload, granted)

            where = self.steady if member == 0 else self.flapping
            where.append(Actor(self, Client(f"{name}-{member}", on_message=taken), pattern, qos))

    def brief_message(self, topic, payload, qos, retain, packet_id):
        number = int(payload.split(b" ", 1)[0])
        self.brief_got[number] += 1
        entry = self.book.sent[topic].get(number)
        # What was on its way already is sent again, however old it is.
        if entry and entry.acknowledged_at and not self.brief_sleeper.client.is_repeat:
            age = time.monotonic() - entry.acknowledged_at
            if age > SHORT_EXPIRY + SLACK_SECONDS:
                self.book.violation("expired", f"brief-sleeper got {topic} {number}, {age:.1f} s old")

    async def flap(self):
        """Half of the time away: politely or not."""
        while True:
            await asyncio.sleep(self.random.uniform(0.02, 0.25))
            actor = self.random.choice(self.flapping)
            if actor.wantsOnline.is_set():
                await actor.sleep(self.random.random() < 0.5)
            else:
                actor.wake()

    async def online(self, actors, seconds):
        deadline = time.monotonic() + seconds
        while True:
            waiting = [actor for actor in actors if not actor.client.is_connected or
                       (actor.pattern and not actor.isSubscribed)]
            if not waiting:
                return
            self.broker.check()
            if time.monotonic() > deadline:
                names = ", ".join(actor.client.id for actor in waiting)
                raise SystemExit(f"ledger: not connected within {seconds} s: {names}\n{self.broker.tail()}")
            await asyncio.sleep(0.01)

    async def check_retained(self):
        confirmed = dict(self.keeper.confirmed)
        got = {}
        client = Client("inspector", on_message=lambda topic, payload, *rest: got.update({topic: int(payload)}),
                        clean=True, expiry=0)
        deadline = time.monotonic() + 30
        while True:
            try:
                await client.connect(self.broker.port)
                await client.subscribe("kept/#", 1)
                break
            except (OSError, Gone, Refused, asyncio.TimeoutError, asyncio.IncompleteReadError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)
        while time.monotonic() < deadline:
            if all(got.get(topic, 0) >= value for topic, value in confirmed.items()):
                break
            await asyncio.sleep(0.01)
        for topic, value in confirmed.items():
            if got.get(topic, 0) < value:
                self.book.violation("retained", f"{topic} is {got.get(topic)}; {value} was acknowledged")
        await client.disconnect()

    async def settle(self, receipts, seconds):
        """Waits until nothing acknowledged is missing, as long as something still comes."""
        deadline, last = time.monotonic() + seconds, None
        while True:
            missing = sum(1 for receipt in receipts for _ in receipt.missing())
            got = sum(receipt.count for receipt in receipts)
            if missing == 0:
                return
            if (missing, got) != last:
                last, deadline = (missing, got), time.monotonic() + seconds
            if time.monotonic() > deadline:
                return
            self.broker.check()
            await asyncio.sleep(0.2)

    async def main(self):
        self.broker.start()
        started = time.monotonic()
        # What is published before somebody subscribes is not owed to him.
        receivers = [*self.steady, *self.flapping, *self.sleepers]
        for actor in receivers:
            actor.start()
        await self.online(receivers, 90)
        self.broker.configure()
        for actor in (*self.publishers, self.brief, self.lasting, self.keeper, *self.wills):
            actor.start()
        await self.online([self.keeper, *self.wills], 90)
        for sleeper in self.sleepers:
            await sleeper.sleep(True)
        flapper = asyncio.create_task(self.flap())
        for kill in range(1, self.arguments.kills + 1):
            await asyncio.sleep(self.random.uniform(*self.arguments.between))
            self.broker.check()
            if self.arguments.disk != "none":
                self.broker.set_disk(self.arguments.disk)
                await asyncio.sleep(self.random.uniform(0.1, 2))
                self.broker.check()
                if kill % 2:
                    await self.heal(kill)
                    continue
            for will in self.wills:
                will.killed()
            self.broker.kill()
            self.broker.set_disk("works")
            killed = time.monotonic()
            self.book.epoch += 1
            await asyncio.gather(*(actor.client.drop() for actor in self.actors))
            self.broker.start()
            await self.check_retained()
            await self.online([*self.steady, self.keeper, *self.wills], 60)
            self.row(kill, time.monotonic() - killed)
            if kill % 10 == 0:
                for sleeper in self.sleepers:
                    sleeper.wake()
                await self.online(self.sleepers, 60)
                await asyncio.sleep(self.random.uniform(0, 0.5))
                for sleeper in self.sleepers:
                    await sleeper.sleep(self.random.random() < 0.5)
        for publisher in (*self.publishers, self.brief, self.lasting, self.keeper):
            publisher.isPublishing = False
        flapper.cancel()
        for actor in self.actors:
            actor.wake()
        await self.online(self.actors, 90)
        await self.settle(self.book.receipts.values(), 30)
        stopped = self.broker.stop()
        if not stopped:
            self.book.violation("stop", "the broker did not stop within 30 s of SIGTERM")
        return self.report(time.monotonic() - started)

    async def heal(self, number):
        """The disk works again: whoever publishes must be answered again, without a restart."""
        self.broker.set_disk("works")
        healed = time.monotonic()
        self.healed += 1
        before = [(publisher, publisher.acknowledgements) for publisher in self.publishers]
        while time.monotonic() < healed + 30:
            self.broker.check()
            waiting = [publisher.client.id for publisher, count in before if publisher.acknowledgements == count]
            if not waiting:
                break
            await asyncio.sleep(0.02)
        else:
            self.book.violation("stuck", f"not answered for 30 s after the disk was healed: {', '.join(waiting)}")
        await self.online([*self.steady, self.keeper, *self.wills], 60)
        self.row(number, time.monotonic() - healed, "healed")

    def row(self, kill, seconds, what="kill"):
        sent = sum(len(numbers) for numbers in self.book.sent.values())
        if kill % 10 == 0 or kill == self.arguments.kills or kill <= 3:
            print(f"{what} {kill:4d}: back with all sessions after {seconds * 1000:6.0f} ms, {sent:8d} sent, "
                  f"{len(self.book.violations)} violations", flush=True)

    def report(self, seconds):
        book = self.book
        kinds = collections.Counter(kind for _, kind, _ in book.violations)
        total = sum(1 for numbers in book.sent.values() for entry in numbers.values() if entry.acknowledged_at)
        bad = self.arguments.disk != "none"
        print(f"\nThe book of {self.arguments.kills - self.healed} kills" + (
            f" on a bad disk ({self.arguments.disk}), {self.healed} times healed" if bad else "") + f", seed {self.arguments.seed}, {seconds:.0f} s: {total} messages "
              f"acknowledged, {book.refused} refused by the broker")
        print(f"{'receiver':18} {'QoS':>3} {'owed':>8} {'received':>9} {'missing':>8} {'doubled':>8}")
        missing_all = 0
        by_epoch = collections.Counter()
        for receipt in book.receipts.values():
            owed = sum(1 for topic in receipt.topics for e in book.sent[topic].values() if e.acknowledged_at)
            missing = list(receipt.missing())
            missing_all += len(missing)
            for topic, sequence, entry in missing:
                by_epoch[entry.epoch] += 1
            print(f"{receipt.name:18} {receipt.qos:3d} {owed:8d} {receipt.count:9d} {len(missing):8d} "
                  f"{receipt.doubles:8d}")
            for topic, sequence, entry in missing[:5]:
                print(f"    missing: {topic} {sequence}, sent before kill {entry.epoch + 1}")
        print("Doubled counts QoS 1's allowed repetitions too; any at QoS 2 is a violation.")
        if by_epoch:
            print("missing by kill: " + ", ".join(f"{epoch + 1}: {count}" for epoch, count in sorted(by_epoch.items())))
        for note, count in book.notes.items():
            print(f"note: {note}, {count} times")
        print(f"missing {missing_all}, " + ", ".join(
            f"{name} {kinds.get(kind, 0)}" for name, kind in (
                ("doubled at QoS 2", "doubled"), ("out of order", "order"), ("retained lost", "retained"),
                ("sessions lost", "session"), ("delivered after expiry", "expired"), ("invented", "invented"),
                ("bad stops", "stop"), ("stuck", "stuck"))))
        return missing_all == 0 and not book.violations


def main():
    # Writing to a broker that has just been killed is what this is about.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=root / ".build" / "release" / "tundish")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--publishers", type=int, default=4)
    parser.add_argument("--window", type=int, default=20, help="unacknowledged messages of each publisher")
    parser.add_argument("--pause", type=float, default=0.004, help="longest pause between two messages, in seconds")
    parser.add_argument("--disk", choices=("none", "full", "read-only", "failing-sync"), default="none",
                        help="what goes wrong with the disk, --kills times")
    parser.add_argument("--between", type=float, nargs=2, default=(0.05, 1.0), help="seconds between kills")
    parser.add_argument("--folder", type=pathlib.Path, help="where to work; kept afterwards")
    parser.add_argument("serve", nargs="*", help="further options of `tundish serve`, after --")
    arguments = parser.parse_args()
    arguments.binary = arguments.binary.resolve()
    if not arguments.binary.exists():
        parser.error(f"{arguments.binary} is not there: build it first")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = arguments.folder or pathlib.Path(tempfile.mkdtemp(prefix="tundish-ledger-"))
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(arguments, folder)
    holds = False
    try:
        holds = asyncio.run(run.main())
    finally:
        if run.broker.process and run.broker.process.poll() is None:
            run.broker.kill()
        if not holds:
            print(f"the broker's log and data are in {folder}")
        elif not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
