"""Seeded kill rounds: a real sink over a real broker, killed at random moments, must lose and repeat nothing.

The messages hold what at-least-once delivery brings: packets twice and out of order, a block twice, payloads late,
the same rejection at two offsets, noise. Their readings are of two years, so that an insert would be two parts if the
table were partitioned by time. `python -m tests.sinks.kill --rounds 60 --seed 1` is the long run.
"""

import argparse
import multiprocessing
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from carbon.packet import decode_body
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from sinks.clickhouse import engine
from sinks.clickhouse.query import QueryError, query
from sinks.clickhouse.sink import Config, main
from tests.sinks.messages import NEW_YEAR, REFERENCE, Ledger, balance, coded, record_payload, rejection

DAY = 86_400_000
GATEWAYS = 5
SETTLE_SECONDS = 120.0
CONTENT = {
    "readings": "SELECT gateway, run, sequence, `index`, toUnixTimestamp64Milli(at), value FROM readings",
    "rejections": "SELECT sequence, `index` FROM rejections",
    "balances": "SELECT account, debit_g, height FROM balances",
    "blocks": "SELECT height, tree_size FROM blocks",
    "votes": "SELECT height, member, certified FROM votes",
    "records": "SELECT height, leaf_index, quantity FROM records",
    "postings": "SELECT height, account, debit, balance FROM postings WHERE kind = 'emissions'",
    "errors": "SELECT topic, reason != '' FROM sink_errors",
}


def _delivered(error: object, _: object) -> None:
    assert error is None, error


@dataclass
class Traffic:
    """What was sent, and what the tables must hold of it."""

    producer: Producer
    rng: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    expected: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {table: [] for table in CONTENT})
    sequence: int = 0
    late: list[bytes] = field(default_factory=list)
    posted: Counter[str] = field(default_factory=Counter)

    def send(self, topic: str, value: bytes, partition: int = 0) -> None:
        self.producer.produce(topic, value, b"key", partition, on_delivery=_delivered)

    def round(self, packets: int) -> None:
        """One round's messages of every kind."""
        for _ in range(packets):
            self._packet()
        self._rejections()
        for _ in range(5):
            self._block()
        self.send(topics.READINGS_CODED, b"noise", self.rng.randrange(4))
        self.expected["errors"].append((topics.READINGS_CODED, True))
        self.producer.flush()

    def _packet(self) -> None:
        self.sequence += 1
        number, gateway = divmod(self.sequence, GATEWAYS)
        start = NEW_YEAR + self.rng.randrange(-30, 30) * DAY
        value = coded(number + 1, 120, start, gateway=f"gw-{gateway}")
        packet = decode_body(codec.decode("coded-packet", value)["body"])
        rows = zip(range(120), packet.at.tolist(), packet.value.tolist(), strict=True)
        self.expected["readings"] += [(packet.gateway, 1, packet.sequence, *row) for row in rows]
        order = self.rng.random()
        if order < 0.1:
            self.late.append(value)  # fills a hole, later or at the end
            return
        for _ in range(2 if order > 0.8 else 1):
            self.send(topics.READINGS_CODED, value, gateway % 4)
        if self.late and order > 0.7:
            self.release()

    def release(self) -> None:
        """Send the packet that has waited longest."""
        late = self.late.pop(0)
        gateway = codec.decode("coded-packet", late)["gateway"]
        self.send(topics.READINGS_CODED, late, int(gateway[3:]) % 4)

    def _rejections(self) -> None:
        for _ in range(5):
            number = len(self.expected["rejections"]) // 3
            self.expected["rejections"] += [(number, index) for index in range(3)]
            for _ in range(self.rng.choice([1, 2])):
                self.send(topics.READINGS_REJECTED, rejection(number, 3))

    def _block(self) -> None:
        height = len(self.expected["blocks"]) + 1
        size = len(self.expected["records"])
        contents = [record_payload(point, height) for point in ("p-coal", "p-power", "p-gas")]
        block, payloads = self.ledger.block([(payload, True) for payload in contents])
        self.expected["blocks"].append((height, size + 3))
        self.expected["votes"] += [(height, f"member-{i}", i > 0) for i in range(4)]
        self.expected["records"] += [(height, size + i, 1000 * height + 1) for i in range(3)]
        for subject, records in (("plant-a", 2), ("plant-b", 1)):
            account, grams = f"emissions:{subject}:2026:grid", records * (600 * height + 1)
            self.posted[account] += grams
            self.expected["postings"].append((height, account, grams, self.posted[account]))
        self.expected["balances"] = [("emissions:a", 10 * height, height)]
        sends = [(topics.LEDGER_BLOCKS, block)] + [(topics.LEDGER_PAYLOADS, payload) for payload in payloads]
        self.rng.shuffle(sends)
        for topic, value in sends + self.rng.sample(sends, 2):
            self.send(topic, value)
        self.send(topics.ACCOUNTS_BALANCES, balance("emissions:a", height, 10 * height))


def sink_process(bootstrap: str, data_dir: str, genesis: str) -> None:
    """The sink, with batches so small that there is always an insert to be killed in."""
    with (Path(data_dir) / "sink.log").open("a") as log, redirect_stdout(log):
        main(Config(bootstrap, Path(data_dir), REFERENCE, Path(genesis), batch_rows=3_000, batch_seconds=0.05))


def run(bootstrap: str, home: Path, seed: int, rounds: int, packets: int = 150) -> int:
    """Kill the sink `rounds` times, then let it finish; the number of readings. Raises AssertionError."""
    rng = random.Random(seed)
    ensure_topics({"bootstrap.servers": bootstrap}, topics.catalogue(), Bounds())
    traffic = Traffic(Producer({"bootstrap.servers": bootstrap}), rng)
    genesis = home / "genesis.json"
    genesis.write_bytes(traffic.ledger.file)
    start: Callable[[], Any] = lambda: _start(bootstrap, home, genesis)  # noqa: E731
    for _ in range(rounds):
        sink = start()
        sender = threading.Thread(target=traffic.round, args=(packets,))
        sender.start()
        _wait_for_work(home, sink)
        sink.join(rng.uniform(0.0, 1.0))
        sink.kill()
        sink.join()
        sender.join()
    while traffic.late:
        traffic.release()
    traffic.producer.flush()
    _finish(start(), home, traffic)
    _compare(home, traffic)
    return len(traffic.expected["readings"])


def _start(bootstrap: str, home: Path, genesis: Path) -> Any:
    sink = multiprocessing.get_context("spawn").Process(target=sink_process, args=(bootstrap, str(home), str(genesis)))
    sink.start()
    return sink


def _wait_for_work(home: Path, sink: Any) -> None:
    """Until the sink answers: from then on it resumes and inserts."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while sink.is_alive() and time.monotonic() < deadline:
        if _counts(home):
            return
        time.sleep(0.02)
    raise AssertionError("the sink did not start")


def _counts(home: Path) -> dict[str, int]:
    """Rows of each table as the running sink says; nothing while it doesn't answer."""
    from sinks.clickhouse.query import running_port

    if running_port(home) is None:
        return {}
    try:
        return {
            table: int(query(f"SELECT count() FROM ({sql})", home, format_="TSV")) for table, sql in CONTENT.items()
        }
    except QueryError:
        return {}


def _finish(sink: Any, home: Path, traffic: Traffic) -> None:
    """Until every table has as many rows as it must have, or the sink has had long enough."""
    wanted = {table: len(rows) for table, rows in traffic.expected.items()}
    deadline = time.monotonic() + SETTLE_SECONDS
    while sink.is_alive() and _counts(home) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    sink.terminate()
    sink.join()
    assert sink.exitcode == 0


def _compare(home: Path, traffic: Traffic) -> None:
    client = engine.open_client(home)
    try:
        for table, sql in CONTENT.items():
            found = sorted(tuple(row) for row in client.query(sql).result_rows)
            wanted = sorted(traffic.expected[table])
            lost, more = set(wanted) - set(found), set(found) - set(wanted)
            assert found == wanted, f"{table}: {len(found)} rows, not {len(wanted)}; lost {len(lost)}, more {len(more)}"
    finally:
        client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "kafka") as broker:
        data = Path(folder) / "data"
        data.mkdir()
        readings = run(broker.bootstrap, data, chosen.seed, chosen.rounds)
    print(f"seed {chosen.seed}: {chosen.rounds} kills, {readings} readings, nothing lost or repeated")
