"""Submissions of registered parties that say anything at all: each is judged, none stops a member, refused ones change
nothing, and the book that they lead to is the one of its lines."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import claims, submission
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from carbon.submission import ROLES
from infra.submitting import Draft, DraftError
from schemas import codec
from tests import parties
from tests.fuzz.conftest import PROFILE
from tests.fuzz.mutation import damaged, survives
from tests.parties import PARTIES
from tests.schemas.values import values
from tests.small import START, World

WORLD = World.make(parties=PARTIES)
BY_ROLE = {entry["role"]: entry["id"] for entry in PARTIES}
NOW_MS = START + 9 * 366 * 86_400_000
DAY_MS = 86_400_000
LONGS = [0, 1, -1, 5, 100, 10**6, 10**12, 2**31 - 1, 2**63 - 1, -(2**63)]
ROWS = [
    "grid_factors.CN.national.2023",
    "fuel_defaults.ndrc_other.lignite",
    "power_plant_mee.coal_oxidation_rate",
    "a.b",
]
HINTS: Mapping[str, list[Any]] = {
    **dict.fromkeys(("subject", "seller", "buyer", "region"), ["plant", "region", "nobody"]),
    **dict.fromkeys(
        ("year", "vintage", "base_year", "target_year"), [2016, 2017, 2023, 2024, 0, -1, 10_000, 2**31 - 1]
    ),
    **dict.fromkeys(("start", "end"), [START, START + DAY_MS, START + 31 * DAY_MS, START + 366 * DAY_MS, *LONGS]),
    **dict.fromkeys(("electricity", "heat", "value"), ROWS),
    "unit": ["t", "MWh", "GJ", "Nm3", "", "t/t", "1"],
    "scale": [0, 1, 3, 18, 19, -1, 2**31 - 1],
    "month": [1, 12, 13, 0],
    "scheme": ["CCER", "other"],
    "source": ["boiler", "plant-0-0", ""],
    "product": ["electricity", "", "clinker"],
    "gas": ["CO2", "CH4", "N2O"],
    "scope": [1, 2, 3],
    "correction": ["1", "1.05", "-1", "1e9", "x", "1/0"],
    "name": ["rule", "fuel", "factor", "per", "colours"],
    "rules": ["{}", "[]", "{", '{"a": 1}', "[" * 2_000],
}


def of(schema: Any, name: str) -> st.SearchStrategy[Any]:
    """Values of a part of a content: what makes sense in such a field, its bounds, and anything of the type."""
    match schema:
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries({field["name"]: of(field["type"], field["name"]) for field in fields})
        case {"type": "array", "items": items}:
            count = 12 if name == "months" else 0
            return st.lists(of(items, name), min_size=count, max_size=max(count, 2))
        case "long" | "int":
            fitting = [n for n in HINTS.get(name, LONGS) if schema == "long" or abs(n) < 2**31]
            return st.one_of(st.sampled_from(fitting), values(schema))
        case "string" if name in HINTS:
            return st.one_of(st.sampled_from(HINTS[name]), values(schema))
        case _:
            return values(schema)


def stated(kind: str) -> st.SearchStrategy[bytes]:
    """A submission of a kind, signed by a party of a role that may make it."""
    schema, party = codec.schema_json(f"submission-{kind}"), BY_ROLE[ROLES[kind][0]]
    contents = of(schema, "")
    return st.builds(lambda content, number: parties.payload(WORLD, party, number, kind, content), contents, NUMBERS)


NUMBERS = st.integers(1, 5)


def judged(payload: bytes, book: Book) -> Refusal:
    refusal = claims.refusal(payload, WORLD.channel, WORLD.registry, WORLD.genesis.utc_offset_minutes)
    return refusal or book.apply(submission.read(payload), NOW_MS)[0]


def again(book: Book) -> Book:
    """The book of the lines of a book."""
    found = Book()
    for line in book.lines():
        word, *words = line.split(" ")
        assert word == "book"
        found.read_line(words)
    return found


@pytest.mark.parametrize("kind", ROLES)
def test_whatever_a_party_says_is_judged_and_the_book_is_that_of_its_lines(kind: str) -> None:
    @given(st.lists(st.one_of(stated(kind), st.sampled_from(sorted(ROLES)).flatmap(stated)), max_size=6))
    @PROFILE
    def holds(payloads: list[bytes]) -> None:
        book = Book()
        for payload in payloads:
            before = sorted(book.lines())
            if judged(payload, book):
                assert sorted(book.lines()) == before
        assert sorted(again(book).lines()) == sorted(book.lines())

    holds()


CORPUS = [parties.payload(WORLD, party, 1) for party in (parties.EXCHANGE, parties.PLANT)]


@given(damaged(CORPUS))
@PROFILE
def test_damaged_submissions_are_refused(data: bytes) -> None:
    refusal = judged(data, Book())
    assert refusal or data == CORPUS[0]


DRAFTS = [Draft(submission.read(CORPUS[0]).body, {"exchange": bytes(64)}).dump(WORLD.channel).encode()]


@given(damaged(DRAFTS))
@PROFILE
def test_damaged_drafts_are_read_or_refused(data: bytes) -> None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict):
        survives(lambda _: Draft.load(found, WORLD.channel), data, (DraftError,))
