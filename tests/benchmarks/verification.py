"""Verifying a ledger offline in records a second of one core, by CPU time, beside the hashes that nobody gets around.

The ledger is `tests.synthetic`'s: 48 points behind four gateways, 1,442 records a block, of which one corrects a window
and one is refused. A block's time is the least of several rounds, in which everything takes turns: the machine is
shared, and its CPU time with it. `python -m tests.benchmarks.verification` prints the rows.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from consensus.log import leaf
from consensus.log import package as packages_
from consensus.log.follower import Follower
from infra.verification import Verification
from schemas import codec
from tests import synthetic
from tests.small import World

GATEWAYS, POINTS, BATCHES, BLOCKS = 4, 12, 5, 70
ROUNDS = 7

Step = Callable[[], Callable[[Any], object]]
"""Begins a round: what is to be done with each block."""


@dataclass(frozen=True)
class Measured:
    """Records a second of one core, and of the bare hashes beside it."""

    what: str
    rate: float
    floor: float


def run() -> Iterator[Measured]:
    """The log alone (certificates, votes, chain, leaves, tree, counts), then everything (payloads and state too)."""
    world = World.make(POINTS, GATEWAYS)
    data = synthetic.build(world, BLOCKS, BATCHES)
    packages = [packages_.read(one) for one in data]
    blocks = [package.block for package in packages]
    leaves = [leaf.split(codec.decode("block", block)["leaves"]) for block in blocks]
    opened = [list(_salted(package)) for package in packages]
    records = sum(map(len, leaves))
    log, bare_log, everything, bare = _least(
        (lambda: Follower(world.genesis).accept, blocks),
        (lambda: _hash_log, leaves),
        (lambda: Verification(world.genesis).package, data),
        (lambda: _hash_all, list(zip(leaves, opened, strict=True))),
    )
    yield Measured("the log alone", records / log, records / bare_log)
    yield Measured("everything", records / everything, records / bare)


def _salted(package: packages_.Package) -> Iterator[bytes]:
    size = len(package.salts) // len(package.payloads)
    for place, payload in enumerate(package.payloads):
        yield package.salts[size * place : size * place + size] + payload


def _hash_log(leaves: list[bytes]) -> None:
    """A leaf's hash and a node's for each record."""
    for one in leaves:
        hash_ = sha256(b"\x00" + one).digest()
        sha256(b"\x01" + hash_ + hash_).digest()


def _hash_all(parts: tuple[list[bytes], list[bytes]]) -> None:
    """The same, and the commitment to its payload."""
    leaves, opened = parts
    _hash_log(leaves)
    for one in opened:
        sha256(one).digest()


def _least(*steps: tuple[Step, list[Any]]) -> list[float]:
    """CPU seconds of each step for all blocks."""
    least = [[float("inf")] * len(blocks) for _, blocks in steps]
    for _ in range(ROUNDS):
        for (begin, blocks), times in zip(steps, least, strict=True):
            step = begin()
            for place, block in enumerate(blocks):
                started = time.process_time()
                step(block)
                times[place] = min(times[place], time.process_time() - started)
    return list(map(sum, least))


if __name__ == "__main__":
    for found in run():
        ratio = found.rate / found.floor
        print(f"{found.what}: {found.rate:,.0f} records/s, bare hashes {found.floor:,.0f}/s: {ratio:.2f}")
