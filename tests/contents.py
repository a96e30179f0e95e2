"""One content of each kind of submission that its rules let pass, and the registry that they are about: invented."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from carbon import calendar, claims, factors, registry, rules, submission
from carbon.refusal import Refusal
from carbon.registry import Registry
from tests.small import registry_bytes

OFFSET = 480
"""The channel is in China, so that midnight is not midnight UTC."""
DOCUMENT = sha256(b"a bill").digest()
COMMITMENT = sha256(b"a decision").digest()
BENCHMARK = "allocation_benchmarks.2023.coal_gt300MW"
D_ROWS = [f"{BENCHMARK}.elec", f"{BENCHMARK}.heat"]

SUBJECTS = [
    {"id": "region", "name": "Region", "kind": "region", "parent": None},
    {"id": "elsewhere", "name": "Elsewhere", "kind": "region", "parent": None},
    {"id": "plant", "name": "Plant", "kind": "plant", "parent": "region"},
    {
        "id": "works",
        "name": "Works",
        "kind": "enterprise",
        "parent": "region",
        "units": [{"id": "kiln-1", "points": ["plant-0-1"]}, {"id": "mill-1", "points": ["plant-0-2"]}],
    },
    {"id": "shop", "name": "Shop", "kind": "SME", "parent": "region"},
    {"id": "abroad", "name": "Abroad", "kind": "enterprise", "parent": "elsewhere"},
]
YEAR = 2023


def month(number: int) -> int:
    """The first instant of a month of the year, ms UTC."""
    return calendar.month_start(YEAR, number, OFFSET)


POINTS = {
    "plant-0-1": {"subject": "works", "start": month(3)},
    "plant-0-2": {"subject": "works", "emission": {"rule": "none"}},
}
REGISTRY = registry.parse(registry_bytes(subjects=SUBJECTS, more=POINTS), factors.load())

MARCH: dict[str, Any] = {"start": month(3), "end": month(4)}
OUTPUT = {
    "unit": "unit-1",
    "electricity": f"{BENCHMARK}.elec",
    "electricity_wh": 1_000_000_000,
    "heat": f"{BENCHMARK}.heat",
    "heat_mj": 2_000_000,
    "correction": "1",
}
CONTENTS: dict[str, dict[str, Any]] = {
    "allocation": {
        "subject": "plant",
        "year": YEAR,
        "stage": "FINAL",
        # 1,000 MWh · 0.795 t/MWh + 2,000 GJ · 0.1038 t/GJ
        "amount_g": 795_000_000 + 207_600_000,
        "outputs": [OUTPUT],
        "share_percent": 100,
        "cut_g": 0,
        "decision": [],
        "allowed": D_ROWS,
    },
    "transfer": {
        "seller": "plant",
        "buyer": "works",
        "vintage": YEAR,
        "amount_g": 5_000_000,
        "price_fen_t": 7_900,
        "venue": "exchange",
    },
    "offset": {"subject": "plant", "scheme": "CCER", "project": "wind-1", "vintage": YEAR, "first": 1, "count": 10},
    "retirement": {
        "subject": "plant",
        "scheme": "CCER",
        "first": 1,
        "count": 10,
        "purpose": "COMPLIANCE",
        "year": YEAR,
    },
    "reduction": {
        "subject": "shop",
        "year": YEAR,
        "amount_g": 1_000_000,
        "description": "LED lamps",
        "document": DOCUMENT,
    },
    "verification": {
        "subject": "plant",
        "year": YEAR,
        "emissions_g": 30,
        "sources": [
            {"source": "boiler", "gas": "CH4", "scope": 1, "emission_g": 5},
            {"source": "boiler", "gas": "CO2", "scope": 1, "emission_g": 15},
            {"source": "grid", "gas": "CO2", "scope": 2, "emission_g": 10},
        ],
        "document": DOCUMENT,
    },
    "surrender": {
        "subject": "plant",
        "year": YEAR,
        "lines": [{"vintage": YEAR - 1, "amount_g": 1}, {"vintage": YEAR, "amount_g": 2}],
    },
    "closing": {
        "subject": "plant",
        "year": YEAR,
        "shortfall_g": 0,
        "banked_g": 1,
        "expired_g": 0,
        "net_sold_g": 0,
        "allowed": [],
    },
    "plan": {
        "subject": "plant",
        "year": YEAR,
        "months": [{"emission_g": 10, "output": 5}] * 12,
        "product": "electricity",
        "scale": 0,
        "unit": "MWh",
    },
    "target": {
        "subject": "plant",
        "base_year": 2020,
        "base_g": 100,
        "target_year": 2060,
        "target_g": 0,
        "path": [{"year": 2030, "amount_g": 110}, {"year": 2040, "amount_g": 60}],
    },
    "output": {
        "subject": "plant",
        **MARCH,
        "product": "electricity",
        "quantity": 1_234,
        "scale": 1,
        "unit": "MWh",
        "document": DOCUMENT,
    },
    "gdp": {"subject": "region", **MARCH, "amount_fen": 10**12, "document": DOCUMENT},
    "activity": {
        "subject": "shop",
        "source": "grid",
        **MARCH,
        "quantity": 1_000,
        "scale": 0,
        "unit": "kWh",
        "rule": [
            {"name": "factor", "value": "grid_factors.CN.national.2023"},
            {"name": "rule", "value": "purchased_electricity"},
        ],
        "factors": REGISTRY.factors.digest,
        "emission_g": 530_600,
        "allowed": [],
        "document": DOCUMENT,
    },
    "laboratory": {
        "subject": "plant",
        "source": "boiler",
        **MARCH,
        "sample": "S-1",
        "batch": "B-1",
        "carbon_ppm": 560_000,
        "ncv_kj_kg": 21_000,
        "document": DOCUMENT,
    },
    "price": {"year": YEAR, "month": 11, "price_fen_t": 7_000},
    "decision": {
        "subject": "plant",
        "year": YEAR,
        "rule": "missed-surrender",
        "outcome": "a fine",
        "amount_fen": 100,
        "cut_g": 0,
        "reasons": "short by 5 t",
        "records": [COMMITMENT],
    },
    "weather": {
        "region": "region",
        "level": "RED",
        "start": month(1),
        "end": month(1) + 36 * 3_600_000,
        "measures": [{"subject": "plant", "grade": "C", "limit_percent": 50, "reason": "grade C at RED"}],
    },
    "ruleset": {"name": "colour", "rules": rules.shipped_json("colour")},
    "assessment": {
        "subject": "plant",
        "point": "plant-0-0",
        "anomaly": f"anomaly/plant-0-0/stuck/raised/{month(3)}",
        "verdict": "DISMISSED",
        "reason": "the pump was serviced",
    },
}

CONTENTS["reversal"] = {
    "number": 1,
    "reason": "the figures of another month",
    "body": submission.body_of("anybody", 1, "output", CONTENTS["output"], bytes(submission.SALT_BYTES)),
    "postings": [],
    "place": 0,
    "path": [],
}


def stated(kind: str, content: Mapping[str, Any], party: str = "anybody", number: int = 2) -> submission.Submission:
    """A submission of a content, as its bytes say it; signed by nobody."""
    body = submission.body_of(party, number, kind, content, bytes(submission.SALT_BYTES))
    return submission.read(submission.signed(body, {}, bytes(32)))


def judged(kind: str, changes: Mapping[str, Any], registry_: Registry = REGISTRY) -> Refusal:
    """What the rules of a kind say of its content with some fields changed."""
    return claims.content_refusal(stated(kind, {**CONTENTS[kind], **changes}), registry_, OFFSET)
