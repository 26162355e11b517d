"""Modbus TCP against pymodbus: every type and byte order, read and written."""

import json
import pathlib
import struct
import sys

import pytest
from pymodbus.client import ModbusTcpClient

from conftest import Peer, eventually, free_port

HERE = pathlib.Path(__file__).parent

# How the bytes of a big-endian number stand on the wire under each suffix.
ORDERS_16 = {"": "AB", "#L": "AB", "#B": "BA"}
ORDERS_32 = {"": "ABCD", "#LL": "ABCD", "#LB": "BADC", "#BL": "CDAB", "#BB": "DCBA"}
ORDERS_64 = {"": "ABCDEFGH", "#L": "ABCDEFGH", "#LL": "ABCDEFGH", "#LB": "BADCFEHG", "#BL": "GHEFCDAB", "#B": "HGFEDCBA",
             "#BB": "HGFEDCBA"}
TYPES = {
    "int16": ("h", ORDERS_16, -12345), "uint16": ("H", ORDERS_16, 54321),
    "int32": ("i", ORDERS_32, -1234567890), "uint32": ("I", ORDERS_32, 3456789012), "float32": ("f", ORDERS_32, -1.5e-3),
    "int64": ("q", ORDERS_64, -1234567890123456789), "uint64": ("Q", ORDERS_64, 12345678901234567890),
    "float64": ("d", ORDERS_64, 3.141592653589793),
}
WRITTEN = {"int16": 321, "uint16": 65535, "int32": 7654321, "uint32": 4294967295, "float32": 0.25,
           "int64": -(2 ** 63), "uint64": 2 ** 64 - 1, "float64": -2.5e300}


def wire_words(kind, order, value):
    code = TYPES[kind][0]
    big = struct.pack(">" + code, value)
    swapped = bytes(big["ABCDEFGH".index(letter)] for letter in order)
    return list(struct.unpack(f">{len(swapped) // 2}H", swapped))


def layout():
    """(name, type, suffix, address from 0, order) for every type and order, side by side."""
    rows, address = [], 0
    for kind, (code, orders, _) in TYPES.items():
        for suffix, order in orders.items():
            rows.append((f"{kind}{suffix.replace('#', '_')}", kind, suffix, address, order))
            address += struct.calcsize(code) // 2
    return rows


ROWS = layout()


@pytest.fixture(scope="module")
def plant(shared_tundish, tmp_path_factory):
    holding, inputs = {}, {}
    for _, kind, _, address, order in ROWS:
        for offset, word in enumerate(wire_words(kind, order, TYPES[kind][2])):
            holding[address + offset] = word
            inputs[address + offset] = word
    for offset, word in enumerate(struct.unpack(">5H", b"Tundish\0\0\0")):
        holding[500 + offset] = word
    for offset, word in enumerate(struct.unpack("<5H", b"Tundish\0\0\0")):
        holding[510 + offset] = word
    holding[520] = 0b1000_0000_0000_0100
    for offset, value in enumerate([1.0, -2.0, 3.5]):
        high, low = struct.unpack(">2H", struct.pack(">f", value))
        holding[530 + 2 * offset], holding[531 + 2 * offset] = high, low
    content = tmp_path_factory.mktemp("peer") / "content.json"
    content.write_text(json.dumps({
        "holding": holding, "input_registers": inputs, "coils": {3: True, 10: True}, "inputs": {4: True}}))
    port = free_port()
    peer = Peer(sys.executable, str(HERE / "peers" / "modbus_server.py"), str(port), str(content))
    tags = []
    for name, kind, suffix, address, _ in ROWS:
        tags.append({"name": name, "address": f"1!4{address + 1:05d}{suffix}", "type": kind, "access": "read-write"})
        tags.append({"name": "in_" + name, "address": f"1!3{address + 1:05d}{suffix}", "type": kind})
    tags += [
        {"name": "text", "address": "1!400501.10", "type": "string", "access": "read-write"},
        {"name": "text_low", "address": "1!400511.10L", "type": "string", "access": "read-write"},
        {"name": "bit2", "address": "1!400521.2", "type": "bool", "access": "read-write"},
        {"name": "bit15", "address": "1!400521.15", "type": "bool"},
        {"name": "bit3", "address": "1!400521.3", "type": "bool", "access": "read-write"},
        {"name": "coil3", "address": "1!000004", "type": "bool", "access": "read-write"},
        {"name": "coil4", "address": "1!000005", "type": "bool", "access": "read-write"},
        {"name": "input4", "address": "1!100005", "type": "bool"},
        {"name": "input5", "address": "1!100006", "type": "bool"},
        {"name": "triple", "address": "1!400531", "type": "float32[3]", "access": "read-write"},
        {"name": "nowhere", "address": "1!405000", "type": "uint16"},
    ]
    # JSON is YAML, so the document needs no dumper.
    document = {"kind": "Device", "name": "peer", "spec": {
        "driver": "modbus_tcp", "connection": {"host": "127.0.0.1", "port": port, "timeout": "1s"},
        "groups": [{"name": "all", "interval": "200ms", "tags": tags}]}}
    shared_tundish.apply(json.dumps(document))
    eventually(lambda: shared_tundish.tags("peer")["int16"]["value"] == -12345, what="the first reading")
    yield shared_tundish, port
    peer.stop()


@pytest.mark.parametrize("name,kind", [(row[0], row[1]) for row in ROWS])
def test_reads_every_type_and_byte_order(plant, name, kind):
    tags = plant[0].tags("peer")
    expected = struct.unpack(">" + TYPES[kind][0], struct.pack(">" + TYPES[kind][0], TYPES[kind][2]))[0]
    for tag in (name, "in_" + name):
        seen = tags[tag]["value"]
        if kind == "float32":
            assert struct.pack(">f", seen) == struct.pack(">f", expected), tag
        else:
            assert seen == expected, tag
        assert tags[tag]["quality"] == "good"


def test_reads_strings_bits_coils_inputs_and_arrays(plant):
    tags = plant[0].tags("peer")
    assert tags["text"]["value"] == "Tundish"
    assert tags["text_low"]["value"] == "Tundish"
    assert [tags[tag]["value"] for tag in ("bit2", "bit3", "bit15")] == [True, False, True]
    assert [tags[tag]["value"] for tag in ("coil3", "coil4", "input4", "input5")] == [True, False, True, False]
    assert tags["triple"]["value"] == [1.0, -2.0, 3.5]


def test_one_failing_address_loses_only_itself(plant):
    tags = plant[0].tags("peer")
    assert tags["nowhere"]["error"]["code"] == "modbus.illegal_data_address"
    assert all(tag["quality"] == "good" for name, tag in tags.items() if name != "nowhere")


@pytest.mark.parametrize("name,kind,address,order", [(row[0], row[1], row[3], row[4]) for row in ROWS])
def test_writes_every_type_and_byte_order(plant, name, kind, address, order):
    node, port = plant
    answer = node.rest("POST", "/api/v1/write", {"device": "peer", "group": "all", "values": {name: WRITTEN[kind]}})
    assert answer.status == 200, answer.body
    assert answer.json["results"][name]["value"] == WRITTEN[kind]
    client = ModbusTcpClient("127.0.0.1", port=port)
    assert client.connect()
    words = wire_words(kind, order, WRITTEN[kind])
    assert client.read_holding_registers(address, count=len(words), device_id=1).registers == words
    client.close()


def test_writes_bits_coils_strings_and_arrays_without_touching_their_neighbours(plant):
    node, port = plant
    answer = node.rest("POST", "/api/v1/write", {"device": "peer", "group": "all", "values": {
        "bit3": True, "bit2": False, "coil4": True, "text": "Gießer", "triple": [4.0, 5.0, 6.5]}})
    assert answer.status == 200 and all("error" not in result for result in answer.json["results"].values()), answer.body
    client = ModbusTcpClient("127.0.0.1", port=port)
    assert client.connect()
    assert client.read_holding_registers(520, count=1, device_id=1).registers == [0b1000_0000_0000_1000]
    assert client.read_coils(3, count=2, device_id=1).bits[:2] == [True, True]
    text = struct.pack(">5H", *client.read_holding_registers(500, count=5, device_id=1).registers)
    assert text.rstrip(b"\0").decode() == "Gießer"
    assert struct.unpack(">3f", struct.pack(">6H", *client.read_holding_registers(530, count=6, device_id=1).registers)) \
        == (4.0, 5.0, 6.5)
    client.close()


def test_refuses_values_that_do_not_fit_and_tags_that_cannot_be_written(plant):
    node, _ = plant
    answer = node.rest("POST", "/api/v1/write", {"device": "peer", "group": "all", "values": {
        "int16": 40000, "input4": True, "unknown": 1, "uint16": "text"}})
    results = answer.json["results"]
    assert {name: "error" in result for name, result in results.items()} == {
        "int16": True, "input4": True, "unknown": True, "uint16": True}
    assert results["int16"]["error"]["message"]
