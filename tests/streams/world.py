"""A small world to test the streams in: gateways with points, and the signed packets of their runs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from carbon import factors, packet, registry, signing
from carbon.packet import ZERO_DIGEST, Packet
from carbon.registry import Registry, canonical_json

START = 1_735_689_600_000
"""2025-01-01T00:00Z, ms."""
MINUTE = 60_000
HOUR = 60 * MINUTE
CHANNEL = sha256(b"a channel of the tests").digest()
AGGREGATOR = "aggregator-1"
AGGREGATOR_SEED = sha256(b"aggregator").digest()


def seed(name: str) -> bytes:
    return sha256(name.encode()).digest()


def registry_file(gateways: dict[str, list[str]], *, step: int = 60, window: int = 3600, **more: Any) -> bytes:
    points = [
        {
            "id": point,
            "subject": "plant",
            "gateway": gateway,
            "object": "electricity",
            "unit": "Wh",
            "scale": 0,
            "step_seconds": step,
            "window_seconds": window,
            "start": START,
            "min": 0,
            "max": 1_000_000,
            "emission": {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2022"},
        }
        | more
        for gateway, names in gateways.items()
        for point in names
    ]
    raw = {
        "prefix": "99.1.1",
        "subjects": [{"id": "plant", "name": "A plant", "kind": "controlled", "parent": None}],
        "gateways": [{"id": g, "key": signing.public_key(seed(g)).hex(), "run": 1, "kind": "edge"} for g in gateways],
        "submitters": [{"id": AGGREGATOR, "key": signing.public_key(AGGREGATOR_SEED).hex()}],
        "points": points,
        "limits": {"future_ms": 5 * MINUTE, "age_ms": 400 * 24 * HOUR},
    }
    return canonical_json(raw)


def load(data: bytes) -> Registry:
    return registry.parse(data, factors.load())


@dataclass
class Chain:
    """A gateway that signs one packet after the other."""

    gateway: str
    run: int = 1
    sequence: int = 0
    head: bytes = ZERO_DIGEST
    packets: list[Packet] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)

    def pack(self, readings: Iterable[tuple[str, int, int]], sent_at: int, *, lost: int = 0, flag: str = "N") -> bytes:
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
            salt=sha256(b"%b %d" % (self.gateway.encode(), self.sequence)).digest()[:16],
            points=points,
            columns=columns,
            lost=lost,
        )
        self.head = sha256(body).digest()
        self.packets.append(packet.decode_body(body))
        self.messages.append(packet.sign(seed(self.gateway), CHANNEL, body))
        return self.messages[-1]

    def minutes(self, points: list[str], count: int, per_packet: int = 10, start: int = START) -> list[bytes]:
        """`count` minutes of one reading a minute and point, `per_packet` minutes in a packet."""
        out = []
        for first in range(0, count, per_packet):
            times = [start + MINUTE * k for k in range(first, min(first + per_packet, count))]
            rows = [(p, at, (at // MINUTE * 7 + i) % 1000) for at in times for i, p in enumerate(points)]
            out.append(self.pack(rows, times[-1] + 1000))
        return out


def write_config(folder: Path, bootstrap: str, registry_: bytes, **more: Any) -> Path:
    """The files that `tests.streams.worker` starts a worker from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.json").write_bytes(registry_)
    path = folder / "config.json"
    path.write_text(json.dumps({"bootstrap": bootstrap, "registry": str(folder / "registry.json"), **more}))
    return path
