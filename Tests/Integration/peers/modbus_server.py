"""A Modbus TCP server by pymodbus: unit 1 has 1,000 coils, inputs, input registers and holding registers each.

usage: modbus_server.py PORT FILE
FILE is JSON: {"coils": {address: bool}, "inputs": {...}, "input_registers": {address: word}, "holding": {...}},
addresses counted from 0.
"""

import asyncio
import json
import sys

from pymodbus.server import StartAsyncTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(table, count=1000):
    values = [0] * count
    for address, value in table.items():
        values[int(address)] = int(value)
    return values


def bits(table, count=1000):
    values = [False] * count
    for address, value in table.items():
        values[int(address)] = bool(value)
    return values


async def main():
    port, content = int(sys.argv[1]), json.load(open(sys.argv[2]))
    device = SimDevice(id=1, simdata=(
        [SimData(0, values=bits(content.get("coils", {}), 1008), datatype=DataType.BITS)],
        [SimData(0, values=bits(content.get("inputs", {}), 1008), datatype=DataType.BITS)],
        [SimData(0, values=words(content.get("holding", {})), datatype=DataType.REGISTERS)],
        [SimData(0, values=words(content.get("input_registers", {})), datatype=DataType.REGISTERS)],
    ))
    await StartAsyncTcpServer(device, address=("127.0.0.1", port))


asyncio.run(main())
