"""The intake: what it reads and refuses, and that a kill at any moment neither loses nor doubles a reading."""

import json
import math
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from carbon import factors, packet, registry, signing
from carbon.registry import canonical_json
from schemas import codec, topics
from streams import intake
from streams.edge.sources import RawReading
from streams.edge.store import Store
from streams.intake import Intake, IntakeConfig, OtherKeyError, Position, RefusedError, read
from tests.streams.pipeline import Worker, reset, send, tap, wait_until
from tests.streams.world import MINUTE, START, World, seed

GATEWAY = "intake"


@pytest.fixture(scope="module")
def world() -> World:
    return World({GATEWAY: ["p-1", "p-2"], "other": ["q-1"]})


def single(**changes: object) -> bytes:
    return json.dumps({"point": "p-1", "at": START, "value": "12.5", **changes}).encode()


def test_json_and_avro_are_read_alike(world: World) -> None:
    wanted = RawReading("p-1", START, Decimal("12.5"), "N")
    avro = codec.encode("reading", {"point": "p-1", "at": START, "value": "12.5", "flag": "N"})
    assert read(single(), world.registry, GATEWAY) == read(avro, world.registry, GATEWAY) == wanted
    assert read(single(flag="M"), world.registry, GATEWAY).flag == "M"


def test_a_number_in_json_keeps_its_own_digits(world: World) -> None:
    message = b'{"point": "p-1", "at": %d, "value": 0.1000000000000000055511151231257827}' % START
    assert read(message, world.registry, GATEWAY).value == Decimal("0.1000000000000000055511151231257827")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "not_a_reading"),
        (b"{", "not_a_reading"),
        (b"[]", "not_a_reading"),
        (b"[" * 100_000, "not_a_reading"),
        (b"\xff\xfe", "not_a_reading"),
        (b"\0\0\0\0\x03", "not_a_reading"),
        (b"\0\0\0\0\x63abc", "not_a_reading"),
        (single(at="1"), "not_a_reading"),
        (single(at=True), "not_a_reading"),
        (single(at=-1), "not_a_reading"),
        (single(at=1 << 60), "not_a_reading"),
        (single(flag="NN"), "not_a_reading"),
        (single(flag="ü"), "not_a_reading"),
        (single(more=1), "not_a_reading"),
        (single(point=7), "not_a_reading"),
        (single(point="nobody"), "unknown_point"),
        (single(point="q-1"), "unknown_point"),
        (single(value="NaN"), "not_a_number"),
        (single(value="abc"), "not_a_number"),
        (single(value=None), "not_a_number"),
        (single(value=True), "not_a_number"),
        (single(value=float("inf")), "not_a_number"),
        (single(value="1e999999999"), "not_a_number"),
        (single(value=str(1 << 63)), "not_a_number"),
        (b'{"point": "p-1", "at": 1, "value": %s}' % (b"9" * 10_000), "not_a_number"),
    ],
)
def test_what_is_no_reading_is_refused_by_name(world: World, message: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read(message, world.registry, GATEWAY)
    assert refused.value.reason == reason


def test_a_position_is_read_back_as_it_was() -> None:
    position = Position({0: 5, 3: 7}, START)
    assert Position.load(position.dump()) == position
    assert Position.load("") == Position()


class Alone(Intake):
    """An intake without a broker: what it sends is kept."""

    def __init__(self, config: IntakeConfig, store: Store) -> None:
        super().__init__(config, store, Event())
        self._consumer.close()
        self._consumer = self  # type: ignore[assignment]
        self.sent: list[tuple[str, bytes]] = []

    def _produce(self, topic: str, key: bytes | None, value: bytes, headers: Any = None) -> None:
        self.sent.append((topic, value))

    def commit(self, **_: Any) -> None:
        """Nobody reads the lag."""


class Single:
    """A message of meter.single."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset, self._value = offset, value

    def value(self) -> bytes:
        return self._value

    def key(self) -> None:
        return None

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


def test_a_point_is_taken_once_its_registry_is_in_force(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = json.loads(World({GATEWAY: ["p-1", "p-9"]}).registry_file)
    file["points"][-1]["scale"] = 1
    later, now = registry.parse(canonical_json(file), factors.load()), [(0, world.registry)]
    kafka = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    config = IntakeConfig(kafka, world.channel, lambda: now[0], GATEWAY, seed(GATEWAY), tmp_path, replay=True)
    with Store(tmp_path / "intake.sqlite") as store:
        alone, new = Alone(config, store), single(point="p-9")
        monkeypatch.setattr(intake, "ASK_EVERY", math.inf)
        alone._take([Single(0, new), Single(1, single())])  # type: ignore[list-item]
        now[0] = 70, later
        alone._take([Single(2, new)])  # type: ignore[list-item]
        monkeypatch.setattr(intake, "ASK_EVERY", 0.0)
        alone._take([Single(3, new)])  # type: ignore[list-item]
        now[0] = 0, world.registry  # as the copies of the ledger say that are left when the newest is damaged
        alone._take([Single(4, new)])  # type: ignore[list-item]
    names = [topic for topic, _ in alone.sent]
    letters_, packets_ = [topics.READINGS_REJECTED], [topics.METER_READINGS]
    assert names == letters_ + packets_ + letters_ + 3 * packets_
    found = [packet.verify(value, later, world.channel) for topic, value in alone.sent if [topic] == packets_]
    assert [one.points for one in found] == [("p-1",), (), ("p-9",), ("p-9",)]
    assert [int(one.value[0]) for one in found[2:]] == [125, 125]


def test_a_next_run_begins_with_what_was_kept_and_takes_its_own_key(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "ASK_EVERY", 0.0)
    file, other = json.loads(world.registry_file), b"\7" * 32
    entry = next(one for one in file["gateways"] if one["id"] == GATEWAY)
    entry |= {"run": entry["run"] + 1, "retired": [entry["key"]], "key": signing.public_key(other).hex()}
    later, now = registry.parse(canonical_json(file), factors.load()), [(0, world.registry)]
    kafka = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    config = IntakeConfig(kafka, world.channel, lambda: now[0], GATEWAY, seed(GATEWAY), tmp_path, replay=True)
    with Store(tmp_path / "intake.sqlite") as store:
        alone = Alone(config, store)
        alone._take([Single(0, single())])  # type: ignore[list-item]
        now[0] = 70, later
        for start in (lambda: alone._take([Single(1, single())]), lambda: Alone(config, store)):  # type: ignore[list-item]
            with pytest.raises(OtherKeyError, match="start it with that key's seed"):
                start()
        again = Alone(replace(config, seed=other), store)
        again._take([Single(1, single(at=START + MINUTE))])  # type: ignore[list-item]
        kept = [
            packet.verify(codec.encode("packet", {"body": p.body, "signature": p.signature}), later, world.channel)
            for p in store._packets(0)
        ]
    assert [(p.run, p.sequence, p.points) for p in kept] == [(entry["run"], 1, ("p-1",)), (entry["run"], 2, ("p-1",))]
    assert [int(p.at[0]) for p in kept] == [START, START + MINUTE]


@pytest.mark.broker
def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(broker: str, world: World, tmp_path: Path) -> None:
    reset(broker)
    rng = random.Random(7)
    wanted: Counter[tuple[str, int, int]] = Counter()
    refused = 0
    with (
        Worker("intake", tmp_path, broker, world, replay=True, age=0.05) as worker,
        tap(broker, topics.METER_READINGS) as sent,
        tap(broker, topics.READINGS_REJECTED) as rejected,
    ):
        for turn in range(4):
            rows = [("p-1" if k % 2 else "p-2", START + MINUTE * (1000 * turn + k), k) for k in range(300)]
            wanted.update(rows)
            bad = [(b"x", b"no reading %d %d" % (turn, k)) for k in range(3)]
            refused += len(bad)
            good = [(p, single(point=p, at=at, value=str(v))) for p, at, v in rows]
            mixed = [*good, *bad]
            rng.shuffle(mixed)
            send(broker, topics.METER_SINGLE, mixed)
            before = len(sent.messages)
            wait_until(lambda before=before: bool(sent.poll()) or len(sent.messages) > before, "a packet")
            if turn < 3:
                worker.kill()
                worker.start()
        wait_until(
            lambda: sent.poll() is not None and sum(counted(world, sent.messages).values()) >= 1200, "the packets"
        )
        wait_until(lambda: rejected.poll() is not None and len(letters(rejected.messages)) >= refused, "the letters")
        assert worker.stop() == 0
    assert counted(world, sent.messages) == wanted
    assert len(letters(rejected.messages)) == refused
    assert {m.key() for m in sent.messages} == {GATEWAY.encode()}


def counted(world: World, messages: list[object]) -> Counter[tuple[str, int, int]]:
    """The readings of the packets; a packet that was sent twice has the same bytes and counts once."""
    packets = {}
    for message in messages:
        found = packet.verify(message.value(), world.registry, world.channel)  # type: ignore[attr-defined]
        assert packets.setdefault(found.sequence, found.digest) == found.digest
        packets[found.sequence] = found.digest
    distinct = {m.value() for m in messages}  # type: ignore[attr-defined]
    all_ = [packet.verify(value, world.registry, world.channel) for value in distinct]
    chain = sorted(all_, key=lambda p: p.sequence)
    assert [p.previous for p in chain[1:]] == [p.digest for p in chain[:-1]]
    return Counter(
        (p.points[i], int(at), int(v)) for p in chain for i, at, v in zip(p.point, p.at, p.value, strict=True)
    )


def letters(messages: list[object]) -> set[tuple[bytes, str]]:
    """The distinct dead letters, by their identity."""
    found = [codec.decode("rejection", m.value()) for m in messages]  # type: ignore[attr-defined]
    return {(letter["original"], item["reason"]) for letter in found for item in letter["items"]}
