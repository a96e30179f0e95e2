"""Submissions that say nearly what they should, or anything at all: each is judged, none stops a member, refused ones
change nothing, and the book that they lead to is the one of its lines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import claims, submission
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from carbon.submission import ROLES
from infra.drafts import Draft, DraftError
from schemas import codec
from tests import parties
from tests.contents import CONTENTS, OFFSET, REGISTRY, month, stated
from tests.fuzz.conftest import PROFILE
from tests.fuzz.mutation import damaged, survives
from tests.parties import PARTIES
from tests.schemas.values import values
from tests.small import World

NOW_MS = month(13) + 200 * 86_400_000
LONGS = (0, 1, -1, 5, 100, 10**6, 10**12, 2**31 - 1, 2**63 - 1, -(2**63))
YEARS = (2016, 2022, 2023, 2024, 0, -1, 10_000, 2**31 - 1)
ROWS = ("grid_factors.CN.national.2023", "power_plant_mee.coal_oxidation_rate", "allocation_benchmarks.2023.a", "a.b")
HINTS: Mapping[str, Sequence[Any]] = {
    **dict.fromkeys(("subject", "seller", "buyer", "region"), ("plant", "works", "shop", "region", "nobody")),
    **dict.fromkeys(("year", "vintage", "base_year", "target_year"), YEARS),
    **dict.fromkeys(("start", "end"), (month(1), month(2), month(3), month(13), *LONGS)),
    **dict.fromkeys(("electricity", "heat", "value"), ROWS),
    "unit": ("t", "MWh", "GJ", "Nm3", "", "t/t", "1"),
    "scale": (0, 1, 3, 18, 19, -1, 2**31 - 1),
    "month": (1, 12, 13, 0),
    "correction": ("1", "1.05", "-1", "1e9", "x", "1/0"),
    "name": ("rule", "fuel", "factor", "per", "colour"),
    "rules": ("{}", "[]", "{", '{"a": 1}', "[" * 2_000),
}


def of(schema: Any, name: str) -> st.SearchStrategy[Any]:
    """Values of a part of a content: what makes sense in such a field, its bounds, and anything of the type."""
    match schema:
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries({field["name"]: of(field["type"], field["name"]) for field in fields})
        case {"type": "array", "items": items}:
            return st.lists(of(items, name), max_size=2)
        case "long" | "int":
            fitting = [n for n in HINTS.get(name, LONGS) if schema == "long" or abs(n) < 2**31]
            return st.one_of(st.sampled_from(fitting), values(schema))
        case "string" if name in HINTS:
            return st.one_of(st.sampled_from(HINTS[name]), values(schema))
        case _:
            return values(schema)


@st.composite
def nearly(draw: st.DrawFn, schema: Any, name: str, value: Any, changes: int) -> Any:
    """A value of a schema with up to so many of its parts, however deep, replaced by others."""
    if changes == 0:
        return value
    if isinstance(value, dict) and draw(st.integers(0, 9)):
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        place = draw(st.sampled_from(sorted(value)))
        changed = {**value, place: draw(nearly(fields[place], place, value[place], 1))}
        return draw(nearly(schema, name, changed, changes - 1))
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(nearly(schema["items"], name, value[place], 1)), *value[place + 1 :]]
    return draw(of(schema, name))


def contents(kind: str) -> st.SearchStrategy[Any]:
    """Contents of a kind: one that passes with up to three parts changed."""
    schema = codec.schema_json(f"submission-{kind}")
    return st.integers(0, 3).flatmap(lambda changes: nearly(schema, "", CONTENTS[kind], changes))


def judged(kind: str, content: Any, number: int, book: Book) -> Refusal:
    said = stated(kind, content, number=number)
    if any(subject not in REGISTRY.subjects for subject in submission.subjects_of(said)):
        return Refusal.UNKNOWN_SUBJECT  # as its envelope is
    return claims.content_refusal(said, REGISTRY, OFFSET) or book.apply(said, NOW_MS)[0]


def again(book: Book) -> Book:
    """The book of the lines of a book."""
    found = Book()
    for line in book.lines():
        word, *words = line.split(" ")
        assert word == "book"
        found.read_line(words)
    return found


@pytest.mark.parametrize("kind", ROLES)
def test_whatever_is_said_is_judged_and_the_book_is_that_of_its_lines(kind: str) -> None:
    any_ = st.sampled_from(sorted(ROLES)).flatmap(lambda other: st.tuples(st.just(other), contents(other)))
    said = st.tuples(st.just(kind), contents(kind))

    @given(st.lists(st.one_of(said, any_), max_size=3))
    @PROFILE
    def holds(submissions: list[tuple[str, Any]]) -> None:
        book = Book()
        for number, (each, content) in enumerate(submissions, 1):
            before = sorted(book.lines())
            if judged(each, content, number, book):
                assert sorted(book.lines()) == before
        assert sorted(again(book).lines()) == sorted(book.lines())

    holds()


WORLD = World.make(parties=PARTIES)
CORPUS = [parties.payload(WORLD, party, 1) for party in (parties.EXCHANGE, parties.PLANT)]


@given(damaged(CORPUS))
@PROFILE
def test_damaged_submissions_are_refused(data: bytes) -> None:
    assert claims.refusal(data, WORLD.channel, WORLD.registry, 0) or data == CORPUS[0]


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
