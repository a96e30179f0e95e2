"""An aggregator for tests of the committee: honest by itself, and a liar where a test says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from carbon import packet, record, signing, window
from carbon.emission import emission_g
from carbon.record import Draft, EvidenceRange, PayloadWriter, RecordSalts
from carbon.window import PacketFacts, Run, WindowKey
from consensus import batch as batches
from consensus.batch import Batch
from schemas import codec
from tests.small import HOUR, World, seed

Lie = Callable[[dict[str, Any]], dict[str, Any]]


class Evidence:
    """Packets in memory behind the contract's port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._run = Run()
        self._facts: dict[int, PacketFacts] = {}

    def add(self, message: bytes) -> None:
        read = self.world.decode(message)
        assert self._run.follows(read)
        self._run.append(read)
        self._facts[read.sequence] = window.analyse(read, self.world.registry)

    def run(self, gateway: str, run: int) -> Run:
        return self._run

    def facts(self, gateway: str, run: int, sequence: int) -> PacketFacts | None:
        return self._facts.get(sequence)

    def late(self, gateway: str, run: int, key: WindowKey) -> list[int]:
        span = window.closing_span(self._run, key[1], key[1] + HOUR, HOUR, 0)
        assert span is not None
        return [k for k, facts in self._facts.items() if k > span.last and _holds(facts.packet, *key)]


def _holds(read: packet.Packet, point: str, start: int) -> bool:
    """Whether a packet has readings of a window, valid or not."""
    times = read.at[read.point == read.points.index(point)] if point in read.points else read.at[:0]
    return bool(((times >= start) & (times < start + HOUR)).any())


class Aggregator:
    """Makes the records of one gateway's windows and puts them in batches."""

    def __init__(self, world: World, evidence: Evidence) -> None:
        self.world, self.evidence = world, evidence
        self.writer = PayloadWriter(world.registry)
        self.heads: dict[str, bytes] = {}
        self.number = 0

    def draft(self, point: str, start: int) -> Draft:
        number = self.world.registry.gateways[self.world.gateway].run
        run = self.evidence.run(self.world.gateway, number)
        span = window.closing_span(run, start, start + HOUR, HOUR, 0)
        assert span is not None
        held = [self.evidence.facts(self.world.gateway, number, k) for k in range(span.first, span.last + 1)]
        packets = [facts for facts in held if facts is not None]
        found = window.aggregate((point, start), packets)
        named = EvidenceRange(self.world.gateway, number, span.first, span.last, packets[-1].packet.digest)
        salt = RecordSalts(self.world.channel, [f.packet.salt for f in packets]).salt(point, start, 1)
        grams = emission_g(found.quantity, self.world.registry.points[point].ratio)
        return Draft(point, start, found, (named,), salt, grams)

    def record(self, draft: Draft, lie: Lie | None = None) -> tuple[str, int, bytes]:
        payload = self.writer.payload(draft, self.heads.get(draft.point, packet.ZERO_DIGEST))
        if lie is not None:
            payload = codec.encode_bare("record", lie(record.decode(payload)))
        self.heads[draft.point] = record.commitment(draft.salt, payload)
        return draft.point, draft.window_start, payload

    def batch(self, records: list[tuple[str, int, bytes]], **changes: Any) -> Batch:
        return batches.verify(self.message(records, **changes), {0: self.world.registry}, self.world.channel, 2_000)

    def message(self, records: list[tuple[str, int, bytes]], signer: str = "aggregator", **changes: Any) -> bytes:
        points = sorted({point for point, _, _ in records})
        self.number += 1
        fields = {
            "submitter": "aggregator",
            "stream": self.world.gateway,
            "number": self.number,
            "kind": 1,
            "registry_height": 0,
            "points": points,
            "point": np.array([points.index(point) for point, _, _ in records], ">u2").tobytes(),
            "window": np.array([start for _, start, _ in records], ">i8").tobytes(),
            "payloads": [payload for _, _, payload in records],
        }
        body = codec.encode_bare("batch", fields | changes)
        signature = signing.sign(seed(signer), batches.KIND, self.world.channel, body)
        return codec.encode("proposal", {"body": body, "signature": signature})

    def hours(self, first: int, count: int) -> list[tuple[str, int, bytes]]:
        """Honest records of every point for some hours from the start on."""
        from tests.small import START

        points = self.world.registry.points_of[self.world.gateway]
        starts = [START + h * HOUR for h in range(first, first + count)]
        return [self.record(self.draft(point.id, start)) for start in starts for point in points]


def with_fields(**changes: Any) -> Lie:
    return lambda fields: fields | changes


def early(draft: Draft, evidence: EvidenceRange) -> Draft:
    return replace(draft, evidence=(evidence,))
