"""A ledger that no packets stand behind: real payloads, leaves, votes and certificates, made in seconds.

In the shape of the demonstration: a batch holds the records of a gateway's points for a day. The first batch of a block
also corrects a window and has a record refused.
"""

from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from carbon import record as records
from carbon import signing
from carbon.emission import emission_g
from carbon.packet import ZERO_DIGEST
from carbon.record import Draft, EvidenceRange, PayloadWriter, Replaced
from carbon.refusal import Refusal
from carbon.window import Window
from consensus import batch as batches
from consensus.batch import Batch
from consensus.contract import Ruling
from consensus.core.bodies import Endorsement, ProposedBatch
from consensus.core.effects import OrderedBlock
from consensus.core.endorsements import verdict_of
from consensus.core.messages import Kind, Message
from consensus.ledger import Ledger
from consensus.log.follower import Position
from consensus.log.leaf import WINDOW_RECORD
from schemas import codec
from tests.small import HOUR, START, World, seed

SIGNERS = range(5)


class _Kept:
    """The packages of a ledger, in memory."""

    def __init__(self) -> None:
        self.packages: list[bytes] = []

    def resume(self) -> tuple[Position, bytes] | None:
        return None

    def keep(self, package: bytes, position: Position, state: bytes) -> None:
        self.packages.append(package)

    def package(self, height: int) -> bytes | None:
        return None


@dataclass
class Maker:
    """Makes batches of records that no packets stand behind, and the rulings that they would get."""

    world: World
    hours: int
    made: dict[str, int] = field(default_factory=dict)
    heads: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer = PayloadWriter(self.world.registry)

    def batch(self, gateway: str, *, unusual: bool) -> tuple[Batch, list[Ruling]]:
        """The gateway's next day: each window; if asked for, a correction of one, and another record refused."""
        day = self.made.get(gateway, 0)
        self.made[gateway] = day + 1
        named = (EvidenceRange(gateway, 0, day + 1, day + 2, sha256(f"{gateway} {day}".encode()).digest()),)
        starts = range(START + day * self.hours * HOUR, START + (day + 1) * self.hours * HOUR, HOUR)
        points = [point.id for point in self.world.registry.points_of[gateway]]
        drafts = [self._draft(point, start, 1, named) for start in starts for point in points]
        ruled = [(draft, *self._ruled(draft, Refusal.PASS)) for draft in drafts]
        if unusual:
            first = drafts[day % len(points)]
            again = self._draft(first.point, first.window_start, 2, named)
            again.cause, again.replaces = "LATE", Replaced(1, first.window.evidence_root, first.emission_g)
            ruled += [(again, *self._ruled(again, Refusal.PASS)), (first, *self._ruled(first, Refusal.WRONG_SUM))]
        fields = {
            "submitter": "aggregator",
            "stream": gateway,
            "number": day + 1,
            "kind": WINDOW_RECORD,
            "registry_height": 0,
            "points": points,
            "point": b"".join(points.index(draft.point).to_bytes(2) for draft, _, _ in ruled),
            "window": b"".join(draft.window_start.to_bytes(8) for draft, _, _ in ruled),
            "payloads": [payload for _, payload, _ in ruled],
        }
        return batches.decode(codec.encode_bare("batch", fields)), [ruling for _, _, ruling in ruled]

    def _draft(self, point: str, start: int, version: int, named: tuple[EvidenceRange, ...]) -> Draft:
        noise = blake2b(f"{point} {start} {version}".encode(), digest_size=56).digest()
        window = Window(4, 4_000 + int.from_bytes(noise[:2]), noise[8:40])
        grams = emission_g(window.quantity, self.world.registry.points[point].ratio)
        return Draft(point, start, window, named, noise[40:], grams, version)

    def _ruled(self, draft: Draft, refusal: Refusal) -> tuple[bytes, Ruling]:
        previous = self.heads.get(draft.point, ZERO_DIGEST)
        payload = self.writer.payload(draft, previous)
        made = records.commitment(draft.salt, payload)
        if refusal is Refusal.PASS:
            self.heads[draft.point] = made
        posted = draft.emission_g - (draft.replaces.emission_g if draft.replaces else 0)
        link = (draft.window.evidence_root, previous, draft.version, posted, draft.replaces)
        return payload, Ruling(refusal, draft.salt, made, *link)


def build(world: World, blocks: int, batches: int, hours: int = 24) -> list[bytes]:
    """The packages of a ledger of so many blocks, each of so many batches, the gateways in turn."""
    maker, kept = Maker(world, hours), _Kept()
    ledger, gateways = Ledger(world.genesis, world.registry, kept), list(world.registry.gateways)
    for height in range(1, blocks + 1):
        names = [gateways[(batches * height + place) % len(gateways)] for place in range(batches)]
        order(ledger, world, height, [maker.batch(name, unusual=not place) for place, name in enumerate(names)])
    return kept.packages


def order(
    ledger: Ledger, world: World, height: int, judged: list[tuple[Batch, list[Ruling]]], began_ms: int = 0
) -> None:
    """Order some batches and their rulings as a block of a height, so many ms after the beginning, and certify it."""
    ordered = []
    for batch, rulings in judged:
        ledger.hold(batch, rulings)
        codes = b"".join(ruling.refusal.to_bytes(2) for ruling in rulings)
        ordered.append(ProposedBatch(batch.submitter, batch.stream, batch.number, batch.digest, codes))
    body = Endorsement(0, tuple(verdict_of(batch.digest, batch.codes) for batch in ordered)).encode()
    votes = [
        Message(
            Kind.ENDORSEMENT, m, body, signing.sign(seed(f"vote-{m}"), "consensus/endorsement", world.channel, body)
        )
        for m in SIGNERS
    ]
    block = OrderedBlock(0, height, began_ms + height, tuple(ordered), tuple(vote.encode() for vote in votes))
    text = ledger.execute(block)
    assert text is not None
    ledger.settle(height, [(m, signing.sign_raw(seed(f"note-{m}"), text)) for m in SIGNERS])
    for batch, _ in judged:
        ledger.release(batch.digest)
