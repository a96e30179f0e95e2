"""Rebuilding accounts from a ledger, in postings a second of one core, by CPU time, beside bare dictionary adds.

5,000 subjects with a point each, so 10,000 accounts, and 10 million postings: 2,500 blocks of 2,000 records, as a
reader hands them on, opened. They are made of 25 blocks that come again and again: what is posted twice costs as much.
Certificates, hashes and the broker are not in it (`tests.benchmarks.verification` has them). All figures are synthetic.
`python -m tests.benchmarks.accounts` prints the rows.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from carbon.factors import load
from carbon.ledger.books import Books
from carbon.packet import ZERO_DIGEST
from carbon.record import Draft, EvidenceRange, PayloadWriter
from carbon.registry import Registry, parse
from carbon.window import Window
from consensus.log import follower
from consensus.log.follower import OpenedLeaf, Position, VerifiedLeaf
from consensus.log.leaf import WINDOW_RECORD, Leaf
from schemas import codec
from streams.accounts import BooksFile, Standing, post_block
from tests.carbon.ledger.desk import TONNE, Desk
from tests.small import HOUR, START, World, registry_bytes

SUBJECTS, RECORDS, BLOCKS, DISTINCT = 5_000, 2_000, 2_500, 25
TRADES = 5_000
QUERIES = 200


@dataclass(frozen=True)
class Measured:
    """What was measured, its rate of one core, and the floor beside it in the same unit."""

    what: str
    rate: float
    unit: str
    beside: str
    floor: float
    note: str


def run(blocks: int = BLOCKS) -> Iterator[Measured]:
    """Records, submissions, the snapshot and a query of it."""
    registry = _registry()
    made = [_block(registry, number) for number in range(DISTINCT)]
    books, posted, memory = _rebuild(registry, made, blocks)
    rate, floor = 2 * RECORDS * blocks / posted, _floor(made, min(blocks, 500))
    note = f"{len(books.accounts):,} accounts, {2 * RECORDS * blocks:,} postings; "
    note += f"memory {memory[0]:.0f} MiB after a tenth of them, {memory[1]:.0f} at the end"
    yield Measured("accounts rebuilt from opened blocks", rate, "postings/s", "dictionary adds", floor, note)
    yield _submissions()
    with tempfile.TemporaryDirectory(prefix="carbonledger-bench-") as folder:
        yield _snapshot(books, Path(folder) / "books.sqlite")


def _registry() -> Registry:
    names = [f"s{number}" for number in range(SUBJECTS)]
    subjects = [{"id": name, "name": name, "kind": "enterprise", "parent": None} for name in names]
    more = {f"plant-0-{number}": {"subject": name} for number, name in enumerate(names)}
    return parse(registry_bytes(SUBJECTS, subjects=subjects, more=more), load())


def _block(registry: Registry, number: int) -> Any:
    """A block of records: its points take turns, each with its next windows."""
    writer, leaves = PayloadWriter(registry), []
    named = (EvidenceRange("gw-0", 0, number + 1, number + 1, sha256(b"%d" % number).digest()),)
    for place in range(number * RECORDS, (number + 1) * RECORDS):
        turn, point = divmod(place, SUBJECTS)
        window = Window(4, 4_000, sha256(b"%d" % place).digest())
        draft = Draft(f"plant-0-{point}", START + turn * HOUR, window, named, bytes(16), 1_000_000 + place, 1, "WINDOW")
        leaf = Leaf(WINDOW_RECORD, 0, 0, 0, codec.schema_ids()["record"], window.evidence_root, ZERO_DIGEST)
        leaves.append(OpenedLeaf(VerifiedLeaf(place, b"", leaf), b"", writer.payload(draft, ZERO_DIGEST)))
    return SimpleNamespace(leaves=leaves, block=SimpleNamespace(height=number, header={"time": START}))


def _rebuild(registry: Registry, made: list[Any], blocks: int) -> tuple[Books, float, tuple[float, float]]:
    """The books, CPU seconds without making the rows of balances, and MiB after a tenth and at the end."""
    books, spent, process, early = Books(), 0.0, psutil.Process(), 0.0
    for number in range(blocks):
        started = time.process_time()
        post_block(books, made[number % DISTINCT], registry)
        spent += time.process_time() - started
        if number == blocks // 10:
            early = process.memory_info().rss / 2**20
    books.audit()
    return books, spent, (early, process.memory_info().rss / 2**20)


def _floor(made: list[Any], blocks: int) -> float:
    """Postings a second of adding each to a sum by name."""
    fields = [[(one.block.height, leaf.leaf.index) for leaf in one.leaves] for one in made]
    postings = [
        [row for _, place in some for row in ((f"e{place % SUBJECTS}", place), (f"o{place % SUBJECTS}", -place))]
        for some in fields
    ]
    sums: dict[str, int] = {}
    started = time.process_time()
    for number in range(blocks):
        for name, grams in postings[number % DISTINCT]:
            sums[name] = sums.get(name, 0) + grams
    return 2 * RECORDS * blocks / (time.process_time() - started)


def _submissions() -> Measured:
    """Transfers between two subjects, each judged and posted to four accounts."""
    desk = Desk()
    desk.state("allocation", amount_g=10**6 * TONNE)
    for _ in range(TRADES):
        desk.state("transfer", amount_g=TONNE)
    books, began = Books(), time.process_time()
    for height, (said, at) in enumerate(desk.accepted):
        books.apply(said, at, height)
    spent = time.process_time() - began
    sums: dict[str, int] = {}
    began = time.process_time()
    for entry in desk.entries:
        for posting in entry:
            sums[posting.account] = sums.get(posting.account, 0) + posting.debit - posting.credit
    floor = time.process_time() - began
    postings = sum(map(len, desk.entries))
    note = f"{TRADES:,} transfers, decoded already; {len(books.book.lines())} lines of state after them"
    what = "submissions judged and posted"
    return Measured(what, postings / spent, "postings/s", "dictionary adds", postings / floor, note)


def _snapshot(books: Books, path: Path) -> Measured:
    """A balance read from the snapshot on disk; the note says what keeping and loading all of it takes."""
    file, genesis = BooksFile(path, 0), World.make().genesis
    position: Position = follower.beginning(genesis)
    began = time.process_time()
    file.keep(Standing(books, position, changed={*books.accounts}))
    kept = time.process_time() - began
    began = time.process_time()
    assert file.load().books == books
    loaded = time.process_time() - began
    times = []
    for number in range(QUERIES):
        began = time.perf_counter()
        with closing(sqlite3.connect(path)) as database:
            name = f"obligation:s{number * 7 % SUBJECTS}:2016"
            assert database.execute("SELECT fields FROM account WHERE name = ?", (name,)).fetchone()
        times.append(time.perf_counter() - began)
    note = f"p99 of {QUERIES}; the whole snapshot kept in {kept:.2f} s and loaded in {loaded:.2f} s of CPU, "
    note += f"{sum(part.stat().st_size for part in path.parent.iterdir()) / 2**20:.1f} MiB with its log"
    p99 = 1_000 * sorted(times)[int(0.99 * QUERIES)]
    return Measured("a balance from the snapshot on disk", p99, "ms", "the goal", 50, note)


if __name__ == "__main__":
    for one in run():
        print(f"{one.what}: {one.rate:,.1f} {one.unit}; {one.beside}: {one.floor:,.1f}; {one.note}")
