"""The gateway as a process, with a real broker: killed without warning, it loses nothing and signs nothing twice."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from carbon import signing
from carbon.packet import KIND, Packet, decode_body
from schemas import codec
from schemas.observed import Observed
from streams.edge import gateway
from streams.edge.gateway import Gateway, GatewayConfig, GatewayError
from streams.edge.signer import SeedError, read_seed
from streams.edge.sources.simbench import FIRST_MS, STEP_MS
from streams.edge.store import Store

SEED = bytes(range(32))
CHANNEL = sha256(b"a channel").digest()
DAY_MS = 86_400_000
DAYS = 60
METERS = [
    {"point": "coal", "table": "PowerPlant", "name": "EHV Gen 84"},
    {"point": "lignite", "table": "PowerPlant", "name": "EHV Gen 42"},
]


@pytest.fixture
def config(tmp_path: Path, broker: str, topic_factory: Callable[..., str]) -> dict[str, Any]:
    (tmp_path / "edge.seed").write_text(SEED.hex() + "\n")
    return {
        "gateway": "edge-1",
        "run": 3,
        "seed_file": str(tmp_path / "edge.seed"),
        "channel": CHANNEL.hex(),
        "kafka": {"bootstrap.servers": broker},
        "topic": topic_factory(4),
        "store": str(tmp_path / "edge.db"),
        "progress": str(tmp_path / "edge.json"),
        "replay": {
            "meters": METERS,
            "rows": DAYS * 96,
            "span_seconds": 86_400,
            "until": FIRST_MS + DAYS * DAY_MS + 3_600_000,
        },
        "once": True,
    }


class Running:
    """A gateway process on a configuration file."""

    def __init__(self, config: dict[str, Any], tmp_path: Path) -> None:
        file = tmp_path / "edge.config.json"
        file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "streams.edge.gateway", str(file)]
        self.errors = tmp_path / "edge.errors"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(command, stdout=errors, stderr=errors)

    def wait(self) -> int:
        return self.process.wait(120)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Running]]:
    started: list[Running] = []

    def start(config: dict[str, Any]) -> Running:
        started.append(Running(config, tmp_path))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def messages(config: dict[str, Any]) -> list[tuple[bytes, bytes, int]]:
    """Key, value and partition of everything that stands on the topic."""
    consumer = Consumer({**config["kafka"], "group.id": "none", "enable.auto.commit": False})
    found = []
    try:
        for partition in range(4):
            place = TopicPartition(config["topic"], partition, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=30)
            consumer.assign([place])
            while end and (not found or found[-1][2] != partition or found[-1][3] < end - 1):
                message = consumer.poll(30)
                assert message is not None and message.error() is None
                found.append((message.key(), message.value(), partition, message.offset()))
    finally:
        consumer.close()
    return [(key, value, partition) for key, value, partition, _ in found]


def chain(config: dict[str, Any]) -> list[Packet]:
    """The packets on the topic by sequence: of one key on one partition, each signed, no place taken twice."""
    on_topic = messages(config)
    assert {key for key, _, _ in on_topic} == {b"edge-1"} and len({partition for _, _, partition in on_topic}) == 1
    by_sequence: dict[int, set[bytes]] = defaultdict(set)
    for _, value, _ in on_topic:
        fields = codec.decode("packet", value)
        assert signing.verify(signing.public_key(SEED), KIND, CHANNEL, fields["body"], fields["signature"])
        by_sequence[decode_body(fields["body"]).sequence].add(value)
    assert all(len(values) == 1 for values in by_sequence.values())
    packets = [decode_body(codec.decode("packet", by_sequence[n].pop())["body"]) for n in sorted(by_sequence)]
    assert [packet.sequence for packet in packets] == list(range(1, len(packets) + 1))
    assert [p.previous for p in packets] == [bytes(32), *(p.digest for p in packets[:-1])]
    return packets


def check_whole(packets: list[Packet]) -> None:
    """Every reading of the replay once, and a last empty packet past the last window and its lateness."""
    *full, last = packets
    readings = [(p.points[i], at) for p in full for i, at in zip(p.point.tolist(), p.at.tolist(), strict=True)]
    wanted = {(m["point"], FIRST_MS + i * STEP_MS) for m in METERS for i in range(DAYS * 96)}
    assert len(readings) == len(wanted) and set(readings) == wanted
    assert (len(last), last.sent_at) == (0, FIRST_MS + DAYS * DAY_MS + 3_600_000)
    assert [p.sent_at for p in full] == [FIRST_MS + (i + 1) * DAY_MS for i in range(DAYS)]
    assert len({p.salt for p in packets}) == len(packets)
    assert {(p.gateway, p.run, p.lost) for p in packets} == {("edge-1", 3, 0)}


def stored(config: dict[str, Any]) -> int:
    """The sequence that a running gateway's progress file states; 0 before it is there."""
    file = Path(config["progress"])
    return int(json.loads(file.read_text())["sequence"]) if file.exists() else 0


def kill_at(running: Running, config: dict[str, Any], sequence: int) -> None:
    while stored(config) < sequence:
        assert running.process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    running.process.kill()
    assert running.wait() == -9


@pytest.mark.broker
def test_a_whole_replay(config: dict[str, Any], run: Callable[[dict[str, Any]], Running]) -> None:
    assert run(config).wait() == 0
    check_whole(chain(config))
    assert len(messages(config)) == DAYS + 1
    assert json.loads(Path(config["progress"]).read_text()) == {
        "gateway": "edge-1",
        "sequence": DAYS + 1,
        "delivered": DAYS + 1,
        "readings": 2 * 96 * DAYS,
        "sent_at": FIRST_MS + DAYS * DAY_MS + 3_600_000,
        "done": True,
    }


@pytest.mark.broker
def test_kill_9_loses_and_repeats_nothing(config: dict[str, Any], run: Callable[[dict[str, Any]], Running]) -> None:
    slow = {**config, "speed": 5 * 86_400.0, "max_in_flight": 4}
    for sequence in (2, 5, 9):
        kill_at(run(slow), config, sequence)
        assert stored(config) <= DAYS
    assert run(config).wait() == 0
    check_whole(chain(config))


@pytest.mark.broker
@pytest.mark.parametrize("count", [3, DAYS + 1])
def test_packets_that_were_stored_but_not_sent_go_out_with_their_bytes(
    config: dict[str, Any], run: Callable[[dict[str, Any]], Running], count: int
) -> None:
    made = GatewayConfig.model_validate(config)
    with Store(made.store) as store:
        kept = [Gateway(made, store, Event(), Observed())._keep(block) for block in first_blocks(made, count)]
    assert run(config).wait() == 0
    packets = chain(config)
    assert [packet.body for packet in packets[:count]] == [packet.body for packet in kept]
    check_whole(packets)
    with Store(made.store) as store:
        assert (store.sent(), list(store.unsent())) == (DAYS + 1, [])


def first_blocks(config: GatewayConfig, count: int) -> list[Any]:
    return list(gateway.SimbenchReplay(config.replay).blocks(""))[:count]


@pytest.mark.broker
def test_sigterm_ends_it_in_order_and_it_goes_on(
    config: dict[str, Any], run: Callable[[dict[str, Any]], Running]
) -> None:
    running = run({**config, "speed": 5 * 86_400.0})
    while stored(config) < 3:
        assert running.process.poll() is None
        time.sleep(0.005)
    running.process.terminate()
    assert running.wait() == 0
    assert not json.loads(Path(config["progress"]).read_text())["done"]
    delivered = len(chain(config))
    assert 3 <= delivered <= DAYS
    assert run(config).wait() == 0
    check_whole(chain(config))
    assert len(messages(config)) == DAYS + 1


@pytest.mark.broker
def test_a_service_idles_until_it_is_told(config: dict[str, Any], run: Callable[[dict[str, Any]], Running]) -> None:
    running = run({**config, "once": False})
    while not (stored(config) and json.loads(Path(config["progress"]).read_text())["done"]):
        assert running.process.poll() is None
        time.sleep(0.02)
    assert running.process.poll() is None
    running.process.terminate()
    assert running.wait() == 0
    assert run(config).wait() == 0
    assert len(messages(config)) == DAYS + 1


@pytest.mark.broker
def test_a_refused_packet_ends_it_and_stays_in_the_store(
    config: dict[str, Any], run: Callable[[dict[str, Any]], Running], topic_factory: Callable[..., str]
) -> None:
    running = run({**config, "topic": topic_factory(4, max_message_bytes="500")})
    assert running.wait() == 1
    said = running.errors.read_text()
    assert "edge-1" in said and "packet 1 was refused" in said
    assert run(config).wait() == 0
    check_whole(chain(config))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"channel": "00"}, "channel"),
        ({"unheard": 1}, "unheard"),
        ({"kafka": None}, "kafka"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    file = tmp_path / "config.json"
    given = {"gateway": "g", "seed_file": "s", "channel": "00" * 32, "kafka": {"sasl.password": "hush"}, "store": "x"}
    given["replay"] = {"meters": [], "rows": 0, "span_seconds": 900, "until": 0}
    file.write_text(json.dumps({**given, **changed}))
    with pytest.raises(GatewayError, match=says) as raised:
        gateway.load(file)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 31])
def test_a_wrong_seed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "seed").write_text(text)
    with pytest.raises(SeedError, match="seed"):
        read_seed(tmp_path / "seed")
