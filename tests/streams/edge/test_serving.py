"""A live gateway follows the ledger: another run, a revocation and what it read before, on librdkafka's own cluster."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from carbon import packet, signing
from carbon.refusal import Refusal
from consensus.log.committee import AHEAD
from consensus.member.publisher import messages_of
from schemas import codec, topics
from streams import registrations
from streams.edge import config, live, serving
from streams.edge.config import LiveConfig
from streams.edge.signer import Signer
from streams.edge.sources import RawReading
from streams.edge.store import Store
from streams.registrations import Registrations, Standing, in_force_by, standing_of
from tests.consensus.test_registration import Scene
from tests.registrars import entry, rotation
from tests.small import genesis_bytes, seed
from tests.streams.edge.test_downlink import kafka as kafka  # the fixture
from tests.streams.edge.test_downlink import messages

FIRST = 1 + AHEAD


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "ASK_EVERY", 0.01)
    monkeypatch.setattr(live, "LAST_SECONDS", 0.1)
    monkeypatch.setattr(live, "REPORT_SECONDS", 0.01)


def changed(change: Callable[[Scene], tuple[str, dict[str, Any]]]) -> Scene:
    """A ledger at whose height FIRST another registry is in force."""
    scene = Scene()
    assert scene.change(change(scene)) is Refusal.PASS
    scene.until(AHEAD)
    return scene


@pytest.fixture(scope="module")
def rotated() -> Scene:
    return changed(lambda scene: rotation(scene.now, "gw-0", "next"))


@pytest.fixture(scope="module")
def revoked() -> Scene:
    return changed(lambda scene: entry(scene.now, "gateways", "gw-0", revoked=True))


def publish(kafka: dict[str, str], packages: list[bytes]) -> None:
    producer = Producer(kafka)
    for topic in (topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS):
        while not producer.list_topics(topic, timeout=10).topics[topic].partitions:
            pass
    for package in packages:
        for topic, key, value in messages_of(package):
            producer.produce(topic, value, key, partition=0)
    assert producer.flush(10) == 0


def first_of(scene: Scene) -> Any:
    return scene.ledger.registries[0]


def reader(kafka: dict[str, str], scene: Scene, file: Path) -> Registrations:
    return Registrations(kafka, scene.world.genesis, first_of(scene), "reader", file)


def test_a_reader_comes_to_the_registry_in_force_and_goes_on_from_its_file(
    kafka: dict[str, str], rotated: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kept = tmp_path / "ledger.json", rotated.store.kept
    publish(kafka, kept[:-1])
    one = reader(kafka, rotated, file)
    assert one.catch_up(30) and one.in_force() == (0, first_of(rotated))
    one.close()
    publish(kafka, kept[-1:])
    taken: list[int] = []
    monkeypatch.setattr(Registrations, "_take_in", lambda _, block, __: taken.append(block.block.height))
    again = reader(kafka, rotated, file)
    assert again.catch_up(30) and taken == [AHEAD]
    height, now = again.in_force()
    assert (height, now.digest) == (FIRST, rotated.now.digest)
    again.close()
    height, now = in_force_by(standing_of(file), first_of(rotated))
    assert (height, now.digest) == (FIRST, rotated.now.digest)


def test_a_file_that_is_damaged_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "ledger.json"
    for text in ("", "{}", "[]", '{"position": 5, "offsets": {}, "registrations": {}}'):
        file.write_text(text)
        assert standing_of(file) == Standing() == standing_of(tmp_path / "none")


def test_a_ledger_that_ends_too_far_off_is_said(kafka: dict[str, str], rotated: Scene, tmp_path: Path) -> None:
    publish(kafka, rotated.store.kept[2:])
    one = reader(kafka, rotated, tmp_path / "ledger.json")
    assert not one.catch_up(2), "blocks whose predecessors are missing are not taken in"
    one.close()


def settings(kafka: dict[str, str], scene: Scene, folder: Path, **changes: Any) -> LiveConfig:
    for name, data in (("registry", first_of(scene).file), ("genesis", genesis_bytes(first_of(scene).file))):
        (folder / f"{name}.json").write_bytes(data)
    for name in ("gw-0", "next"):
        (folder / f"{name}.seed").write_text(seed(name).hex())
        (folder / f"{name}.seed").chmod(0o600)
    stated = {
        "gateway": "gw-0",
        "run": 0,
        "seed_file": str(folder / "gw-0.seed"),
        "channel": scene.world.channel.hex(),
        "kafka": kafka,
        "folder": str(folder / "edge"),
        "packet": {"silence": 0.05},
        "sources": [{"kind": "hj212", "port": 0, "devices": []}],
        **{name: str(folder / f"{name}.json") for name in ("genesis", "registry")},
    }
    (folder / "edge.json").write_text(json.dumps(stated | changes))
    loaded = config.load(folder / "edge.json")
    assert isinstance(loaded, LiveConfig)
    return loaded


def served(loaded: LiveConfig, store: Store, turns: Callable[[Callable[[], dict[str, Any]]], Awaitable[None]]) -> None:
    """Serve while `turns` goes on, which is given what the status says."""

    def status() -> dict[str, Any]:
        file = loaded.status_file
        return dict(json.loads(file.read_text())) if file.exists() else {}

    async def run() -> None:
        stop = asyncio.Event()
        serving_ = asyncio.create_task(serving.serve(loaded, store, stop))
        watching = asyncio.create_task(asyncio.wait_for(turns(status), 60))
        await asyncio.wait([serving_, watching], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await serving_
        await watching

    asyncio.run(run())


async def until(status: Callable[[], dict[str, Any]], **stands: Any) -> None:
    while not stands.items() <= status().items():
        await asyncio.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "edge").mkdir()
    with Store(tmp_path / "edge" / "store.sqlite", keep_ms=3_600_000, keep_bytes=1 << 30) as store:
        yield store


def test_a_new_key_takes_over_when_its_run_is_in_force(
    kafka: dict[str, str], rotated: Scene, store: Store, tmp_path: Path
) -> None:
    now = live._now()
    signer = Signer("gw-0", 0, seed("gw-0"), rotated.world.channel, {})
    store.append(*signer.packet(store.head(), [RawReading("plant-0-0", now - 5, Decimal(7))], now - 1), str(now - 1))
    loaded = settings(kafka, rotated, tmp_path, next_seed_file=str(tmp_path / "next.seed"))

    async def turns(status: Callable[[], dict[str, Any]]) -> None:
        await until(status, run=0, registry=0, unsent=0)
        publish(kafka, rotated.store.kept)
        await until(status, run=1, registry=FIRST, unsent=0, refusal="")

    served(loaded, store, turns)
    sent = [codec.decode("packet", message) for message in messages(kafka, topics.METER_READINGS, 2)]
    bodies = [packet.decode_body(one["body"]) for one in sent]
    (first,) = [one for one in bodies if (one.run, one.sequence) == (0, 1)]
    assert (first.points, first.value.tolist()) == (("plant-0-0",), [7])
    kept = [packet.decode_body(stored.body) for stored in store._packets(0)]
    assert {one.run for one in kept} == {1}
    assert (kept[0].points, kept[0].value.tolist(), kept[0].sent_at) == (("plant-0-0",), [7], now - 1)
    stored = next(store._packets(0))
    key = signing.public_key(seed("next"))
    assert signing.verify(key, packet.KIND, rotated.world.channel, stored.body, stored.signature)


def test_the_next_start_goes_by_what_was_read_without_the_broker(
    kafka: dict[str, str], rotated: Scene, store: Store, tmp_path: Path
) -> None:
    publish(kafka, rotated.store.kept)
    one = reader(kafka, rotated, tmp_path / "edge" / "ledger.json")
    assert one.catch_up(30)
    one.close()
    away = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    loaded = settings(away, rotated, tmp_path, next_seed_file=str(tmp_path / "next.seed"))
    served(loaded, store, lambda status: until(status, run=1, registry=FIRST))


@pytest.mark.parametrize("what", ["revoked", "another key"])
def test_without_a_key_that_counts_it_keeps_what_comes_and_sends_nothing(
    kafka: dict[str, str], rotated: Scene, revoked: Scene, store: Store, tmp_path: Path, what: str
) -> None:
    scene = revoked if what == "revoked" else rotated
    loaded = settings(kafka, scene, tmp_path)

    async def turns(status: Callable[[], dict[str, Any]]) -> None:
        await until(status, run=0, unsent=0)
        publish(kafka, scene.store.kept)
        while "run" not in status().get("refusal", ""):
            await asyncio.sleep(0.01)
        at = status()["sequence"]
        while status()["sequence"] < at + 5:
            await asyncio.sleep(0.01)

    served(loaded, store, turns)
    stated = json.loads(loaded.status_file.read_text())
    assert stated["registry"] == FIRST and stated["unsent"] >= 5 and stated["done"]
    says = "is revoked" if what == "revoked" else "with a key that is not at hand"
    assert says in stated["refusal"]


def test_a_registry_that_contradicts_the_settings_changes_nothing(
    kafka: dict[str, str], store: Store, tmp_path: Path
) -> None:
    scene = changed(lambda scene: entry(scene.now, "points", "plant-0-0", max=7))
    loaded = settings(kafka, scene, tmp_path)
    mine = config.terms(loaded, store, first_of(scene))
    assert not serving._are_other(loaded, store, mine, scene.now)
    contradicting = loaded.model_copy(update={"scales": {"plant-0-0": 2}})
    assert not serving._are_other(contradicting, store, mine, scene.now)
    assert serving._are_other(loaded, store, mine._replace(future_ms=1), scene.now)


def test_what_fails_while_following_is_tried_again(monkeypatch: pytest.MonkeyPatch, rotated: Scene) -> None:
    monkeypatch.setattr(registrations, "RETRY_SECONDS", 0.0)
    opened: list[int] = []

    def open_() -> Any:
        opened.append(0)
        if len(opened) == 3:
            following.stop.set()
        raise OSError("no room")

    following = registrations.Following(open_, (0, first_of(rotated)))
    following.run()
    assert len(opened) == 3 and following.now == (0, first_of(rotated))
