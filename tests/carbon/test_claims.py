"""The rules of every kind of submission at their boundaries: one step this side passes, one step beyond is refused."""

import json
import tomllib
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import claims, rules
from carbon.claims import ground
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from carbon.registry import canonical_json
from carbon.submission import ROLES
from schemas import codec
from tests.contents import BENCHMARK, COMMITMENT, CONTENTS, D_ROWS, MARCH, OFFSET, OUTPUT, YEAR, judged, month, stated

DAY, HOUR = 86_400_000, 3_600_000
NOW = month(1) + 400 * DAY
G, FEN, PRICE = ground.MOST_G, ground.MOST_FEN, ground.MOST_PRICE_FEN_T
LONG, TEXT = "n" * ground.MOST_NAME, "t" * ground.MOST_TEXT
CUT = {"decision": [COMMITMENT], "cut_g": 2_600_000, "amount_g": 1_000_000_000}
GAS = "allocation_benchmarks.2023.gas.heat"
DECIDED = {"outputs": [], "allowed": []}
NO_LEVELS: list[dict[str, Any]] = [
    {"lead_days": "many"},
    {"lead_days": -1},
    {"lead_days": 367},
    {"raise_percent": 90.5},
    {"keep_percent": True},
    {"keep_percent": 0},
]


NO_ANOMALIES = [
    "",
    "anomaly/plant-0-0/stuck",
    f"anomaly/plant-0-0/stuck/resolved/{month(3)}",
    f"anomaly/plant-0-1/stuck/raised/{month(3)}",
    f"anomaly/plant-0-0/stuck/raised/0{month(3)}",
    f"anomaly/plant-0-0/st uck/raised/{month(3)}",
    f"anomaly/plant-0-0/stuck/raised/{month(3)}\n",
    "anomaly/plant-0-0/stuck/raised/1e12",
]


def early_warning(**of_level: Any) -> str:
    """The shipped rules with a level changed, as a submission has them."""
    raw = tomllib.loads(resources.files("carbon.planning").joinpath("early-warning.toml").read_text())
    raw["rules"][0]["levels"][0] |= of_level
    return canonical_json(raw).decode()


def sources(*rows: tuple[str, str, int, int]) -> list[dict[str, Any]]:
    return [dict(zip(("source", "gas", "scope", "emission_g"), row, strict=True)) for row in rows]


def lines(*rows: tuple[int, int]) -> list[dict[str, int]]:
    return [{"vintage": vintage, "amount_g": grams} for vintage, grams in rows]


def path(*rows: tuple[int, int]) -> list[dict[str, int]]:
    return [{"year": year, "amount_g": grams} for year, grams in rows]


def months(*emissions: int, output: int = 5) -> list[dict[str, int]]:
    return [{"emission_g": grams, "output": output} for grams in emissions]


def measures(**changes: Any) -> dict[str, Any]:
    return {"measures": [CONTENTS["weather"]["measures"][0] | changes]}


def outputs(**changes: Any) -> dict[str, Any]:
    return {"outputs": [OUTPUT | changes]}


def test_every_kind_has_rules_and_a_content_that_passes() -> None:
    assert claims.RULES.keys() == ROLES.keys() == CONTENTS.keys()
    assert {kind: judged(kind, {}) for kind in CONTENTS} == dict.fromkeys(CONTENTS, Refusal.PASS)


PASSING: list[tuple[str, dict[str, Any]]] = [
    ("allocation", {**DECIDED, "amount_g": 1}),
    ("allocation", {**DECIDED, "amount_g": G}),
    ("allocation", {**DECIDED, "decision": [COMMITMENT], "cut_g": 1, "amount_g": 0}),
    ("allocation", {"stage": "PRE", "share_percent": 70, "amount_g": 701_820_000}),
    ("allocation", {"stage": "PRE", "share_percent": 1, "amount_g": 10_026_000}),
    ("allocation", {"stage": "PRE"}),
    ("allocation", {"allowed": sorted([*D_ROWS, *(f"row{n}" for n in range(ground.MOST_ROWS - 2))])}),
    ("allocation", CUT),
    ("allocation", {"decision": [COMMITMENT], "cut_g": G, "amount_g": 0}),
    ("allocation", {**outputs(correction="0.5"), "amount_g": 605_100_000}),
    ("allocation", {**outputs(correction="1.5"), "amount_g": 1_400_100_000}),
    ("allocation", {**outputs(unit="kiln-1"), "subject": "works"}),
    ("transfer", {"price_fen_t": None, "venue": ""}),
    ("transfer", {"price_fen_t": PRICE}),
    ("transfer", {"buyer": "shop", "vintage": 1990}),
    ("offset", {"count": ground.MOST_CREDITS, "project": LONG}),
    ("offset", {"first": 2**63 - 11}),
    ("verification", {"emissions_g": 0, "sources": []}),
    ("verification", {"emissions_g": 3, "sources": sources(("a", "CO2", 1, 1), ("a", "CO2", 2, 2))}),
    ("surrender", {"lines": lines((YEAR, G))}),
    ("closing", {"shortfall_g": G}),
    ("plan", {"product": "", "unit": "", "months": months(*[1] * 12, output=0)}),
    ("plan", {"months": months(1, *[0] * 11)}),
    ("plan", {"months": months(G, *[0] * 11)}),
    ("target", {"path": []}),
    ("target", {"target_g": 99}),
    ("target", {"base_year": 1990, "target_year": 2100}),
    ("output", {"quantity": 0}),
    ("output", {"unit": "GJ"}),
    ("output", {"unit": "t", "product": "bricks"}),
    ("output", {"unit": "1", "product": "bricks"}),
    ("output", {"unit": "TJ", "product": "heat", "scale": 0, "quantity": 36_000_000}),
    ("output", {"unit": "Nm3", "product": "gas", "scale": 18, "quantity": 2**63 - 1}),
    ("output", {"start": month(3), "end": month(3) + DAY}),
    ("output", {"start": month(1), "end": month(13)}),
    ("gdp", {"start": month(1), "end": month(13), "amount_fen": FEN}),
    ("laboratory", {"carbon_ppm": 1_000_000, "ncv_kj_kg": 10_000}),
    ("laboratory", {"carbon_ppm": 300_000, "ncv_kj_kg": 60_000}),
    ("price", {"month": 12, "price_fen_t": 1}),
    ("ruleset", {"name": "weather", "rules": rules.shipped_json("weather")}),
    ("ruleset", {"name": "early-warning", "rules": early_warning()}),
    ("ruleset", {"name": "early-warning", "rules": early_warning(lead_days=366)}),
    ("decision", {"amount_fen": -FEN, "records": []}),
    ("decision", {"amount_fen": 0, "reasons": TEXT}),
    ("weather", {"end": month(1) + 60 * DAY, "measures": []}),
    ("weather", measures(limit_percent=0)),
    ("weather", measures(limit_percent=100)),
    ("assessment", {"verdict": "CONFIRMED", "reason": TEXT}),
    ("assessment", {"anomaly": f"anomaly/plant-0-0/mass_per_load/raised/{month(5)}"}),
    ("assessment", {"subject": "works", "point": "plant-0-1", "anomaly": f"anomaly/plant-0-1/gap/raised/{month(5)}"}),
]


@pytest.mark.parametrize(("kind", "changes"), PASSING)
def test_what_just_passes(kind: str, changes: dict[str, Any]) -> None:
    assert judged(kind, changes) is Refusal.PASS


REFUSED: dict[Refusal, list[tuple[str, dict[str, Any]]]] = {
    Refusal.NOT_POSITIVE: [
        ("allocation", {**DECIDED, "amount_g": 0}),
        ("allocation", {**DECIDED, "amount_g": -1}),
        ("allocation", {**CUT, **DECIDED, "amount_g": -1}),
        ("allocation", {"cut_g": -1}),
        ("allocation", outputs(electricity_wh=-1)),
        ("allocation", outputs(heat_mj=-1)),
        ("transfer", {"amount_g": 0}),
        ("transfer", {"price_fen_t": 0}),
        ("offset", {"count": 0}),
        ("offset", {"first": 0}),
        ("retirement", {"count": -1}),
        ("reduction", {"amount_g": 0}),
        ("verification", {"emissions_g": -1, "sources": sources(("a", "CO2", 1, -1))}),
        ("verification", {"emissions_g": 0, "sources": sources(("a", "CO2", 1, -1), ("b", "CO2", 1, 1))}),
        ("surrender", {"lines": lines((YEAR, 0))}),
        ("closing", {"banked_g": -1}),
        ("closing", {"shortfall_g": -1}),
        ("closing", {"expired_g": -1}),
        ("plan", {"months": months(*[0] * 12)}),
        ("plan", {"months": months(5, -1, *[1] * 10)}),
        ("plan", {"months": months(*[1] * 12, output=-1)}),
        ("target", {"base_g": 0, "target_g": -1}),
        ("target", {"target_g": -1}),
        ("target", {"path": path((2030, -1))}),
        ("output", {"quantity": -1}),
        ("gdp", {"amount_fen": 0}),
        ("activity", {"quantity": 0}),
        ("activity", {"quantity": -1_000, "emission_g": -530_600}),
        ("laboratory", {"carbon_ppm": 0}),
        ("laboratory", {"ncv_kj_kg": 0}),
        ("price", {"price_fen_t": 0}),
        ("decision", {"cut_g": -1}),
        ("weather", measures(limit_percent=-1)),
    ],
    Refusal.ABSURD: [
        ("allocation", {**DECIDED, "amount_g": G + 1}),
        ("allocation", {**CUT, "cut_g": G + 1}),
        ("allocation", outputs(electricity_wh=G + 1)),
        ("allocation", outputs(correction="0.499999999")),
        ("allocation", outputs(correction="1.500000001")),
        ("transfer", {"amount_g": G + 1}),
        ("transfer", {"price_fen_t": PRICE + 1}),
        ("offset", {"count": ground.MOST_CREDITS + 1}),
        ("offset", {"first": 2**63 - 10}),
        ("retirement", {"first": 2**63 - 1}),
        ("reduction", {"amount_g": G + 1}),
        ("verification", {"emissions_g": G + 1, "sources": sources(("a", "CO2", 1, G + 1))}),
        ("verification", {"emissions_g": G + 1, "sources": sources(("a", "CO2", 1, G), ("b", "CO2", 1, 1))}),
        ("surrender", {"lines": lines((YEAR, G + 1))}),
        ("closing", {"net_sold_g": G + 1}),
        ("plan", {"months": months(G, 1, *[0] * 10)}),
        ("target", {"base_g": G + 1}),
        ("target", {"path": path((2030, G + 1))}),
        ("output", {"unit": "TJ", "product": "heat", "scale": 0, "quantity": 36_000_001}),
        ("output", {"unit": "1", "product": "bricks", "scale": 0, "quantity": 10**15 + 1}),
        ("activity", {"unit": "GWh", "quantity": 10**7 + 1}),
        ("activity", {"emission_g": G + 1}),
        ("plan", {"months": months(*[1] * 12, output=10**10 + 1)}),
        ("gdp", {"amount_fen": FEN + 1}),
        ("laboratory", {"carbon_ppm": 1_000_001}),
        ("laboratory", {"ncv_kj_kg": 60_001}),
        ("laboratory", {"carbon_ppm": 299_999, "ncv_kj_kg": 60_000}),
        ("laboratory", {"carbon_ppm": 1_000_000, "ncv_kj_kg": 9_999}),
        ("price", {"price_fen_t": PRICE + 1}),
        ("decision", {"amount_fen": FEN + 1}),
        ("decision", {"amount_fen": -FEN - 1}),
        ("weather", measures(limit_percent=101)),
    ],
    Refusal.WRONG_PERIOD: [
        ("allocation", {**DECIDED, "year": 1989}),
        ("allocation", {**DECIDED, "year": 2101}),
        ("transfer", {"vintage": 1989}),
        ("offset", {"vintage": 2101}),
        ("retirement", {"year": 0}),
        ("reduction", {"year": 2101}),
        ("verification", {"year": -1}),
        ("surrender", {"lines": lines((YEAR + 1, 1))}),
        ("surrender", {"year": 2101}),
        ("closing", {"year": 1989}),
        ("plan", {"year": 1989}),
        ("target", {"base_year": 1989}),
        ("target", {"target_year": 2101}),
        ("target", {"base_year": 2060, "path": []}),
        ("target", {"path": path((2020, 5))}),
        ("target", {"path": path((2060, 5))}),
        ("target", {"path": path((2040, 5), (2030, 5))}),
        ("target", {"path": path((2040, 5), (2040, 5))}),
        ("output", {"start": month(4)}),
        ("output", {"start": month(3) + 1}),
        ("output", {"end": month(4) - HOUR}),
        ("output", {"start": month(3) - 8 * HOUR, "end": month(4) - 8 * HOUR}),
        ("output", {"start": month(12), "end": month(13) + DAY}),
        ("output", {"start": month(0), "end": month(2)}),
        ("output", {"start": 0, "end": -(2**63)}),
        ("output", {"end": 2**63 - 1}),
        ("gdp", {"start": month(3) + DAY}),
        ("gdp", {"end": month(4) - DAY}),
        ("gdp", {"start": month(4)}),
        ("gdp", {"start": month(12), "end": month(14)}),
        ("activity", {"end": month(4) + 1}),
        ("laboratory", {"start": month(5)}),
        ("price", {"month": 0}),
        ("price", {"month": 13}),
        ("price", {"year": 1989}),
        ("decision", {"year": 2101}),
        ("weather", {"end": month(1)}),
        ("weather", {"end": month(1) + HOUR + 1}),
        ("weather", {"start": month(1) + 1}),
        ("weather", {"end": month(1) + 60 * DAY + HOUR}),
        ("weather", {"start": -HOUR * 10**9, "end": -HOUR * 10**9 + HOUR}),
        ("assessment", {"anomaly": "anomaly/plant-0-0/gap/raised/0"}),
        ("assessment", {"anomaly": f"anomaly/plant-0-0/gap/raised/{10**15 - 1}"}),
    ],
    Refusal.WRONG_AMOUNT: [
        ("allocation", {"amount_g": 1_002_599_999}),
        ("allocation", {"amount_g": 1_002_600_001}),
        ("allocation", {**CUT, "amount_g": 1_000_000_001}),
        ("allocation", {"share_percent": 99}),
        ("allocation", {"stage": "PRE", "share_percent": 0, **CUT, "amount_g": 0}),
        ("allocation", {"stage": "PRE", "share_percent": 101, "amount_g": 1_012_626_000}),
        ("allocation", outputs(correction="1.000001")),
        ("verification", {"emissions_g": 31}),
        ("verification", {"sources": []}),
        ("target", {"target_g": 100}),
    ],
    Refusal.UNKNOWN_FACTOR: [
        ("allocation", outputs(electricity=f"{BENCHMARK}.nothing")),
        ("allocation", {"year": 2024}),
        ("allocation", {**outputs(heat=GAS), "allowed": [*D_ROWS, GAS]}),
    ],
    Refusal.UNTRUSTED_FACTOR: [
        ("allocation", {"allowed": []}),
        ("allocation", {"allowed": D_ROWS[:1]}),
    ],
    Refusal.WRONG_SUBJECT: [
        ("allocation", {"subject": "shop"}),
        ("allocation", {"subject": "region"}),
        ("transfer", {"seller": "region"}),
        ("transfer", {"buyer": "region"}),
        ("transfer", {"buyer": "plant"}),
        ("offset", {"subject": "region"}),
        ("retirement", {"subject": "region"}),
        ("reduction", {"subject": "region"}),
        ("verification", {"subject": "shop"}),
        ("surrender", {"subject": "shop"}),
        ("closing", {"subject": "shop"}),
        ("plan", {"subject": "region"}),
        ("target", {"subject": "region"}),
        ("output", {"subject": "region"}),
        ("activity", {"subject": "region"}),
        ("laboratory", {"subject": "region"}),
        ("decision", {"subject": "region"}),
        ("weather", {"region": "plant"}),
        ("weather", measures(subject="region")),
        ("assessment", {"subject": "works"}),
    ],
    Refusal.UNKNOWN_SUBJECT: [
        ("allocation", {"subject": "works"}),
        ("weather", measures(subject="nobody")),
    ],
    Refusal.UNKNOWN_POINT: [("assessment", {"point": "plant-9-9"})],
    Refusal.WRONG_ROLE: [("weather", measures(subject="abroad"))],
    Refusal.UNKNOWN_TERM: [
        ("offset", {"scheme": "VCS"}),
        ("retirement", {"scheme": "ccer"}),
        ("verification", {"emissions_g": 1, "sources": sources(("a", "SF6", 1, 1))}),
        ("verification", {"emissions_g": 1, "sources": sources(("a", "CO2", 3, 1))}),
        ("ruleset", {"name": "colours"}),
    ],
    Refusal.WRONG_UNIT: [
        ("output", {"scale": 19}),
        ("output", {"scale": -1}),
        ("output", {"unit": "t"}),
        ("output", {"unit": "MW"}),
        ("output", {"unit": ""}),
        ("output", {"unit": "MWh/d", "product": "power"}),
        ("output", {"unit": "1e4 Nm3", "product": "gas"}),
        ("output", {"unit": "%", "product": "quality"}),
        ("output", {"unit": "tCO2", "product": "dry-ice"}),
        ("activity", {"scale": 19}),
        ("activity", {"unit": "t"}),
        ("activity", {"unit": "MW"}),
        ("plan", {"scale": -1}),
        ("plan", {"unit": "t"}),
    ],
    Refusal.MALFORMED: [
        ("allocation", {"cut_g": 1}),
        ("allocation", {"decision": [COMMITMENT]}),
        ("allocation", {**CUT, "decision": [b"short"]}),
        ("allocation", {**CUT, "decision": [COMMITMENT, bytes(32)]}),
        ("allocation", {"allowed": [*D_ROWS[::-1]]}),
        ("allocation", {"allowed": [*D_ROWS, D_ROWS[1]]}),
        ("allocation", {"allowed": sorted([*D_ROWS, *(f"row{n}" for n in range(ground.MOST_ROWS - 1))])}),
        ("allocation", {"outputs": [OUTPUT, OUTPUT]}),
        ("allocation", {"outputs": [OUTPUT, OUTPUT | {"unit": "unit-0"}]}),
        ("allocation", outputs(unit="a b")),
        ("allocation", outputs(correction="1/1")),
        ("transfer", {"venue": "a b"}),
        ("offset", {"project": ""}),
        ("offset", {"project": LONG + "n"}),
        ("offset", {"project": "a\u2028b"}),
        ("reduction", {"description": " \n"}),
        ("reduction", {"description": TEXT + "t"}),
        ("verification", {"emissions_g": 1, "sources": sources(("", "CO2", 1, 1))}),
        ("verification", {"emissions_g": 2, "sources": sources(("a", "CO2", 1, 1), ("a", "CO2", 1, 1))}),
        ("verification", {"emissions_g": 2, "sources": sources(("b", "CO2", 1, 1), ("a", "CO2", 1, 1))}),
        ("surrender", {"lines": []}),
        ("surrender", {"lines": lines((YEAR, 1), (YEAR, 1))}),
        ("surrender", {"lines": lines((YEAR, 1), (YEAR - 1, 1))}),
        ("closing", {"allowed": ["b", "a"]}),
        ("reversal", {"number": 0}),
        ("reversal", {"number": 2}),
        ("reversal", {"reason": ""}),
        ("reversal", {"body": b"nothing"}),
        ("reversal", {"body": stated("output", CONTENTS["output"], number=1, party="somebody").body}),
        ("reversal", {"body": stated("output", CONTENTS["output"], number=2).body}),
        ("plan", {"months": months(*[1] * 11)}),
        ("plan", {"months": months(*[1] * 13)}),
        ("plan", {"product": ""}),
        ("plan", {"product": "", "unit": "", "scale": 1, "months": months(*[1] * 12, output=0)}),
        ("plan", {"product": "hot air"}),
        ("output", {"product": ""}),
        ("activity", {"source": "the grid"}),
        ("activity", {"rule": CONTENTS["activity"]["rule"][::-1]}),
        ("activity", {"allowed": ["b", "a"]}),
        ("laboratory", {"sample": ""}),
        ("laboratory", {"batch": "a\tb"}),
        ("laboratory", {"source": "\u3000"}),
        ("decision", {"rule": ""}),
        ("decision", {"outcome": ""}),
        ("decision", {"reasons": " "}),
        ("decision", {"records": [b"short"]}),
        ("decision", {"records": [COMMITMENT, COMMITMENT]}),
        ("weather", {"measures": CONTENTS["weather"]["measures"] * 2}),
        ("weather", measures(grade="")),
        ("weather", measures(reason="")),
        ("ruleset", {"rules": json.dumps(json.loads(CONTENTS["ruleset"]["rules"]))}),
        ("ruleset", {"rules": "[]\n"}),
        ("ruleset", {"rules": "{}\n"}),
        ("ruleset", {"name": "weather"}),
        ("ruleset", {"rules": CONTENTS["ruleset"]["rules"].replace("1", "NaN", 1)}),
        ("ruleset", {"rules": "no JSON"}),
        ("ruleset", {"rules": "[" * 10_000}),
        ("ruleset", {"name": "early-warning"}),
        *(("ruleset", {"name": "early-warning", "rules": early_warning(**level)}) for level in NO_LEVELS),
        ("ruleset", {"rules": " " * (ground.MOST_RULES + 1)}),
        ("assessment", {"reason": "\t"}),
        ("assessment", {"reason": TEXT + "t"}),
        *(("assessment", {"anomaly": name}) for name in NO_ANOMALIES),
    ],
}


@pytest.mark.parametrize(
    ("wanted", "kind", "changes"), [(wanted, *case) for wanted, cases in REFUSED.items() for case in cases]
)
def test_what_is_refused(wanted: Refusal, kind: str, changes: dict[str, Any]) -> None:
    assert judged(kind, changes) is wanted


def test_march_is_march_where_the_channel_is() -> None:
    assert MARCH["start"] % DAY == 16 * HOUR


def value(schema: Any) -> st.SearchStrategy[Any]:
    """Any value of an Avro schema, extremes among them."""
    if isinstance(schema, list):
        return st.one_of([st.none() if branch == "null" else value(branch) for branch in schema])
    if isinstance(schema, str):
        whole = {"int": 31, "long": 63}.get(schema)
        if whole:
            edges = [0, 1, -1, YEAR, 2**whole - 1, -(2**whole), *([month(1), month(2)] if schema == "long" else [])]
            return st.sampled_from(edges) | st.integers(-(2**whole), 2**whole - 1)
        return st.binary(max_size=40) if schema == "bytes" else st.text(max_size=8) | st.sampled_from(WORDS)
    match schema["type"]:
        case "record":
            return st.fixed_dictionaries({field["name"]: value(field["type"]) for field in schema["fields"]})
        case "array":
            return st.lists(value(schema["items"]), max_size=3)
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "fixed":
            return st.binary(min_size=schema["size"], max_size=schema["size"])
        case other:
            return value(other)


WORDS = ["1", "0.5", "t", "CCER", "CO2", "colour", "early-warning", "{}\n", *D_ROWS]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ROLES)
def test_no_content_stops_a_member(kind: str, data: st.DataObject) -> None:
    """Whatever a party signs is judged: a field changed at a time, as all at once seldom get past the first rule.

    What passes is judged by a book that knows everything of the kind, and by one that knows nothing.
    """
    fields = {field["name"]: field["type"] for field in codec.schema_json(f"submission-{kind}")["fields"]}
    changes = data.draw(st.fixed_dictionaries({}, optional={name: value(type_) for name, type_ in fields.items()}))
    known = {name for name in ("subject", "seller", "buyer", "region") if name in changes}
    made = {name: made for name, made in changes.items() if name not in known}
    refusal = judged(kind, made)
    assert isinstance(refusal, Refusal)
    if refusal is Refusal.PASS:
        for book, before in ((Book(OFFSET), ()), (Book(OFFSET), ("output", "allocation", "offset", "verification"))):
            for number, kind_ in enumerate((*before, kind), start=1):
                book.apply(stated(kind_, CONTENTS[kind_], number=number), NOW)
            said = stated(kind, {**CONTENTS[kind], **made}, number=10)
            assert isinstance(book.apply(said, NOW)[0], Refusal)
