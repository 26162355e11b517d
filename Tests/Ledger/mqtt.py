"""An MQTT 5 client that keeps its session over the death of the server: what it has sent and not seen acknowledged it
sends again, with the same packet identifiers, and it remembers which QoS 2 messages it has taken. Small on purpose:
the ledger must be able to trust it."""

import asyncio
import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 5, 6, 7, 8, 9
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


class Refused(Exception):
    """The server answered with a reason code of 0x80 or more."""

    def __init__(self, what, reason):
        super().__init__(f"{what}: reason 0x{reason:02x}")
        self.reason = reason


class Gone(Exception):
    """The connection ended."""


def variable(number):
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + variable(len(body)) + body


def read_variable(body, at):
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


class Sent:
    """A publication of ours until it is acknowledged: `publish` or, for QoS 2 after PUBREC, `release`."""

    __slots__ = ("frame", "qos", "state", "done")

    def __init__(self, frame, qos, done):
        self.frame, self.qos, self.state, self.done = frame, qos, "publish", done


class Client:
    """`on_message(topic, payload, qos, retain, packet_id)` is called once for each message that the protocol hands to
    an application; it may be a coroutine, which delays the acknowledgement."""

    def __init__(self, client_id, on_message=None, clean=False, expiry=0xFFFF_FFFF, receive_maximum=100):
        self.id, self.on_message, self.clean, self.expiry = client_id, on_message, clean, expiry
        # The message that is being handed over had been sent before.
        self.is_repeat = False
        self.receive_maximum = receive_maximum
        self.writer = None
        self.outgoing = {}
        self.incoming = set()
        self.next_id = 0
        self.reader_task = None
        self.answers = {}
        self.closed = asyncio.Event()
        self.closed.set()

    @property
    def is_connected(self):
        return not self.closed.is_set()

    async def connect(self, port, will=None, timeout=30):
        """Returns whether the server had our session. `will`: (topic, payload, qos, retain)."""
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), timeout)
        try:
            flags = 0x02 if self.clean else 0
            properties = b"\x11" + struct.pack(">I", self.expiry) + b"\x21" + struct.pack(">H", self.receive_maximum)
            payload = text(self.id)
            if will:
                topic, data, qos, retain = will
                flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
                payload += variable(0) + text(topic) + text(data)
            body = text("MQTT") + bytes([5, flags]) + struct.pack(">H", 0) + variable(len(properties)) + properties
            writer.write(packet(CONNECT, 0, body + payload))
            kind, _, answer = await asyncio.wait_for(self._read(reader), timeout)
            if kind != CONNACK:
                raise Gone(f"{self.id}: packet {kind} instead of CONNACK")
            if answer[1] >= 0x80:
                raise Refused(f"{self.id}: CONNECT", answer[1])
        except BaseException:
            writer.close()
            raise
        present = bool(answer[0] & 1)
        if not present:
            self.incoming.clear()
        self.writer = writer
        self.closed.clear()
        for packet_id, sent in list(self.outgoing.items()):
            if sent.state == "publish":
                if not present and sent.qos == 2:
                    # The server knows nothing of it: a new delivery, by the standard.
                    writer.write(sent.frame)
                else:
                    writer.write(bytes([sent.frame[0] | 0x08]) + sent.frame[1:])
            else:
                writer.write(packet(PUBREL, 2, struct.pack(">H", packet_id)))
        self.reader_task = asyncio.create_task(self._run(reader, writer))
        return present

    async def _read(self, reader):
        first = (await reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        return first >> 4, first & 15, await reader.readexactly(length)

    async def _run(self, reader, writer):
        try:
            while True:
                kind, flags, body = await self._read(reader)
                await self._handle(kind, flags, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            writer.close()
            self.closed.set()
            for future in self.answers.values():
                if not future.done():
                    future.set_exception(Gone(self.id))
            self.answers.clear()

    async def _handle(self, kind, flags, body, writer):
        if kind == PUBLISH:
            await self._received(flags, body, writer)
        elif kind in (PUBACK, PUBREC, PUBCOMP):
            packet_id = struct.unpack(">H", body[:2])[0]
            reason = body[2] if len(body) > 2 else 0
            self._acknowledged(kind, packet_id, reason, writer)
        elif kind == PUBREL:
            packet_id = struct.unpack(">H", body[:2])[0]
            self.incoming.discard(packet_id)
            writer.write(packet(PUBCOMP, 0, body[:2]))
        elif kind == SUBACK:
            packet_id = struct.unpack(">H", body[:2])[0]
            future = self.answers.pop(packet_id, None)
            if future and not future.done():
                future.set_result(body[-1])
        elif kind == DISCONNECT:
            raise ConnectionError(f"{self.id}: DISCONNECT 0x{body[0] if body else 0:02x}")

    def _acknowledged(self, kind, packet_id, reason, writer):
        sent = self.outgoing.get(packet_id)
        if kind == PUBREC:
            if sent is None or reason >= 0x80:
                self.outgoing.pop(packet_id, None)
                if sent and not sent.done.done():
                    sent.done.set_exception(Refused("PUBREC", reason))
                return
            if sent.state == "publish":
                sent.state = "release"
                if not sent.done.done():
                    sent.done.set_result(reason)
            writer.write(packet(PUBREL, 2, struct.pack(">H", packet_id)))
            return
        if sent is None:
            return
        del self.outgoing[packet_id]
        if not sent.done.done():
            if kind == PUBACK and reason >= 0x80:
                sent.done.set_exception(Refused("PUBACK", reason))
            else:
                sent.done.set_result(reason)

    async def _received(self, flags, body, writer):
        length = struct.unpack(">H", body[:2])[0]
        topic = body[2 : 2 + length].decode()
        at = 2 + length
        qos = flags >> 1 & 3
        packet_id = 0
        if qos:
            packet_id = struct.unpack(">H", body[at : at + 2])[0]
            at += 2
        count, at = read_variable(body, at)
        payload = body[at + count :]
        isNew = qos < 2 or packet_id not in self.incoming
        if qos == 2:
            self.incoming.add(packet_id)
        if isNew and self.on_message:
            self.is_repeat = bool(flags & 8)
            result = self.on_message(topic, payload, qos, bool(flags & 1), packet_id)
            if asyncio.iscoroutine(result):
                await result
        if qos == 1:
            writer.write(packet(PUBACK, 0, struct.pack(">H", packet_id)))
        elif qos == 2:
            writer.write(packet(PUBREC, 0, struct.pack(">H", packet_id)))

    def _identifier(self):
        for _ in range(65_535):
            self.next_id = self.next_id % 65_535 + 1
            if self.next_id not in self.outgoing and self.next_id not in self.answers:
                return self.next_id
        raise Gone(f"{self.id}: no free packet identifier")

    def publish(self, topic, payload, qos, retain=False, expiry=None):
        """Sends; returns a future that is set when the server has taken the message over (PUBACK, PUBREC), over
        reconnects."""
        properties = b"" if expiry is None else b"\x02" + struct.pack(">I", expiry)
        packet_id = self._identifier() if qos else 0
        body = text(topic) + (struct.pack(">H", packet_id) if qos else b"")
        frame = packet(PUBLISH, qos << 1 | int(retain), body + variable(len(properties)) + properties + payload)
        done = asyncio.get_running_loop().create_future()
        if qos:
            self.outgoing[packet_id] = Sent(frame, qos, done)
        if self.is_connected:
            self.writer.write(frame)
        if not qos:
            done.set_result(0)
        return done

    async def subscribe(self, pattern, qos, timeout=30):
        packet_id = self._identifier()
        future = asyncio.get_running_loop().create_future()
        self.answers[packet_id] = future
        self.writer.write(packet(SUBSCRIBE, 2, struct.pack(">H", packet_id) + b"\0" + text(pattern) + bytes([qos])))
        reason = await asyncio.wait_for(future, timeout)
        if reason >= 0x80:
            raise Refused(f"{self.id}: SUBSCRIBE {pattern}", reason)

    async def disconnect(self):
        if self.is_connected:
            self.writer.write(packet(DISCONNECT, 0, b""))
            self.writer.close()
            await self.reader_task

    async def drop(self):
        """As a network that breaks: no DISCONNECT."""
        if self.is_connected:
            self.writer.transport.abort()
            await self.reader_task
