"""Modbus TCP: registers of devices are read at instants of the wall clock (Modbus Application Protocol V1.1b3).

A group is one read. Its readings' time is the instant that was due, a multiple of the group's period since the epoch,
not when the answer came. What doesn't answer, or answers with an exception or another length, gives readings of value 0
with flag B, link fault: evidence of the gap, which is not counted. There is one reading of an instant, or none: an
instant that passes while a read is under way or there is no room is missed and counted, and a clock that is set back is
waited for.

The bytes of an arrival are instant (i64 ms) ‖ unit (u8) ‖ request PDU (5) ‖ response PDU (empty without an answer),
big-endian: the same registers at another instant are another message.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from streams.edge.sampling import Bounds, Rule
from streams.edge.sources import Arrival, Keep, NoRoom, RawReading
from streams.edge.sources.refusals import Refusals

if TYPE_CHECKING:
    from streams.edge.pacing import Pacing

MAX_REGISTERS = 125
LINK_FAULT = "B"

_EXACT = Context(prec=64)
_FORMATS = {
    "u16": ">H",
    "i16": ">h",
    "u32": ">I",
    "i32": ">i",
    "u64": ">Q",
    "i64": ">q",
    "float32": ">f",
    "float64": ">d",
}
_Type = Literal["u16", "i16", "u32", "i32", "u64", "i64", "float32", "float64"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sampling(_Settings):
    """That a group is read as seldom as its points' forecasts allow, at least every `slowest_ms` (docs/sampling.md)."""

    slowest_ms: int
    tolerance: float = Field(default=Rule.tolerance, ge=0, allow_inf_nan=False)


class Register(_Settings):
    """A point's value: the address of its first register from 0, its type, the order of its 16-bit words, what one unit
    of the number is in the point's unit, and whether it only adds up."""

    point: str
    address: int = Field(ge=0, le=65_535)
    type: _Type
    words: Literal["big", "little"] = "big"
    scale: Annotated[Decimal, Field(max_digits=18, allow_inf_nan=False)] = Decimal(1)
    counts: bool = False

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, scale: Decimal) -> Decimal:
        if not scale:
            raise ValueError("a scale of 0 leaves nothing of a value")
        return scale

    @property
    def count(self) -> int:
        """Registers that the value takes."""
        return struct.calcsize(_FORMATS[self.type]) // 2

    def value(self, registers: Sequence[int]) -> Decimal:
        """The exact value of `count` registers; of a float the shortest decimal that means it."""
        ordered = registers if self.words == "big" else registers[::-1]
        packed = b"".join(register.to_bytes(2, "big") for register in ordered)
        number = struct.unpack(_FORMATS[self.type], packed)[0]
        text = np.float32(number) if self.type == "float32" else number
        return _EXACT.multiply(Decimal(str(text)), self.scale)


class Group(_Settings):
    """Registers that are read at once by function 3 (holding) or 4 (input), every `every_ms`, with `sampling` less."""

    every_ms: int = Field(ge=100)
    function: Literal[3, 4] = 3
    registers: tuple[Register, ...] = Field(min_length=1)
    sampling: Sampling | None = None

    @model_validator(mode="after")
    def _one_read(self) -> Self:
        if self.count > MAX_REGISTERS or self.first + self.count > 65_536:
            raise ValueError(f"registers {self.first} and {self.count - 1} more are not one read")
        self.rule()
        return self

    def rule(self) -> Rule:
        """How its points may be sampled, without `sampling` at one interval. Raises ValueError."""
        sampling = self.sampling or Sampling(slowest_ms=self.every_ms)
        bounds = Bounds(self.every_ms, sampling.slowest_ms)
        return Rule(self.every_ms, bounds, bounds, sampling.tolerance)

    @property
    def first(self) -> int:
        """The address of the first register."""
        return min(register.address for register in self.registers)

    @property
    def count(self) -> int:
        """Registers of the read."""
        return max(register.address + register.count for register in self.registers) - self.first

    def request(self) -> bytes:
        """The PDU of the read."""
        return struct.pack(">BHH", self.function, self.first, self.count)

    def readings(self, at: int, registers: Sequence[int] | None) -> tuple[RawReading, ...]:
        """The readings of an instant, ms UTC, from the `count` registers; None for a fault."""
        if registers is None:
            return tuple(RawReading(register.point, at, Decimal(0), LINK_FAULT) for register in self.registers)
        places = [(register, register.address - self.first) for register in self.registers]
        return tuple(RawReading(r.point, at, r.value(registers[p : p + r.count])) for r, p in places)


class Device(_Settings):
    """A registered device; `timeout` in seconds for the connection and for each answer, tried `retries` times more."""

    name: str
    host: str
    port: int = Field(default=502, ge=1, le=65_535)
    unit: int = Field(default=1, ge=0, le=255)
    timeout: float = Field(default=3.0, gt=0)
    retries: int = Field(default=1, ge=0)
    groups: tuple[Group, ...] = Field(min_length=1)


class ModbusSettings(_Settings):
    """The devices that one source asks. `room_wait` is how long it waits for room on the disk, in seconds."""

    kind: Literal["modbus"] = "modbus"
    devices: tuple[Device, ...] = Field(min_length=1)
    room_wait: float = Field(default=1.0, gt=0)

    def rules(self) -> dict[str, Rule]:
        """How every point may be sampled."""
        groups = [group for device in self.devices for group in device.groups]
        return {register.point: group.rule() for group in groups for register in group.registers}


def following(instant: int, every: int, now: int) -> int:
    """The next due instant behind `instant` that is not before `now`; all in ms."""
    return max(instant + every, -(-now // every) * every)


def _now() -> int:
    return time.time_ns() // 1_000_000


class ModbusSource:
    """The live source of the devices. `now` gives ms UTC; `slow_down` says whether to read sampled groups less.

    `rules` are looked at before every read, for points whose bounds were changed since.
    """

    def __init__(
        self,
        settings: ModbusSettings,
        now: Callable[[], int] = _now,
        slow_down: Callable[[], bool] = lambda: False,
        rules: Mapping[str, Rule] | None = None,
    ) -> None:
        self._settings, self._now, self._slow_down = settings, now, slow_down
        self._rules = settings.rules() if rules is None else rules
        self.refusals = Refusals("modbus")
        self.counts = self.refusals.counts

    async def serve(self, keep: Keep) -> None:
        """Ask every device until cancelled."""
        lines = [Line(device, self.refusals) for device in self._settings.devices]
        try:
            async with asyncio.TaskGroup() as group:
                for line in lines:
                    for read in line.device.groups:
                        group.create_task(self._read(line, read, keep))
        finally:
            for line in lines:
                line.close()

    async def _read(self, line: "Line", group: Group, keep: Keep) -> NoReturn:
        due = following(0, group.every_ms, self._now())
        pacing = self._pacing(group)
        while True:
            # in slices, so that a clock that is set is seen
            while (left := due - self._now()) > 0:
                await asyncio.sleep(min(left, 1000) / 1000)
            arrival = await line.read(group, due)
            await self._keep(arrival, keep)
            planned = pacing.due(due, arrival.readings) if pacing else due + group.every_ms
            after = following(planned - group.every_ms, group.every_ms, self._now())
            if missed := (after - planned) // group.every_ms:
                self.refusals.count("missed", f"{line.device.name} behind {due}", missed)
            due = after

    def _pacing(self, group: Group) -> "Pacing | None":
        if group.sampling is None:
            return None
        # River takes seconds and some eighty megabytes to load: only where something is sampled
        from streams.edge.pacing import Pacing

        return Pacing(self._rules, {register.point: register.counts for register in group.registers}, self._slow_down)

    async def _keep(self, arrival: Arrival, keep: Keep) -> None:
        while True:
            try:
                return await keep(arrival)
            except NoRoom:
                self.refusals.count("no_room", arrival.device)
                await asyncio.sleep(self._settings.room_wait)


class Line:
    """The connection to one device: one read at a time, and a new connection after whatever went wrong."""

    def __init__(self, device: Device, refusals: Refusals) -> None:
        self.device, self._refusals = device, refusals
        self._turn = asyncio.Lock()
        self._client = AsyncModbusTcpClient(
            device.host, port=device.port, timeout=device.timeout, retries=device.retries, reconnect_delay=0
        )

    async def read(self, group: Group, at: int) -> Arrival:
        """The arrival of one read for the instant `at`, ms UTC."""
        async with self._turn:
            try:
                answer, registers = await self._ask(group)
            except (ModbusException, OSError, TimeoutError) as error:
                self._refusals.count("no_answer", f"{self.device.name}: {error}")
                answer, registers = b"", None
            if registers is None:
                # a late answer must not be taken for the next one
                self.close()
        raw = struct.pack(">qB", at, self.device.unit) + group.request() + answer
        return Arrival(self.device.name, raw, group.readings(at, registers))

    def close(self) -> None:
        """End the connection; the next read makes another."""
        self._client.close()

    async def _ask(self, group: Group) -> tuple[bytes, Sequence[int] | None]:
        """The response's PDU, and its registers, or None where it is another than was asked for."""
        if not self._client.connected and not await self._client.connect():
            raise ModbusException("no connection")
        ask = self._client.read_holding_registers if group.function == 3 else self._client.read_input_registers
        response = await ask(group.first, count=group.count, device_id=self.device.unit)
        if response.function_code & 0x7F != group.function:
            raise ModbusException(f"an answer of function {response.function_code}")
        answer = bytes([response.function_code]) + response.encode()
        if response.function_code == group.function and len(response.registers) == group.count:
            return answer, response.registers
        self._refusals.count("exception", f"{self.device.name}: {response}")
        return answer, None
