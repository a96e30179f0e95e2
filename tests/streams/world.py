"""A small world to test the streams in: gateways with points, a genesis, and the gateways' signed packets."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from carbon import factors, packet, registry, signing
from carbon.aggregation import Rules
from carbon.aggregator import Aggregator, Settings
from carbon.packet import ZERO_DIGEST, Packet
from carbon.record import PayloadWriter
from carbon.registry import Registry, canonical_json
from consensus.log import genesis
from consensus.log.genesis import Genesis
from consensus.log.note import NoteKey

START = 1_735_689_600_000
"""2025-01-01T00:00Z, ms."""
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
AGGREGATOR = "aggregator-1"
MEMBERS = 4


def seed(name: str) -> bytes:
    return sha256(name.encode()).digest()


@dataclass
class World:
    """Gateways with their points; every point has a reading each `step` seconds and a window of `window` seconds."""

    gateways: dict[str, list[str]]
    step: int = 60
    window: int = 3600
    lateness: int = 300
    horizon: int = 30 * 86_400
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further fields of points, or other values, by id."""

    @cached_property
    def registry_file(self) -> bytes:
        raw = {
            "prefix": "99.1.1",
            "subjects": [{"id": "plant", "name": "A plant", "kind": "controlled", "parent": None}],
            "gateways": [
                {"id": g, "key": signing.public_key(seed(g)).hex(), "run": 1, "kind": "edge"} for g in self.gateways
            ],
            "submitters": [{"id": AGGREGATOR, "key": signing.public_key(seed(AGGREGATOR)).hex()}],
            "points": [self._point(name, gateway) for gateway, names in self.gateways.items() for name in names],
            "limits": {"future_ms": 5 * MINUTE, "age_ms": 400 * DAY},
        }
        return canonical_json(raw)

    def _point(self, name: str, gateway: str) -> dict[str, Any]:
        return {
            "id": name,
            "subject": "plant",
            "gateway": gateway,
            "object": "electricity",
            "unit": "Wh",
            "scale": 0,
            "step_seconds": self.step,
            "window_seconds": self.window,
            "start": START,
            "min": 0,
            "max": 1_000_000,
            "emission": {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2022"},
        } | self.more.get(name, {})

    @cached_property
    def registry(self) -> Registry:
        return registry.parse(self.registry_file, factors.load())

    @cached_property
    def genesis_file(self) -> bytes:
        members = [
            {
                "name": f"member-{i}",
                "role": "verifier",
                "vote_key": signing.public_key(seed(f"vote {i}")).hex(),
                "note_key": str(note_key(i)),
            }
            for i in range(MEMBERS)
        ]
        return genesis.build(
            {
                "channel": "test",
                "partition": 0,
                "members": members,
                "registry": self.registry.digest.hex(),
                "factors": self.registry.factors.digest.hex(),
                "rules": "v1",
                "window_seconds": self.window,
                "lateness_seconds": self.lateness,
                "utc_offset_minutes": 480,
                "evidence_horizon_seconds": self.horizon,
                "block": {"bytes": 4_000_000, "records": 2_000},
                "clock": "replay",
            }
        )

    @cached_property
    def genesis(self) -> Genesis:
        return genesis.parse(self.genesis_file)

    @property
    def channel(self) -> bytes:
        return self.genesis.digest

    @cached_property
    def settings(self) -> Settings:
        rules = Rules(1000 * self.lateness, 1000 * self.horizon)
        return Settings(self.registry, self.channel, rules, AGGREGATOR, seed(AGGREGATOR), PayloadWriter(self.registry))

    def chain(self, gateway: str) -> "Chain":
        return Chain(gateway, self.channel)

    def aggregator(self, gateway: str) -> Aggregator:
        return Aggregator(gateway, 0, self.settings)


def note_key(member: int) -> NoteKey:
    return NoteKey(f"member-{member}", signing.public_key(seed(f"note {member}")))


@dataclass
class Chain:
    """A gateway that signs one packet after the other."""

    gateway: str
    channel: bytes
    run: int = 1
    sequence: int = 0
    head: bytes = ZERO_DIGEST
    packets: list[Packet] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)

    def pack(
        self, readings: Iterable[tuple[str, int, int]], sent_at: int, *, lost: int = 0, flag: str = "N", salt: int = 0
    ) -> bytes:
        rows = list(readings)
        points = sorted({point for point, _, _ in rows})
        columns = {
            "point": [points.index(point) for point, _, _ in rows],
            "at": [at for _, at, _ in rows],
            "value": [value for _, _, value in rows],
            "flag": [ord(flag)] * len(rows),
        }
        self.sequence += 1 + lost
        body = packet.encode_body(
            gateway=self.gateway,
            run=self.run,
            sequence=self.sequence,
            previous=self.head,
            sent_at=sent_at,
            salt=sha256(b"%b %d %d" % (self.gateway.encode(), self.sequence, salt)).digest()[:16],
            points=points,
            columns=columns,
            lost=lost,
        )
        self.head = sha256(body).digest()
        self.packets.append(packet.decode_body(body))
        self.messages.append(packet.sign(seed(self.gateway), self.channel, body))
        return self.messages[-1]

    def minutes(self, points: Sequence[str], count: int, per_packet: int = 10, start: int = START) -> list[bytes]:
        """`count` minutes of one reading a minute and point, `per_packet` minutes in a packet."""
        out = []
        for first in range(0, count, per_packet):
            times = [start + MINUTE * k for k in range(first, min(first + per_packet, count))]
            rows = [(p, at, (at // MINUTE * 7 + i) % 1000) for at in times for i, p in enumerate(points)]
            out.append(self.pack(rows, times[-1] + 1000))
        return out


def write_config(folder: Path, bootstrap: str, world: World, **more: Any) -> Path:
    """The files that `tests.streams.worker` starts a worker from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.json").write_bytes(world.registry_file)
    (folder / "genesis.json").write_bytes(world.genesis_file)
    path = folder / "config.json"
    path.write_text(json.dumps({"bootstrap": bootstrap, **more}))
    return path
