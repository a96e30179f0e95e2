"""Subjects, points, gateways, submitters and operators: who may say what about whom, and by which key.

Until registry changes become ledger records, the registry is one canonical JSON file whose SHA-256 stands in the
genesis; registry height 0 means that file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Any

from carbon.emission import EmissionRule, rule_from
from carbon.factors import FactorSet

POINT_KEY_BYTES = 16
I64_MAX = 2**63 - 1
MAX_SCALE = 18
"""Decimal places of a point's values: what 64 bits hold."""


class RegistryError(ValueError):
    """A registry that contradicts itself or is not in its canonical form."""


@dataclass(frozen=True)
class Subject:
    """A controlled or uncontrolled enterprise, a parent company or a region."""

    id: str
    name: str
    kind: str
    parent: str | None


@dataclass(frozen=True)
class Gateway:
    """An edge gateway, or the intake that attests single readings. `key` is its Ed25519 verification key."""

    id: str
    key: bytes
    run: int
    kind: str


@dataclass(frozen=True)
class Submitter:
    """Who may put batches of records before the committee."""

    id: str
    key: bytes


@dataclass(frozen=True)
class Operator:
    """Who may command gateways, and which ones."""

    id: str
    key: bytes
    gateways: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """A metered point: one quantity of one subject. Times in ms UTC; min and max in scaled integers of `unit`."""

    id: str
    subject: str
    gateway: str
    object: str
    unit: str
    scale: int
    step_seconds: int
    window_seconds: int
    start: int
    min: int
    max: int
    emission: EmissionRule
    coefficient: Fraction
    """Grams of CO2e for one scaled unit of quantity."""

    @cached_property
    def ratio(self) -> tuple[int, int]:
        """The coefficient as numerator and denominator, which plain integers multiply fastest."""
        return self.coefficient.as_integer_ratio()

    @cached_property
    def expected(self) -> int:
        """Readings that a full window holds."""
        return self.window_seconds // self.step_seconds

    @cached_property
    def key(self) -> bytes:
        """The 16 bytes that stand for the point in a canonical reading."""
        return sha256(self.id.encode()).digest()[:POINT_KEY_BYTES]


@dataclass(frozen=True)
class TimeLimits:
    """How far a reading's time may be from its packet's signed sending time, in ms."""

    future_ms: int
    age_ms: int


@dataclass(frozen=True)
class Registry:
    """The registry at a height, with the digest (32 bytes) of its file."""

    digest: bytes
    prefix: str
    subjects: Mapping[str, Subject]
    gateways: Mapping[str, Gateway]
    submitters: Mapping[str, Submitter]
    operators: Mapping[str, Operator]
    points: Mapping[str, Point]
    limits: TimeLimits
    factors: FactorSet

    @cached_property
    def points_of(self) -> Mapping[str, list[Point]]:
        """The points of each gateway, by id."""
        by_gateway: dict[str, list[Point]] = {gateway: [] for gateway in self.gateways}
        for point in sorted(self.points.values(), key=lambda p: p.id):
            by_gateway[point.gateway].append(point)
        return by_gateway


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, two spaces, a newline at the end."""
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode()


def parse(data: bytes, factors: FactorSet) -> Registry:
    """The registry of a canonical file. Raises RegistryError."""
    try:
        raw = json.loads(data)
        registry = _build(raw, sha256(data).digest(), factors)
        _check(registry)
        is_canonical = canonical_json(raw) == data
    except RegistryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RegistryError(f"registry: {error!r}") from error
    if not is_canonical:
        raise RegistryError("the registry file is not in its canonical form")
    return registry


def _build(raw: dict[str, Any], digest: bytes, factors: FactorSet) -> Registry:
    # a registry file without operators says nothing of them
    operators = [Operator(o["id"], bytes.fromhex(o["key"]), tuple(o["gateways"])) for o in raw.get("operators", ())]
    return Registry(
        digest=digest,
        prefix=raw["prefix"],
        subjects={s["id"]: Subject(**s) for s in raw["subjects"]},
        gateways={g["id"]: Gateway(**{**g, "key": bytes.fromhex(g["key"])}) for g in raw["gateways"]},
        submitters={s["id"]: Submitter(s["id"], bytes.fromhex(s["key"])) for s in raw["submitters"]},
        operators={operator.id: operator for operator in operators},
        points={p["id"]: _point(p, factors) for p in raw["points"]},
        limits=TimeLimits(**raw["limits"]),
        factors=factors,
    )


def _point(raw: dict[str, Any], factors: FactorSet) -> Point:
    emission = rule_from(raw["emission"])
    if raw["unit"] != "Wh":
        raise RegistryError(f"{raw['id']}: the emission rules take Wh, not {raw['unit']}")
    if raw["scale"] not in range(MAX_SCALE + 1):
        raise RegistryError(f"{raw['id']}: a scale of {raw['scale']} decimal places")
    coefficient = emission.coefficient(factors) / 10 ** raw["scale"]
    return Point(**{**raw, "emission": emission}, coefficient=coefficient)


def _check(registry: Registry) -> None:
    for point in registry.points.values():
        if point.gateway not in registry.gateways or point.subject not in registry.subjects:
            raise RegistryError(f"{point.id}: unknown gateway or subject")
        if point.window_seconds % point.step_seconds or point.start % (point.window_seconds * 1000):
            raise RegistryError(f"{point.id}: steps must fill the window, and the first window start on its boundary")
        # sums of a window and the grams of it must stay inside 64 bits, so that NumPy can't wrap in silence
        largest = max(abs(point.min), abs(point.max)) * point.expected
        if largest * max(Fraction(1), point.coefficient) > I64_MAX // 16 or point.min > point.max:
            raise RegistryError(f"{point.id}: range {point.min}…{point.max} overflows or is empty")
    if any(gateway not in registry.gateways for o in registry.operators.values() for gateway in o.gateways):
        raise RegistryError("an operator's gateway is not registered")
    if any(s.parent is not None and s.parent not in registry.subjects for s in registry.subjects.values()):
        raise RegistryError("a subject's parent is not registered")
