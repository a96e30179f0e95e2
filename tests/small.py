"""A small world for tests: a gateway, a few points, seven members, real keys; no disk and no broker."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import numpy as np

from carbon import factors, packet, registry, signing, window
from consensus.log import genesis as geneses
from consensus.log.note import NoteKey

HOUR = 3_600_000
HORIZON_MS = 366 * 86_400_000
QUARTER = 900_000
START = 1_451_606_400_000  # 2016-01-01T00:00Z
RULE = {
    "rule": "combustion",
    "heat_rate": "9.5",
    "carbon": "power_plant_mee.coal_default_carbon_per_heat_2022on",
    "oxidation": "power_plant_mee.coal_oxidation_rate",
}


def seed(name: str) -> bytes:
    """A key seed that only tests know."""
    return sha256(name.encode()).digest()


def registry_bytes(
    points: int = 3,
    gateways: int = 1,
    step_seconds: int = 900,
    more: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    **changes: Any,
) -> bytes:
    """`more`: further fields of points, or other values, by id."""
    raw: dict[str, Any] = {
        "prefix": "99.0000.1",
        "subjects": [
            {"id": "region", "name": "Region", "kind": "region", "parent": None},
            {"id": "plant", "name": "Plant", "kind": "plant", "parent": "region"},
        ],
        "gateways": [
            {"id": f"gw-{g}", "key": signing.public_key(seed(f"gw-{g}")).hex(), "run": 0, "kind": "edge"}
            for g in range(gateways)
        ],
        "submitters": [{"id": "aggregator", "key": signing.public_key(seed("aggregator")).hex()}],
        "limits": {"future_ms": 0, "age_ms": 40 * 24 * HOUR},
        "points": [
            {
                "id": f"plant-{g}-{i}",
                "subject": "plant",
                "gateway": f"gw-{g}",
                "object": f"{g:012x}{i:012x}",
                "unit": "Wh",
                "scale": 0,
                "step_seconds": step_seconds,
                "window_seconds": 3600,
                "start": START,
                "min": 0,
                "max": 10**9,
                "emission": RULE,
            }
            | more.get(f"plant-{g}-{i}", {})
            for g in range(gateways)
            for i in range(points)
        ],
    }
    return registry.canonical_json(raw | changes)


def genesis_bytes(registry_file: bytes, members: int = 7, **changes: Any) -> bytes:
    keys = [
        {
            "name": f"member-{i}",
            "role": "verifier",
            "vote_key": signing.public_key(seed(f"vote-{i}")).hex(),
            "note_key": str(NoteKey(f"carbonledger/test/member-{i}", signing.public_key(seed(f"note-{i}")))),
        }
        for i in range(members)
    ]
    return geneses.build(
        {
            "channel": "test",
            "partition": 0,
            "members": keys,
            "registry": sha256(registry_file).hexdigest(),
            "factors": factors.load().digest.hex(),
            "rules": "1",
            "window_seconds": 3600,
            "lateness_seconds": 3600,
            "utc_offset_minutes": 0,
            "evidence_horizon_seconds": HORIZON_MS // 1000,
            "block": {"bytes": 4_000_000, "records": 2_000},
            "clock": "replay",
            "epoch": 0,
        }
        | changes
    )


@dataclass
class World:
    """Registry, genesis and one gateway that packs what it is given."""

    registry: registry.Registry
    genesis: geneses.Genesis
    gateway: str = "gw-0"
    sequence: int = 0
    previous: bytes = packet.ZERO_DIGEST

    @classmethod
    def make(cls, points: int = 3, gateways: int = 1, members: int = 7, **changes: Any) -> "World":
        data = registry_bytes(points, gateways, **changes)
        return cls(registry.parse(data, factors.load()), geneses.parse(genesis_bytes(data, members)))

    @property
    def channel(self) -> bytes:
        return self.genesis.digest

    def pack(
        self, sent_at: int, readings: list[tuple[str, int, int] | tuple[str, int, int, str]], **changes: Any
    ) -> bytes:
        """The signed message of the next packet; readings are (point, at, value[, flag])."""
        points = sorted({reading[0] for reading in readings})
        self.sequence += 1
        body = packet.encode_body(
            **{
                "gateway": self.gateway,
                "run": 0,
                "sequence": self.sequence,
                "previous": self.previous,
                "sent_at": sent_at,
                "salt": sha256(b"salt %d" % self.sequence).digest()[:16],
                "points": points,
                "columns": {
                    "point": [points.index(reading[0]) for reading in readings],
                    "at": np.array([reading[1] for reading in readings], np.int64),
                    "value": np.array([reading[2] for reading in readings], np.int64),
                    "flag": [ord(reading[3]) if len(reading) > 3 else ord("N") for reading in readings],
                },
            }
            | changes
        )
        self.previous = sha256(body).digest()
        return packet.sign(seed(self.gateway), self.channel, body)

    def decode(self, message: bytes) -> packet.Packet:
        return packet.verify(message, self.registry, self.channel)

    def facts(self, message: bytes) -> window.PacketFacts:
        return window.analyse(self.decode(message), self.registry)

    def day(self, hours: int = 24, first_hour: int = 0, value: int = 1_000) -> list[tuple[str, int, int]]:
        """Full quarter hours of every point of the gateway."""
        return [
            (point.id, START + first_hour * HOUR + q * QUARTER, value + q)
            for q in range(4 * hours)
            for point in self.registry.points_of[self.gateway]
        ]


COEFFICIENT = Fraction("9.5") * Fraction("0.03085") * Fraction(99, 100) * Fraction(44, 12)
"""Grams of CO2 per Wh under RULE, worked by hand from the factor rows: 1.0638622..."""
