"""Modbus TCP: exact values at aligned instants, from pymodbus's own server."""

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise

import pytest
from pydantic import ValidationError
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from infra.ports import free_port
from streams.edge.sources import Arrival, NoRoom, RawReading
from streams.edge.sources.modbus import Device, Group, Line, ModbusSettings, ModbusSource, Register, Sampling, following
from streams.edge.sources.refusals import Refusals
from tests.streams.edge.mqtt_broker import Kept, serving

AT = 1_735_689_600_000
HOLDING = Group(
    every_ms=100,
    registers=(
        Register(point="energy", address=10, type="u32", scale=Decimal("0.1")),
        Register(point="flow", address=13, type="float32"),
    ),
)
WORDS = [0x0001, 0x86A0, 0xFFFF, *struct.unpack(">HH", struct.pack(">f", 0.1))]


@asynccontextmanager
async def server(port: int) -> AsyncIterator[None]:
    """A device with registers 10 to 14 and no others."""
    registers = [SimData(10, values=WORDS, datatype=DataType.REGISTERS)]
    running = ModbusTcpServer(SimDevice(1, simdata=registers), address=("127.0.0.1", port))
    await running.serve_forever(background=True)
    try:
        yield
    finally:
        await running.shutdown()


def device(port: int, *groups: Group) -> Device:
    return Device(name="meter", host="127.0.0.1", port=port, timeout=0.2, retries=0, groups=groups or (HOLDING,))


def raw(answer: bytes, at: int = AT, group: Group = HOLDING) -> bytes:
    return struct.pack(">qB", at, 1) + group.request() + answer


@pytest.mark.parametrize(
    ("type_", "packed", "wanted"),
    [
        ("u16", ">H", 65_535),
        ("i16", ">h", -2),
        ("u32", ">I", 4_294_967_295),
        ("i32", ">i", -70_000),
        ("u64", ">Q", 18_446_744_073_709_551_615),
        ("i64", ">q", -9_223_372_036_854_775_808),
        ("float32", ">f", 0.1),
        ("float64", ">d", 0.1),
    ],
)
@pytest.mark.parametrize("words", ["big", "little"])
def test_every_type_in_both_word_orders_is_exact(type_: str, packed: str, wanted: float, words: str) -> None:
    register = Register(point="p", address=0, type=type_, words=words, scale=Decimal("0.001"))
    data = struct.pack(packed, wanted)
    registers = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    ordered = registers if words == "big" else registers[::-1]
    assert register.count == len(registers)
    assert register.value(ordered) == Decimal(str(wanted)) * Decimal("0.001")


def test_a_float_that_is_no_number_stays_none() -> None:
    register = Register(point="p", address=0, type="float32")
    assert register.value([0x7FC0, 0]).is_nan()
    assert register.value([0x7F80, 0]).is_infinite()


@pytest.mark.parametrize(
    ("instant", "now", "wanted"),
    [(1000, 1001, 2000), (1000, 2000, 2000), (1000, 2001, 3000), (1000, 400, 2000), (0, 86_400_500, 86_401_000)],
)
def test_the_next_instant_is_a_multiple_and_never_one_that_was(instant: int, now: int, wanted: int) -> None:
    assert following(instant, 1000, now) == wanted


def test_a_read_has_its_instant_and_the_bytes_of_the_answer() -> None:
    async def run() -> None:
        port = free_port()
        async with server(port):
            arrival = await Line(device(port), Refusals("t")).read(HOLDING, AT)
        readings = (RawReading("energy", AT, Decimal(10_000)), RawReading("flow", AT, Decimal("0.1")))
        assert arrival == Arrival("meter", raw(struct.pack(">BB5H", 3, 10, *WORDS)), readings)

    asyncio.run(run())


def test_a_refusal_and_silence_are_a_link_fault_and_the_line_recovers() -> None:
    async def run() -> None:
        port, refusals = free_port(), Refusals("t")
        faulty = Group(every_ms=100, registers=(Register(point="energy", address=99, type="u16"),))
        line = Line(device(port), refusals)
        fault = (RawReading("energy", AT, Decimal(0), "B"),)
        assert await line.read(faulty, AT) == Arrival("meter", raw(b"", group=faulty), fault)
        async with server(port):
            assert await line.read(faulty, AT) == Arrival("meter", raw(b"\x83\x02", group=faulty), fault)
            assert (await line.read(HOLDING, AT)).readings[0] == RawReading("energy", AT, Decimal(10_000))
        assert (await line.read(faulty, AT)).readings == fault
        async with server(port):
            assert (await line.read(HOLDING, AT)).readings[0] == RawReading("energy", AT, Decimal(10_000))
        assert refusals.counts == {"no_answer": 2, "exception": 1}

    asyncio.run(run())


def frame(header: bytes, pdu: bytes) -> bytes:
    """The answer to a request of this header."""
    return header[:4] + struct.pack(">H", len(pdu) + 1) + header[6:7] + pdu


@pytest.mark.parametrize(
    ("pdu", "counted"),
    [
        (b"\x03\x02\x00\x07", "exception"),
        (b"\x04\x0a" + bytes(10), "no_answer"),
        (b"\x03", "no_answer"),
        (b"", "no_answer"),
    ],
    ids=["short", "function", "cut off", "nothing"],
)
def test_another_answer_than_was_asked_for_is_a_link_fault(pdu: bytes, counted: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(await reader.readexactly(12), pdu))
        await reader.read()
        writer.close()

    async def run() -> None:
        port, refusals = free_port(), Refusals("t")
        async with await asyncio.start_server(answer, "127.0.0.1", port):
            arrival = await Line(device(port), refusals).read(HOLDING, AT)
        assert {reading.flag for reading in arrival.readings} == {"B"}
        assert refusals.counts == {counted: 1}

    asyncio.run(run())


def test_after_silence_the_next_read_has_a_connection_of_its_own() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while header := await reader.read(12):
            if len(connections) == 2:
                writer.write(frame(header, struct.pack(">BB5H", 3, 10, *WORDS)))
        writer.close()

    async def run() -> None:
        port = free_port()
        async with await asyncio.start_server(answer, "127.0.0.1", port):
            line = Line(device(port), Refusals("t"))
            assert (await line.read(HOLDING, AT)).readings[0].flag == "B"
            assert (await line.read(HOLDING, AT + 100)).readings[0].value == Decimal(10_000)

    asyncio.run(run())


def test_it_reads_at_each_instant_once_and_holds_what_finds_no_room() -> None:
    async def run() -> None:
        port, kept = free_port(), Kept()
        refused: list[Arrival] = []

        async def keep(arrival: Arrival) -> None:
            if len(refused) < 2:
                refused.append(arrival)
                raise NoRoom
            await kept(arrival)

        async with server(port):
            source = ModbusSource(ModbusSettings(devices=(device(port),), room_wait=0.01))
            async with serving(source.serve(keep)):
                await kept.until(lambda: len(kept.arrivals) == 3)
        times = [arrival.readings[0].at for arrival in kept.arrivals]
        assert all(at % 100 == 0 for at in times)
        assert times == sorted(set(times))
        assert refused == [kept.arrivals[0]] * 2
        assert kept.repeats == 0

    asyncio.run(run())


def test_instants_that_pass_while_there_is_no_room_are_missed_and_counted() -> None:
    async def run() -> None:
        port, kept, clock = free_port(), Kept(), [AT]

        async def keep(arrival: Arrival) -> None:
            clock[0] = AT + 450 if not kept.arrivals else clock[0] + 100
            await kept(arrival)

        async with server(port):
            source = ModbusSource(ModbusSettings(devices=(device(port),)), now=lambda: clock[0])
            async with serving(source.serve(keep)):
                await kept.until(lambda: len(kept.arrivals) == 1)
                clock[0] = AT + 500
                await kept.until(lambda: len(kept.arrivals) == 2)
        assert [arrival.readings[0].at for arrival in kept.arrivals] == [AT, AT + 500]
        assert source.refusals.counts == {"missed": 4}

    asyncio.run(run())


def test_a_group_that_is_sampled_is_read_less_often_while_nothing_changes() -> None:
    group = HOLDING.model_copy(update={"sampling": Sampling(slowest_ms=200)})

    async def run() -> None:
        port, kept, clock = free_port(), Kept(), itertools.count(AT, 40)
        async with server(port):
            source = ModbusSource(ModbusSettings(devices=(device(port, group),)), now=lambda: next(clock))
            async with serving(source.serve(kept)):
                await kept.until(lambda: len(kept.arrivals) == 5)
        times = [arrival.readings[0].at for arrival in kept.arrivals]
        assert [b - a for a, b in pairwise(times)] == [100, 100, 200, 200]
        assert source.refusals.counts == {}

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampling": {"slowest_ms": 900}},
        {"sampling": {"slowest_ms": 2500}},
        {"sampling": {"slowest_ms": 2000, "tolerance": -1}},
        {"registers": ()},
        {"registers": ({"point": "a", "address": 0, "type": "u16"}, {"point": "b", "address": 125, "type": "u16"})},
        {"registers": ({"point": "a", "address": 65_535, "type": "u32"},)},
        {"registers": ({"point": "a", "address": 0, "type": "u16", "scale": 0},)},
        {"registers": ({"point": "a", "address": 0, "type": "u16", "scale": "NaN"},)},
        {"function": 6},
        {"every_ms": 99},
    ],
)
def test_a_group_that_is_no_read_is_refused(wrong: dict[str, object]) -> None:
    fields = {"every_ms": 1000, "registers": ({"point": "a", "address": 0, "type": "u16"},)}
    Group.model_validate(fields)
    with pytest.raises(ValidationError):
        Group.model_validate(fields | wrong)


def test_a_source_that_ends_leaves_no_connection() -> None:
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(await reader.readexactly(12), struct.pack(">BB5H", 3, 10, *WORDS)))
        while await reader.read(100):
            pass
        ended.set()
        writer.close()

    async def run() -> None:
        port, kept = free_port(), Kept()
        async with await asyncio.start_server(answer, "127.0.0.1", port):
            async with serving(ModbusSource(ModbusSettings(devices=(device(port),))).serve(kept)):
                await kept.until(lambda: len(kept.arrivals) == 1)
            await ended.wait()

    asyncio.run(run())
