"""The ledger's figures at a moment, from a member's copy, each block checked before it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from carbon import record as records
from carbon.ledger.moment import Moment
from carbon.ledger.reads import Recorded, View
from carbon.ledger.statement import Cause
from carbon.ledger.structure import changes_of_hands
from carbon.planning.outlooks import Outlooks
from carbon.planning.watch import Watch
from carbon.registry import Registry
from consensus import registration
from consensus.log import leaf as leaves
from consensus.log import package as packages
from consensus.log.follower import Follower, VerifiedBlock
from consensus.replay import check_payloads
from infra.copy import LedgerCopy


class Asked(NamedTuple):
    """What is wanted beside the accounts: the statement of a subject; outlooks, of all or of a subject."""

    watched: str | None = None
    outlooks: bool = False
    subject: str | None = None


def view(copy: LedgerCopy, moment: Moment, asked: Asked = Asked()) -> View:
    """What stands after the last block that a moment includes. Raises LedgerError, EnvironmentFault."""
    found = _fold(copy, moment, changes_of_hands(copy.channel.registry), asked)
    while (changes := changes_of_hands(found.registry)) != found.structure.changes:
        # a later registry says that a subject changed hands: what was read is cut there too
        found = _fold(copy, moment, changes, asked)
    return found


def _fold(copy: LedgerCopy, moment: Moment, changes: tuple[int, ...], asked: Asked) -> View:
    genesis = copy.channel.genesis
    reader, registries = Follower(genesis), {0: copy.channel.registry}
    offset = genesis.utc_offset_minutes
    outlooks = Outlooks(Watch(offset), asked.subject) if asked.outlooks else None
    found = View.at_genesis(copy.channel.registry, offset, changes, watched=asked.watched, outlooks=outlooks)
    for package in copy.packages():
        message, salts, payloads = packages.read(package)
        block = reader.accept(message)
        assert block is not None, "a copy holds each height once"
        if not moment.includes(block.height, block.header["time"]):
            break
        check_payloads(block, salts, payloads)
        _take(found, registries, block, payloads)
    return found


def _take(found: View, registries: dict[int, Registry], block: VerifiedBlock, payloads: list[bytes]) -> None:
    cause = Cause(block.height, block.header["time"], "")
    registry = registries[registration.in_force(registries, block.height)]
    if registry is not found.registry:
        found.govern(registry)
    kinds = np.where(block.columns["verdict"] == leaves.ACCEPTED, block.columns["kind"], 0)
    opened = map(Recorded, block.columns["commitment"].tolist(), payloads)
    for kind, run in groupby(zip(kinds.tolist(), opened, strict=True), itemgetter(0)):
        recorded = [item for _, item in run]
        if kind == leaves.WINDOW_RECORD:
            found.records(recorded, cause)
        for item in recorded:
            if kind == leaves.SUBMISSION:
                found.submission(item, cause)
            elif kind == leaves.REGISTRATION:
                registration.adopt(registries, item.payload)
    found.stand(cause.height, cause.time_ms)


class Span(NamedTuple):
    """A time from an instant to another, ms UTC."""

    start: int
    end: int


@dataclass
class Shown:
    """What a subject's meters show in some time, g CO2e; the first window's start and the last one's end, ms UTC."""

    first: int
    last: int
    emission_g: int = 0


def emitted(copy: LedgerCopy, moment: Moment, spans: Sequence[Span]) -> list[dict[str, Shown]]:
    """What the meters of each subject show in some times: windows wholly within. Raises LedgerError."""
    found: list[dict[str, Shown]] = [{} for _ in spans]
    for block, opened in copy.blocks():
        if not moment.includes(block.height, block.header["time"]):
            break
        for item in opened:
            if item.leaf.leaf.kind == leaves.WINDOW_RECORD and item.leaf.leaf.accepted:
                _add(found, spans, records.read(item.payload))
    return found


def _add(found: list[dict[str, Shown]], spans: Sequence[Span], record: dict[str, Any]) -> None:
    start = record["window_start"]
    end = start + 1000 * record["window_seconds"]
    for shown, span in zip(found, spans, strict=True):
        if span.start <= start and end <= span.end:
            one = shown.setdefault(record["subject"], Shown(start, end))
            one.first, one.last = min(one.first, start), max(one.last, end)
            one.emission_g += records.posted_g(record)
