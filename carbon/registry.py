"""The registry: subjects, points, and who may say what about whom, by which key.

The registry is one canonical JSON file. That of registry height 0 is named by the genesis; each next one follows from
the one before by a record of the ledger (`carbon.amendment`), and its registry height is the first ledger height at
which it is in force.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, get_args

from carbon import identity, relations
from carbon.emission import EmissionRule, Unbooked, coefficient_per, rule_from
from carbon.emission.cems import MASS_SCALE, CemsMass
from carbon.factors import FactorError, FactorSet
from carbon.factors.succession import succession
from carbon.flue_gas import DryGas, Saturation
from carbon.quantity import QuantityError
from carbon.signers import ASSIGNED, Gateway, Operator, Party, Registrar, Role, Submitter
from carbon.stack_mass import MassError, MassFormula, Measured, formula
from carbon.subject import Subject, Unit, fault
from carbon.substitution import AFTER_HOURS, LEAST_AFTER_HOURS, Regime, Substitution, tier_set
from carbon.uncertainty import Declared

POINT_KEY_BYTES = 16
I64_MAX = 2**63 - 1
MOST_SUBSTITUTED, MOST_SUBSTITUTED_OF_ONE = 100, 20
"""Points with substitution in all, and of one gateway. The replicated state and an aggregator's row hold a year of
hours of each, 10 to 20 kB, and must fit a message."""
MOST_AFTER_HOURS = 168
MAX_SCALE = 18
"""Decimal places of a point's values: what 64 bits hold."""


class RegistryError(ValueError):
    """A registry that contradicts itself or is not in its canonical form."""


TimeKind = Literal["step", "instant", "start"]
"""What a reading's time is: a multiple of the point's step, any instant (HJ 212 CN 2011), or a multiple of the step at
which the period begins that the reading sums up (DataTime of CN 2031, 2041, 2051 and 2061)."""


@dataclass(frozen=True)
class Point:
    """A metered point: one quantity of one subject. Times in ms UTC; min and max in scaled integers of `unit`.

    What stands behind `coefficient` is in a registry file only where it isn't the default.
    """

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
    """Grams of CO2e for one scaled unit of its windows' quantity."""
    time: TimeKind = "step"
    rising: bool = False
    """Whether the times of its readings in one packet must rise."""
    rate: int | None = None
    """The most by which its value may change in a step, in scaled integers."""
    counter: int | None = None
    """The modulus at which its register begins again at 0; its `rate` is then the most that is counted in a step."""
    dry_gas: DryGas | None = None
    saturation: Saturation | None = None
    substitution: tuple[Regime, ...] = ()
    """By which tiers its missing hours are substituted, in order of time."""
    substitution_after: int = AFTER_HOURS
    """Hours that a missing hour waits for late readings before that."""
    uncertainty: Declared | None = None
    """What is declared of its quantity and its factor."""
    untrusted: tuple[str, ...] = ()
    """The factor rows of confidence D that its coefficient rests on, allowed by name."""
    load: str | None = field(default=None, compare=False)
    fuel: str | None = field(default=None, compare=False)
    parent_meter: str | None = field(default=None, compare=False)
    """Points that it is watched beside (`carbon.relations`). As no reading counts otherwise for it, two points that
    differ in these alone are equal."""

    @cached_property
    def grid_ms(self) -> int:
        """What its readings' times are multiples of."""
        return 1 if self.time == "instant" else self.step_ms

    @cached_property
    def step_ms(self) -> int:
        """Its step."""
        return 1000 * self.step_seconds

    @cached_property
    def has_more_rules(self) -> bool:
        """Whether rules apply within a packet that most points don't have."""
        return self.time == "start" or self.rising or bool(self.checks) or self.is_mass

    @cached_property
    def is_mass(self) -> bool:
        """Whether its readings are concentrations whose mass is counted: `Registry.masses` has the formula."""
        return isinstance(self.emission, CemsMass)

    @cached_property
    def quantity(self) -> tuple[str, int]:
        """Unit and scale of its windows' quantity."""
        return (self.emission.unit, MASS_SCALE) if self.is_mass else (self.unit, self.scale)

    @cached_property
    def partners(self) -> tuple[str, ...]:
        """The points of its gateway whose readings at the same instant decide what its own count."""
        named = self.emission.partners if isinstance(self.emission, CemsMass) else ()
        return (*(check.partner for check in self.checks), *named)

    @cached_property
    def is_limited(self) -> bool:
        """Whether what counts of it depends on the readings that count next to it."""
        return self.time == "instant" or self.rate is not None or self.instants > 0

    @cached_property
    def instants(self) -> int:
        """The least instants of a minute whose readings count; 0 where a minute needs none."""
        return int(self.emission.instants or 0) if isinstance(self.emission, CemsMass) else 0

    @cached_property
    def most(self) -> int:
        """The most readings that a window of it counts."""
        return 2 * self.expected if self.time == "instant" else self.expected

    @cached_property
    def checks(self) -> tuple[DryGas | Saturation, ...]:
        """Its checks with other points of its gateway."""
        return tuple(check for check in (self.dry_gas, self.saturation) if check is not None)

    @cached_property
    def substituted(self) -> Substitution | None:
        """How its missing hours are substituted, if they are."""
        return Substitution(self.substitution, self.substitution_after) if self.substitution else None

    @cached_property
    def rule(self) -> str:
        """What its records state as their rule, with the rows of confidence D for ever beside it."""
        untrusted = f" · confidence D: {', '.join(self.untrusted)}" if self.untrusted else ""
        return f"{self.emission}{untrusted}{self.substituted or ''}"

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
    sets: tuple[FactorSet, ...]
    """The factor sets, the shipped one first, each until the next is in force."""
    registrars: Mapping[str, Registrar]
    parties: Mapping[str, Party]
    file: bytes = field(repr=False)

    @property
    def factors(self) -> FactorSet:
        """The factor set in force."""
        return self.sets[-1]

    def set_of(self, digest: bytes) -> FactorSet | None:
        """The factor set that a record names by its digest."""
        return next((known for known in self.sets if known.digest == digest), None)

    @cached_property
    def points_of_subject(self) -> Mapping[str, list[Point]]:
        """The points of each subject that has some."""
        by_subject: dict[str, list[Point]] = {}
        for point in self.points.values():
            by_subject.setdefault(point.subject, []).append(point)
        return by_subject

    @cached_property
    def points_of(self) -> Mapping[str, list[Point]]:
        """The points of each gateway, by id."""
        by_gateway: dict[str, list[Point]] = {gateway: [] for gateway in self.gateways}
        for point in sorted(self.points.values(), key=lambda p: p.id):
            by_gateway[point.gateway].append(point)
        return by_gateway

    @cached_property
    def masses(self) -> Mapping[str, MassFormula]:
        """How the readings of CEMS concentrations become masses, by point. Raises RegistryError."""
        return {point.id: _mass(point, self.points) for point in self.points.values() if point.is_mass}


InForce = Callable[[], tuple[int, Registry]]
"""Says which registry is in force now, behind its height."""


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, two spaces, a newline at the end."""
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode()


def parse(data: bytes, shipped: FactorSet) -> Registry:
    """The registry of a canonical file; `shipped` is the factor set that comes before its own. Raises RegistryError."""
    try:
        raw = json.loads(data)
        registry = _build(raw, data, shipped)
        _check(registry)
        is_canonical = canonical_json(raw) == data
    except RegistryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RegistryError(f"registry: {error!r}") from error
    if not is_canonical:
        raise RegistryError("the registry file is not in its canonical form")
    return registry


def _build(raw: dict[str, Any], file: bytes, shipped: FactorSet) -> Registry:
    # a registry file without operators, registrars, parties or factor sets says nothing of them
    sets = succession(shipped, raw.get("factors", ()))
    operators = [Operator(o["id"], bytes.fromhex(o["key"]), tuple(o["gateways"])) for o in raw.get("operators", ())]
    return Registry(
        digest=sha256(file).digest(),
        prefix=raw["prefix"],
        subjects={s["id"]: Subject.read(s) for s in raw["subjects"]},
        gateways={g["id"]: Gateway.of(g) for g in raw["gateways"]},
        submitters={s["id"]: Submitter(s["id"], bytes.fromhex(s["key"])) for s in raw["submitters"]},
        operators={operator.id: operator for operator in operators},
        points={p["id"]: _point(p, sets[-1]) for p in raw["points"]},
        limits=TimeLimits(**raw["limits"]),
        sets=sets,
        registrars={r["id"]: Registrar(r["id"], bytes.fromhex(r["key"])) for r in raw.get("registrars", ())},
        parties={party["id"]: Party.of(party) for party in raw.get("parties", ())},
        file=file,
    )


def _point(raw: dict[str, Any], factors: FactorSet) -> Point:
    emission = rule_from(raw["emission"])
    if raw["scale"] not in range(MAX_SCALE + 1):
        raise RegistryError(f"{raw['id']}: a scale of {raw['scale']} decimal places")
    if type(raw["min"]) is not int or type(raw["max"]) is not int:
        raise RegistryError(f"{raw['id']}: a range is of integers")
    allowed = tuple(raw.get("allowed", ()))
    unit, scale = (emission.unit, MASS_SCALE) if isinstance(emission, CemsMass) else (raw["unit"], raw["scale"])
    try:
        per_unit = coefficient_per(unit, emission, factors, allowed)
    except (FactorError, QuantityError) as error:
        raise RegistryError(f"{raw['id']}: its emission rule takes {emission.unit}: {error}") from error
    parts = {name: part(**raw[name]) for name, part in _PARTS.items() if name in raw}
    regimes = tuple(_regime(factors, **regime) for regime in raw.get("substitution", ()))
    fields = {name: value for name, value in raw.items() if name != "allowed"}
    return Point(
        **{**fields, "emission": emission, **parts, "substitution": regimes},
        coefficient=per_unit / 10**scale,
        untrusted=factors.untrusted(emission.rows),
    )


def _regime(factors: FactorSet, *, start: int, tiers: str, potential: int, allowed: Sequence[str] = ()) -> Regime:
    return Regime(start, tier_set(tiers, factors, tuple(allowed)), potential)


_PARTS: dict[str, type[DryGas | Saturation | Declared]] = {
    "dry_gas": DryGas,
    "saturation": Saturation,
    "uncertainty": Declared,
}


def _check(registry: Registry) -> None:
    for gateway in registry.gateways.values():
        if type(gateway.run) is not int or type(gateway.revoked) is not bool:
            raise RegistryError(f"{gateway.id}: run is an integer, and revoked true or false")
    for point in registry.points.values():
        if point.gateway not in registry.gateways or point.subject not in registry.subjects:
            raise RegistryError(f"{point.id}: unknown gateway or subject")
        if point.window_seconds % point.step_seconds or point.start % (point.window_seconds * 1000):
            raise RegistryError(f"{point.id}: steps must fill the window, and the first window start on its boundary")
        # sums of a window and the grams of it must stay inside 64 bits, so that NumPy can't wrap in silence
        mass = registry.masses.get(point.id)
        most = max(abs(point.min), abs(point.max)) if mass is None else mass.largest
        largest = most * point.most
        if largest * max(Fraction(1), point.coefficient) > I64_MAX // 16 or point.min > point.max:
            raise RegistryError(f"{point.id}: range {point.min}…{point.max} overflows or is empty")
        _check_rules(point)
        _check_partners(point, registry.points)
        _check_substitution(point, (point.min, point.max) if mass is None else (0, mass.largest))
    if wrong := relations.fault(registry.points):
        raise RegistryError(wrong)
    substituted = Counter(point.gateway for point in registry.points.values() if point.substitution)
    if substituted.total() > MOST_SUBSTITUTED or max(substituted.values(), default=0) > MOST_SUBSTITUTED_OF_ONE:
        raise RegistryError(
            f"at most {MOST_SUBSTITUTED} points are substituted, and {MOST_SUBSTITUTED_OF_ONE} of one gateway"
        )
    if any(gateway not in registry.gateways for o in registry.operators.values() for gateway in o.gateways):
        raise RegistryError("an operator's gateway is not registered")
    for party in registry.parties.values():
        _check_party(party, registry)
    for subject in registry.subjects.values():
        points = [point.id for point in registry.points_of_subject.get(subject.id, ())]
        if wrong := fault(subject, registry.subjects, points):
            raise RegistryError(f"{subject.id}: {wrong}")
        for unit in subject.units:
            _check_stacks(unit, registry)


def _check_stacks(unit: Unit, registry: Registry) -> None:
    rules = [registry.points[point].emission for point in unit.points]
    stacks = [rule for rule in rules if isinstance(rule, CemsMass)]
    if any(stack.covers(rule) for stack in stacks for rule in rules if rule not in stacks):
        raise RegistryError(f"what {unit.id} burns is in its stack's mass already")


def _check_party(party: Party, registry: Registry) -> None:
    named = [*party.assigned, *([] if party.subject is None else [party.subject])]
    if party.role not in get_args(Role) or not registry.subjects.keys() >= set(named):
        raise RegistryError(f"{party.id}: role is one of {', '.join(get_args(Role))}, and its subjects are registered")
    if party.assigned and (party.role not in ASSIGNED or party.subject is not None):
        raise RegistryError(f"{party.id}: assigned are {' and '.join(ASSIGNED)}, in place of a subject")
    if party.role == "enterprise" and party.subject is None:
        raise RegistryError(f"{party.id}: an enterprise speaks for a subject")
    # an id stands in carbon codes and in the lines of the replicated state, and is the submitter of the party's batches
    if not identity.is_id(party.id) or party.id in registry.submitters:
        raise RegistryError(f"{party.id!r}: a party's id is of small letters, digits and hyphens, and no submitter's")


def _check_rules(point: Point) -> None:
    if point.time not in get_args(TimeKind) or type(point.rising) is not bool:
        raise RegistryError(f"{point.id}: time is one of {', '.join(get_args(TimeKind))}, and rising true or false")
    if point.time == "instant" and not isinstance(point.emission, Unbooked | CemsMass):
        raise RegistryError(f"{point.id}: what is at an instant is no quantity to add up: its emission rule is none")
    if point.rate is None and point.counter is None:
        return
    if type(point.rate) is not int or point.rate < 1:
        raise RegistryError(f"{point.id}: the rate of a point, which a counter must have, is an integer from 1")
    if point.counter is not None:
        _check_counter(point, point.rate, point.counter)
    # what validation.calm multiplies must stay inside 64 bits
    if (
        max((point.counter or point.max - point.min) * point.step_ms, point.rate * 1000 * point.window_seconds)
        > I64_MAX
    ):
        raise RegistryError(f"{point.id}: a rate of {point.rate} or the range overflows")


def _check_counter(point: Point, rate: int, modulus: int) -> None:
    if type(modulus) is not int or not 0 <= point.min <= point.max < modulus:
        raise RegistryError(
            f"{point.id}: the range {point.min}…{point.max} is not below the counter's modulus {modulus}"
        )
    if rate * point.expected >= modulus:
        raise RegistryError(f"{point.id}: a counter that may run once around in a window hides how far it ran")
    if not isinstance(point.emission, Unbooked):
        raise RegistryError(f"{point.id}: a counter's readings are no quantities to add up: its emission rule is none")


def _check_partners(point: Point, points: Mapping[str, Point]) -> None:
    for check, unit, other_unit in ((point.dry_gas, "%", "%"), (point.saturation, "%", "°C")):
        if check is None:
            continue
        partner = points.get(check.partner)
        if partner is None or partner.gateway != point.gateway or partner is point:
            raise RegistryError(f"{point.id}: {check.partner!r} is no other point of its gateway")
        if (point.unit, partner.unit) != (unit, other_unit):
            raise RegistryError(
                f"{point.id}: {unit} is checked with {other_unit}, not {point.unit} with {partner.unit}"
            )
        largest, partners = (max(abs(p.min), abs(p.max)) for p in (point, partner))
        if not check.fits(point.scale, largest, partner.scale, partners):
            raise RegistryError(f"{point.id}: its check with {partner.id} is out of bounds")


def _mass(point: Point, points: Mapping[str, Point]) -> MassFormula:
    """The formula of a CEMS concentration. Raises RegistryError."""
    assert isinstance(point.emission, CemsMass)
    partners = {name: points[name] for name in point.emission.partners if name in points}
    others = [one for one in partners.values() if one.gateway == point.gateway and isinstance(one.emission, Unbooked)]
    if len(others) != len(point.emission.partners):
        raise RegistryError(f"{point.id}: a mass's partners are points of its gateway with emission rule none")
    if any(one.time != point.time or point.step_seconds % one.step_seconds for one in others):
        raise RegistryError(
            f"{point.id}: a mass's partners have its kind of time, and a step that its own is filled by"
        )
    if point.window_seconds != 3600 or point.counter is not None:
        raise RegistryError(f"{point.id}: mass is of hours (HJ 212-2017, D.2), and of no counter")
    if point.instants * point.step_seconds > 60:
        raise RegistryError(f"{point.id}: a minute has no {point.instants} instants of {point.step_seconds} s")
    own, *beside = (Measured(one.unit, one.scale, one.min, one.max) for one in (point, *partners.values()))
    try:
        return formula(point.emission, own, point.step_seconds, dict(zip(partners, beside, strict=True)))
    except MassError as error:
        raise RegistryError(f"{point.id}: {error}") from error


def _check_substitution(point: Point, within: tuple[int, int]) -> None:
    starts = [regime.start for regime in point.substitution]
    if starts and point.window_seconds != 3600:
        raise RegistryError(f"{point.id}: substitution is of hours, not windows of {point.window_seconds} s")
    if any(type(start) is not int for start in starts) or starts != sorted(set(starts)):
        raise RegistryError(f"{point.id}: tier sets begin one after the other, in ms")
    if starts and point.counter is not None:
        raise RegistryError(f"{point.id}: a counter's readings are no quantities to substitute")
    if type(point.substitution_after) is not int or not (
        LEAST_AFTER_HOURS <= point.substitution_after <= MOST_AFTER_HOURS
    ):
        raise RegistryError(
            f"{point.id}: a missing hour waits {LEAST_AFTER_HOURS} to {MOST_AFTER_HOURS} hours, in whole ones"
        )
    for regime in point.substitution:
        if type(regime.potential) is not int or not within[0] <= regime.potential <= within[1]:
            raise RegistryError(f"{point.id}: the potential {regime.potential} is outside its range")
