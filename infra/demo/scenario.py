"""What the declared parameters make: the registry, each gateway's replay, and the counts that a run must end with.

Pure but for reading the data set's own files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from carbon.registry import canonical_json
from infra.demo.parameters import Metered, Parameters, PlantedParameters, ScenarioError, ms
from infra.demo.stated import statements
from streams.edge.sources.simbench import STEP_MS, Gap, Meter, Planted, ReplaySettings

OBJECT_HEX = 24


def registry_bytes(
    parameters: Parameters,
    gateway_keys: Mapping[str, bytes],
    submitter_keys: Mapping[str, bytes],
    party_keys: Mapping[str, bytes] = MappingProxyType({}),
) -> bytes:
    """The registry file, canonical, as `carbon.registry.parse` takes it. Keys are 32-byte Ed25519 public keys by id.

    `gateway_keys` has every gateway and the intake; a party without a key is not registered. Raises ScenarioError.
    """
    intake = parameters.registry.intake
    if set(gateway_keys) != {*parameters.gateways, intake}:
        raise ScenarioError(f"keys are wanted of exactly {', '.join([*parameters.gateways, intake])}")
    limits = {"future_ms": parameters.time.future_seconds * 1000, "age_ms": parameters.time.age_seconds * 1000}
    return canonical_json(
        {
            "prefix": parameters.registry.prefix,
            "limits": limits,
            "subjects": list(_subjects(parameters)),
            "gateways": [
                {
                    "id": gateway,
                    "key": key.hex(),
                    "run": parameters.registry.run,
                    "kind": "intake" if gateway == intake else "gateway",
                }
                for gateway, key in sorted(gateway_keys.items())
            ],
            "submitters": [{"id": id_, "key": key.hex()} for id_, key in sorted(submitter_keys.items())],
            "parties": [
                {"id": party.id, "key": party_keys[party.id].hex(), "role": party.role, "subject": party.subject}
                for party in parameters.parties
                if party.id in party_keys
            ],
            "points": [*(_point(parameters, metered) for metered in parameters.metered), _check_meter(parameters)],
        }
    )


def _subjects(parameters: Parameters) -> Iterator[dict[str, Any]]:
    region, group = parameters.region, parameters.group
    yield {"id": region.id, "name": region.name, "kind": "region", "parent": None}
    yield {"id": group.id, "name": group.name, "kind": "group", "parent": region.id}
    for plant in parameters.plants:
        yield {"id": plant.id, "name": plant.name, "kind": "plant", "parent": group.id}
    for enterprise in parameters.enterprises:
        yield {"id": enterprise.id, "name": enterprise.name, "kind": "enterprise", "parent": region.id}


def _point(parameters: Parameters, metered: Metered) -> dict[str, Any]:
    rule, ceiling = emission(parameters, metered), parameters.ceiling_wh(metered)
    return _registered(parameters, metered.point, metered.subject, metered.gateway, ceiling, rule)


def _check_meter(parameters: Parameters) -> dict[str, Any]:
    meter, rule = parameters.check_meter, {"rule": "purchased_electricity", "factor": parameters.electricity.factor}
    return _registered(parameters, meter.id, meter.subject, parameters.registry.intake, meter.max_wh, rule)


def _registered(
    parameters: Parameters, point: str, subject: str, gateway: str, ceiling: int, rule: dict[str, str]
) -> dict[str, Any]:
    return {
        "id": point,
        "subject": subject,
        "gateway": gateway,
        "object": object_id(point),
        "unit": "Wh",
        "scale": 0,
        "step_seconds": parameters.time.step_seconds,
        "window_seconds": parameters.time.window_seconds,
        "start": ms(parameters.time.first),
        "min": 0,
        "max": ceiling,
        "emission": rule,
    }


def emission(parameters: Parameters, metered: Metered) -> dict[str, str]:
    """The emission rule of a point as a registry states it: combustion of its fuel, or purchased electricity."""
    if metered.fuel is None:
        return {"rule": "purchased_electricity", "factor": parameters.electricity.factor}
    fuel = parameters.fuels[metered.fuel]
    return {"rule": "combustion", "heat_rate": fuel.heat_rate, "carbon": fuel.carbon, "oxidation": fuel.oxidation}


def object_id(point: str) -> str:
    """A synthetic object id of 24 hex characters, EPC-96's length, that follows from the point id."""
    return sha256(f"carbonledger/demo/object\n{point}".encode()).hexdigest()[:OBJECT_HEX]


def replay_settings(parameters: Parameters, gateway: str, days: int | None = None) -> ReplaySettings:
    """What one gateway replays of the first `days`, or of the whole year, with what is planted in it."""
    mine = [metered for metered in parameters.metered if metered.gateway == gateway]
    lateness_ms = parameters.time.lateness_seconds * 1000
    gap = parameters.gap
    return ReplaySettings(
        meters=tuple(Meter(point=m.point, table=m.table, name=m.unit.name) for m in mine),
        rows=parameters.rows(days),
        span_seconds=parameters.time.packet_span_seconds,
        until=parameters.end_ms(days) + lateness_ms,
        planted=tuple(_planted(p) for p in planted_in(parameters, days) if carrier(parameters, p) == gateway),
        gaps=tuple(Gap(point=m.point, start=ms(gap.start), end=ms(gap.until)) for m in mine if m.point == gap.point),
    )


def _planted(planted: PlantedParameters) -> Planted:
    return Planted(
        point=planted.point,
        at=ms(planted.at),
        carried=ms(planted.carried),
        value=planted.value,
        repeat=planted.kind == "duplicate",
    )


def carrier(parameters: Parameters, planted: PlantedParameters) -> str:
    """The gateway whose packet carries a planted reading."""
    if planted.gateway is not None:
        return planted.gateway
    return next(metered.gateway for metered in parameters.metered if metered.point == planted.point)


def planted_in(parameters: Parameters, days: int | None) -> list[PlantedParameters]:
    """The planted readings whose packets a replay of `days` sends."""
    return [planted for planted in parameters.planted if ms(planted.carried) < parameters.end_ms(days)]


def gap_slots(parameters: Parameters, days: int | None) -> range:
    """The times in ms UTC of the readings that a replay of `days` leaves out."""
    first = -(-ms(parameters.gap.start) // STEP_MS) * STEP_MS
    return range(first, min(ms(parameters.gap.until), parameters.end_ms(days)), STEP_MS)


@dataclass(frozen=True)
class Expected:
    """What a replay must come to: packets and readings sent by the gateways, and what becomes of the readings.

    `rejected` counts readings by reason, and under `wrong_signature` the forged packets of one reading each, which are
    not among `packets` and `readings`. `records` is one for each window of each point, `submissions` what the
    parties state, by kind; `outlooks` subjects with one at the replay's end, ms UTC; `short` whose allowances run
    out in the whole year.
    """

    packets: int
    readings: int
    counted: int
    left_out: int
    rejected: Mapping[str, int]
    records: int
    submissions: Mapping[str, int]
    outlooks: int
    end_ms: int
    short: str | None

    @property
    def leaves(self) -> int:
        """What the ledger must come to hold."""
        return self.records + sum(self.submissions.values())


def expected(parameters: Parameters, days: int | None = None) -> Expected:
    """The counts of a replay of the first `days`, or of the whole year."""
    time, rows, points = parameters.time, parameters.rows(days), len(parameters.metered)
    planted: Counter[str] = Counter(planted.kind for planted in planted_in(parameters, days))
    left_out = len(gap_slots(parameters, days))
    spans = -(-rows * time.step_seconds // time.packet_span_seconds)
    counted = points * rows - left_out
    return Expected(
        packets=(spans + 1) * len(parameters.gateways),
        readings=counted + planted.total(),
        counted=counted,
        left_out=left_out,
        rejected={**planted, "wrong_signature": len(parameters.forged)},
        records=points * rows * time.step_seconds // time.window_seconds,
        outlooks=len(parameters.emitters()),
        end_ms=parameters.end_ms(days),
        short=parameters.submissions.short if rows == time.rows else None,
        submissions=Counter(statement.kind for statement in statements(parameters, 0, days)),
    )
