"""From a field modem to the packet: frames lost, repeated, out of order and kills between; a gap stays a gap."""

import asyncio
import base64
import json
import sqlite3
from collections import Counter
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import packet
from streams.edge import live, modem
from streams.edge.counter import Counted, Register, amounts
from streams.edge.field import FieldModem, readings_of, relay
from streams.edge.field import load as field_settings
from streams.edge.links import HOUR_MS, Link, Wait, lora
from streams.edge.live import Packer
from streams.edge.message import RefusedError
from streams.edge.meter import send_by_mqtt
from streams.edge.modem import Measured
from streams.edge.packing import PacketLimits
from streams.edge.signer import Signer
from streams.edge.sources import Arrival, RawReading
from streams.edge.sources.modems import Modem, ModemPoint, Modems
from streams.edge.sources.mqtt import Broker, MqttSettings, MqttSource
from streams.edge.sources.refusals import Refusals
from streams.edge.store import Store, StoredPacket
from tests.infra.copies import Invoke, invoker
from tests.streams.edge.lines import CHANNEL, GATEWAY, SEED, gateway
from tests.streams.edge.mqtt_broker import Kept, mqtt_broker, serving

T, STEP = 1_600_000_200_000 // 900_000 * 900_000, 900_000
NOW = T + 400 * STEP
MODULUS, RATE = 10_000, 300
COUNTERS = {"gas-register": Counted("gas", Register(MODULUS, RATE * 4), STEP, 1)}
FIELD_7 = Modem(name="field-7", topic="up/7", field="data", points=(ModemPoint(point="gas-register", scale=1),))
TINY = Link("tiny", payload_bytes=22, count=5, age_ms=HOUR_MS)


def wrapped(frame: bytes) -> bytes:
    return json.dumps({"fCnt": 1, "data": base64.b64encode(frame).decode()}).encode()


def frames_of(values: list[int], folder: Path) -> list[bytes]:
    """The register's values, one a step from T on, as the frames of a field modem."""
    sender, frames, now = FieldModem(TINY, folder / "modem.json"), list[bytes](), T
    sender.give([Measured(0, T + STEP * n, value) for n, value in enumerate(values)], now)
    while isinstance(outcome := sender.next(now, rush=True), bytes):
        frames.append(outcome)
        sender = FieldModem(TINY, folder / "modem.json")
        assert sender.next(now) == outcome, "after a restart it is the same frame"
        sender.acknowledged()
        now += 1_000
    assert not sender.waiting
    assert [modem.decode(frame).number for frame in frames] == list(range(len(frames)))
    return frames


class Dying(Store):
    """A store whose process may die at its next packet, before or behind it."""

    dies = ""

    def append(self, *args: Any, **named: Any) -> StoredPacket:
        if self.dies == "before":
            raise sqlite3.OperationalError("killed")
        return super().append(*args, **named)


def through(frames: list[bytes], kills: list[str], folder: Path) -> Counter[tuple[str, int, int]]:
    """What stands in the packets of a gateway to which these frames come, with a kill at each of its packets."""
    path = folder / "store.sqlite"
    modems = Modems([FIELD_7], Refusals("test"))
    for place, frame in enumerate(frames):
        with Dying(path) as store:
            store.dies = kills[place % len(kills)]
            store.keep([(NOW, modems.take("up/7", wrapped(frame)))])
            signer = Signer(GATEWAY, 1, SEED, CHANNEL, {"gas-register": 1, "gas": 1})
            packer = Packer(store, signer, PacketLimits(2_000, 100_000, 1, 60), 0, COUNTERS)
            if store.dies == "before":
                with pytest.raises(sqlite3.Error):
                    packer.pack(NOW)
            elif store.dies != "waits":
                packer.pack(NOW)
    with Store(path) as store:
        Packer(store, signer, PacketLimits(2_000, 100_000, 1, 60), 0, COUNTERS).pack(NOW)
        bodies = [packet.decode_body(stored.body) for stored in store.unsent()]
    return Counter(
        (body.points[point], at, value)
        for body in bodies
        for point, at, value in zip(body.point.tolist(), body.at.tolist(), body.value.tolist(), strict=True)
    )


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, RATE), min_size=2, max_size=40),
    st.integers(0, MODULUS - 1),
    st.lists(st.sampled_from(["", "before", "waits"]), min_size=1, max_size=6),
    st.data(),
)
def test_each_step_whose_ends_came_is_counted_once_and_no_other(
    consumed: list[int], first: int, kills: list[str], data: st.DataObject
) -> None:
    values = [(first + sum(consumed[:n])) % MODULUS for n in range(len(consumed) + 1)]
    with TemporaryDirectory() as folder:
        frames = frames_of(values, Path(folder))
        arriving = data.draw(st.lists(st.sampled_from(frames), min_size=1, max_size=2 * len(frames)))
        found = through(arriving, kills, Path(folder))
    came = {one.at for frame in arriving for one in modem.decode(frame).readings}
    registers = {("gas-register", at, values[(at - T) // STEP]) for at in came}
    steps = {("gas", at, consumed[(at - T) // STEP]) for at in came if at + STEP in came}
    assert found == Counter(registers | steps)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 8), st.integers(0, RATE), st.integers(0, MODULUS - 1), st.permutations(range(3)))
def test_a_reset_never_counts_more_than_the_meter_can_have_consumed(
    place: int, after: int, before: int, order: list[int]
) -> None:
    values = [before] * place + [after] * (10 - place)
    with TemporaryDirectory() as folder:
        frames = frames_of(values, Path(folder))
        found = through([frames[place] for place in order if place < len(frames)], [""], Path(folder))
    assert all(0 <= value <= RATE + 1 for point, _, value in found if point == "gas")


def test_a_reading_that_dips_is_no_consumption_when_it_comes_back() -> None:
    with TemporaryDirectory() as folder:
        found = through(frames_of([200, 200, 0, 200, 201], Path(folder)), [""], Path(folder))
    assert {(at, value) for point, at, value in found if point == "gas"} == {(T, 0), (T + 3 * STEP, 1)}


def test_what_is_off_its_step_flagged_or_ahead_is_not_counted_from() -> None:
    odd = [
        RawReading("gas-register", T, Decimal(10)),
        RawReading("gas-register", T + STEP, Decimal(11), "D"),
        RawReading("gas-register", T + 1, Decimal(11)),
        RawReading("gas-register", T + STEP, None),
        RawReading("gas-register", T + STEP, Decimal(MODULUS)),
    ]
    known = {("gas-register", T): 100}
    found, fresh, _ = amounts(COUNTERS, odd, lambda *place: known.get(place), NOW)
    assert (found, fresh) == ([], [])
    later = [RawReading("gas-register", T + STEP, Decimal("10.5"))]
    assert amounts(COUNTERS, later, lambda *place: known.get(place), T)[0] == []
    found, _, verdicts = amounts(COUNTERS, later, lambda *place: known.get(place), T + STEP)
    assert found == [RawReading("gas", T, Decimal("0.5"))] and verdicts == {"counted": 1}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{", "not_a_reading"),
        (b"[]", "not_a_frame"),
        (b'{"data": 5}', "not_a_frame"),
        (b'{"data": "%%"}', "not_a_frame"),
        (wrapped(b"none"), "not_a_frame"),
        (wrapped(modem.encode(1, [Measured(1, T, 1)])), "no_readings"),
    ],
)
def test_what_is_no_frame_is_refused_by_name(message: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        Modems([FIELD_7], Refusals("test")).take("up/7", message)
    assert caught.value.reason == reason


def test_a_frame_is_known_again_whatever_the_server_says_around_it() -> None:
    frame = modem.encode(3, [Measured(0, T, -15, ord("M")), Measured(7, T, 1)])
    inner = {"uplink_message": {"frm_payload": frame.hex()}}
    other = FIELD_7.model_copy(update={"topic": "hex", "field": "uplink_message.frm_payload", "encoding": "hex"})
    raw = FIELD_7.model_copy(update={"topic": "raw", "field": None})
    refusals = Refusals("test")
    modems = Modems([FIELD_7, other, raw], refusals)
    expected = Arrival("field-7", frame, (RawReading("gas-register", T, Decimal("-1.5"), "M"),))
    for topic, message in (("up/7", wrapped(frame)), ("hex", json.dumps(inner).encode()), ("raw", frame)):
        assert modems.take(topic, message) == expected
    assert refusals.counts == {"unknown_point": 3, "frames_missing": 0}
    modems.take("raw", modem.encode(6, [Measured(0, T, 1)]))
    assert refusals.counts["frames_missing"] == 2
    modems.take("raw", modem.encode(5, [Measured(0, T, 1)]))
    assert refusals.counts["frames_missing"] == 1


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def written(folder: Path, port: int, **changed: Any) -> Path:
    stated = {"link": {"kind": "lora", "spreading": 7}, "state": str(folder / "modem.json"), "topic": "up/7"}
    stated |= {"broker": {"host": "127.0.0.1", "port": port}, "field": "data"}
    stated |= {"points": [{"point": "gas", "scale": 1}]}
    (folder / "modem.yaml").write_text(json.dumps(stated | changed))
    return folder / "modem.yaml"


def test_what_a_modem_is_given_arrives_at_the_gateway(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"".join(b'{"point": "gas", "at": %d, "value": %d.5}\n' % (T + STEP * n, n) for n in range(20))
    (tmp_path / "lines").write_bytes(lines + b"nonsense\n")
    kept = Kept()

    async def run() -> tuple[int, str, str]:
        async with mqtt_broker() as port:
            heard = MqttSettings(host="127.0.0.1", port=port, client_id="g", topics=("up/+",), modems=(FIELD_7,))
            async with serving(MqttSource(heard).serve(kept)):
                file = written(tmp_path, port)
                while not kept.arrivals:
                    with (tmp_path / "lines").open() as given:
                        monkeypatch.setattr("sys.stdin", given)
                        said = await asyncio.to_thread(invoke, "meter", "modem", "--config", str(file))
                return said

    code, _, said = asyncio.run(run())
    assert (code, "refused: not_a_reading" in said) == (2, True)
    assert len(kept.arrivals) == 1 and len(kept.arrivals[0].raw) < 80
    assert kept.arrivals[0].readings == tuple(
        RawReading("gas-register", T + STEP * n, Decimal(n) + Decimal("0.5")) for n in range(20)
    )


def test_a_live_gateway_counts_from_the_frames_that_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAST_SECONDS", 0.1)
    frames = frames_of([9_900, 9_950, 0, 10, 30, 60, 60, 70, 75, 80, 90, 95], tmp_path)
    sent = [frames[0], frames[-1], frames[2], frames[1]]
    came = [one.at for frame in sent for one in modem.decode(frame).readings]

    async def run(store: Store) -> dict[str, Any]:
        async with mqtt_broker() as port:
            heard = MqttSettings(host="127.0.0.1", port=port, client_id="g", topics=("up/+",), modems=(FIELD_7,))
            made = gateway(store, {"mqtt": MqttSource(heard)}, counters=COUNTERS)
            stop = asyncio.Event()
            running = asyncio.create_task(made.run(stop))
            for kept, frame in enumerate(sent, 1):
                while made.inbox.counts["kept"] < kept:
                    await send_by_mqtt(Broker(host="127.0.0.1", port=port), "up/7", wrapped(frame))
            stop.set()
            await running
            return made.state()

    with Store(tmp_path / "live.sqlite") as store:
        state = asyncio.run(run(store))
        bodies = [packet.decode_body(stored.body) for stored in store.unsent()]
    found = Counter(body.points[point] for body in bodies for point in body.point.tolist())
    assert len(frames) > 4 and state["sources"]["mqtt"]["frames_missing"] == len(frames) - 4
    assert found["gas-register"] == len(came)
    assert found["gas"] == sum(at + STEP in came for at in came) == sum(state["steps"].values())
    assert state["steps"]["rolled over"] == 1


def test_what_a_broker_does_not_take_waits_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.edge.field.RETRY_SECONDS", 0.01)
    stated = field_settings(written(tmp_path, 1))
    line = b'{"point": "gas", "at": %d, "value": 1}' % T

    async def run() -> None:
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        lines.put_nowait(line)
        lines.put_nowait(None)
        failed, said = asyncio.Event(), list[str]()
        sender = FieldModem(stated.link.link(), stated.state)
        task = asyncio.create_task(relay(stated, sender, lines, lambda text: (said.append(text), failed.set())[0]))
        await failed.wait()
        task.cancel()
        assert said[0].startswith("not sent")

    asyncio.run(run())
    again = FieldModem(stated.link.link(), stated.state).next(T)
    assert isinstance(again, bytes) and modem.decode(again).readings == (Measured(0, T, 10),)


def test_readings_wait_for_their_link(tmp_path: Path) -> None:
    sender = FieldModem(lora(9), tmp_path / "modem.json")
    sender.give([Measured(0, T, 1)], T)
    assert sender.next(T + 5) == Wait(T + HOUR_MS, "early")
    assert FieldModem(lora(9), tmp_path / "modem.json").next(T + 5) == Wait(T + HOUR_MS, "early")
    assert isinstance(sender.next(T + HOUR_MS), bytes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"link": {"kind": "lora", "spreading": 13}},
        {"link": {"kind": "satellite", "windows": [["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]]}},
        {"points": []},
        {"more": 1},
    ],
)
def test_settings_that_are_wrong_are_said(invoke: Invoke, tmp_path: Path, wrong: dict[str, object]) -> None:
    code, _, said = invoke("meter", "modem", "--config", str(written(tmp_path, 1, **wrong)))
    assert (code, next(iter(wrong)) in said) == (2, True)


def test_a_line_of_another_meter_is_refused(tmp_path: Path) -> None:
    stated = field_settings(written(tmp_path, 1))
    for line in (b'{"point": "x", "at": 1, "value": 1}', b'{"point": "gas", "at": 1, "value": null}'):
        with pytest.raises(RefusedError):
            readings_of(stated, line)
