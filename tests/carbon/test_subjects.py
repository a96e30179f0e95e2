"""Who is above whom, totals that are the sum of their parts, and who sees what. The subjects are invented."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import factors, registry, subjects
from carbon.registry import Registry, RegistryError
from carbon.signing import public_key
from tests.small import registry_bytes, seed

SALE = 1_465_000_000_000
"""Some instant of June 2016."""


def subject(name: str, kind: str, parent: str | None, **more: Any) -> dict[str, Any]:
    return {"id": name, "name": name.title(), "kind": kind, "parent": parent, **more}


def sold(*owners: tuple[int, str | None]) -> list[dict[str, Any]]:
    return [{"start": start, "parent": parent} for start, parent in owners]


SUBJECTS = [
    subject("province", "region", None),
    subject("north", "region", "province"),
    subject("south", "supervisory unit", "province"),
    subject("old-group", "group", "north"),
    subject("new-group", "group", "south", sector="power"),
    subject("mill", "enterprise", "old-group", region="north", parents=sold((SALE, "new-group"))),
    subject("kiln", "plant", "mill", units=[{"id": "kiln-1", "points": ["plant-0-0"]}, {"id": "kiln-2"}]),
    subject("shop", "SME", "south"),
    subject("plant", "plant", "old-group"),
]
COMPANIES = ["old-group", "new-group", "mill", "kiln", "shop", "plant"]
PARTIES = {
    "province-office": ("regulator", "province", []),
    "south-office": ("regulator", "south", []),
    "north-statistics": ("statistics", "north", []),
    "old-co": ("enterprise", "old-group", []),
    "new-co": ("enterprise", "new-group", []),
    "mill-co": ("enterprise", "mill", []),
    "shop-co": ("enterprise", "shop", []),
    "verifier": ("verifier", None, ["mill", "shop"]),
    "anybody": ("verifier", None, []),
    "exchange": ("exchange", None, []),
}


def party(name: str, role: str, subject: str | None, assigned: list[str]) -> dict[str, Any]:
    entry = {"id": name, "key": public_key(seed(name)).hex(), "role": role, "subject": subject}
    return entry | ({"assigned": assigned} if assigned else {})


def parsed(entries: list[dict[str, Any]] = SUBJECTS, **changes: Any) -> Registry:
    parties = [party(name, *stated) for name, stated in PARTIES.items()]
    points = {"more": {"plant-0-0": {"subject": "kiln"}}}
    return registry.parse(
        registry_bytes(**points | {"subjects": entries, "parties": parties} | changes), factors.load()
    )


WORLD = parsed()


def test_a_subsidiary_is_under_the_old_parent_until_it_is_sold() -> None:
    assert subjects.owners("kiln", SALE - 1, WORLD) == ["kiln", "mill", "old-group", "north", "province"]
    assert subjects.owners("kiln", SALE, WORLD) == ["kiln", "mill", "new-group", "south", "province"]


def test_it_lies_where_it_did() -> None:
    assert subjects.regions("kiln", SALE - 1, WORLD) == subjects.regions("kiln", SALE, WORLD)
    assert subjects.regions("kiln", SALE, WORLD) == ["kiln", "mill", "north", "province"]
    assert subjects.regions("plant", SALE, WORLD) == ["plant", "old-group", "north", "province"]


def test_a_sale_in_june_moves_the_half_year_and_no_region() -> None:
    rows = [("kiln", SALE - 1, 30), ("kiln", SALE, 70), ("shop", SALE, 5), ("plant", SALE, 7)]
    by_owner = {name: total.grams for name, total in subjects.roll_up(rows, subjects.owners, WORLD).items()}
    assert (by_owner["old-group"], by_owner["new-group"], by_owner["mill"]) == (37, 70, 100)
    by_region = {name: total.grams for name, total in subjects.roll_up(rows, subjects.regions, WORLD).items()}
    assert (by_region["north"], by_region["south"], by_region["province"]) == (107, 5, 112)


ROWS = st.lists(
    st.tuples(st.sampled_from(COMPANIES), st.sampled_from([0, SALE - 1, SALE, SALE + 1]), st.integers(-(10**9), 10**9))
)


@settings(max_examples=40)
@given(ROWS)
def test_totals_are_the_sum_of_their_parts(rows: list[tuple[str, int, int]]) -> None:
    for line in (subjects.owners, subjects.regions):
        totals = subjects.roll_up(rows, line, WORLD)
        for name, total in totals.items():
            counted = [grams for below, at, grams in rows if name in line(below, at, WORLD)]
            assert total.grams == sum(counted) == total.own_g + sum(total.parts_g.values())
            assert total.own_g == sum(grams for below, _, grams in rows if below == name)
        everything = totals["province"].grams if rows else 0
        assert everything == sum(grams for _, _, grams in rows)


AT = {"before": SALE - 1, "after": SALE}


def seen() -> Iterator[tuple[str, str, set[str]]]:
    yield "province-office", "before", {*COMPANIES}
    yield "south-office", "before", {"new-group", "shop"}
    yield "south-office", "after", {"new-group", "shop"}
    yield "old-co", "before", {"old-group", "mill", "kiln", "plant"}
    yield "old-co", "after", {"old-group", "plant"}
    yield "new-co", "before", {"new-group"}
    yield "new-co", "after", {"new-group", "mill", "kiln"}
    yield "mill-co", "after", {"mill", "kiln"}
    yield "shop-co", "after", {"shop"}
    yield "verifier", "after", {"mill", "shop"}
    yield "anybody", "after", {*COMPANIES}
    yield "north-statistics", "after", set()
    yield "exchange", "after", set()


@pytest.mark.parametrize(("viewer", "when", "wanted"), [*seen()])
def test_who_sees_whom(viewer: str, when: str, wanted: set[str]) -> None:
    found = {s for s in WORLD.subjects if subjects.may_see(WORLD.parties[viewer], s, AT[when], WORLD)}
    assert found == wanted | {"province", "north", "south"}


def test_the_public_sees_totals_of_regions() -> None:
    assert {s for s in WORLD.subjects if subjects.may_see(None, s, SALE, WORLD)} == {"province", "north", "south"}


@pytest.mark.parametrize(
    ("speaker", "wanted"),
    [
        ("south-office", {"south", "new-group", "shop"}),
        ("north-statistics", {"north", "old-group", "mill", "kiln", "plant"}),
        ("old-co", {"old-group"}),
        ("verifier", {"mill", "shop"}),
        ("exchange", {*WORLD.subjects}),
    ],
)
def test_whose_word_counts_on_whom(speaker: str, wanted: set[str]) -> None:
    party = WORLD.parties[speaker]
    assert {s for s in WORLD.subjects if subjects.speaks_for(party, s, SALE, WORLD)} == wanted


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (subject("Old Mill", "plant", None), "part of carbon codes"),
        (subject("mill", "factory", None), "kind is one of region, supervisory unit"),
        (subject("mill", "plant", "nobody"), "parent is not registered"),
        (subject("mill", "plant", None, parents=sold((5, "nobody"))), "parent is not registered"),
        (subject("mill", "plant", None, parents=sold((5, None), (5, "old-group"))), "follow one another"),
        (subject("mill", "plant", None, parents=sold((6, None), (5, "old-group"))), "follow one another"),
        (subject("mill", "plant", None, parents=sold((-1, None))), "follow one another"),
        (subject("mill", "plant", None, parents=[{"start": "1", "parent": None}]), "follow one another|'str'"),
        (subject("mill", "plant", None, parents=[{"start": 1}]), "parent"),
        (subject("mill", "plant", None, region="old-group"), "a region is a registered subject"),
        (subject("mill", "plant", None, region="nobody"), "a region is a registered subject"),
        (subject("north", "region", None, region="south"), "a region is a registered subject"),
        (subject("north", "region", "shop"), "under regions alone"),
        (subject("mill", "plant", None, sector=""), "a sector has a name"),
        (subject("mill", "plant", None, units=[{"id": "a"}, {"id": "a"}]), "a unit stands once"),
        (subject("mill", "plant", None, units=[{"id": "a", "points": ["plant-0-0"]}]), "points of its subject"),
        (subject("mill", "plant", "kiln"), "under itself"),
        (subject("mill", "plant", None, parents=sold((5, "kiln"))), "under itself"),
        (subject("mill", "plant", None, surprise=1), "surprise"),
    ],
)
def test_what_contradicts_itself_is_refused(entry: dict[str, Any], says: str) -> None:
    others = [other for other in SUBJECTS if other["id"] != entry["id"]]
    with pytest.raises(RegistryError, match=says):
        parsed([*others, entry])


def test_an_assignment_is_of_registered_subjects() -> None:
    with pytest.raises(RegistryError, match="its subjects are registered"):
        parsed(parties=[party("verifier", "verifier", None, ["nobody"])])


def test_an_enterprise_speaks_for_a_subject() -> None:
    with pytest.raises(RegistryError, match="speaks for a subject"):
        parsed(parties=[party("somebody", "enterprise", None, [])])


@pytest.mark.parametrize(("role", "subject"), [("enterprise", "mill"), ("regulator", None), ("verifier", "mill")])
def test_only_verifiers_and_laboratories_are_assigned(role: str, subject: str | None) -> None:
    with pytest.raises(RegistryError, match="in place of a subject"):
        parsed(parties=[party("somebody", role, subject, ["shop"])])


def test_a_ring_that_a_later_sale_opens_is_one_until_then() -> None:
    ring = subject("mill", "plant", "kiln", parents=sold((5, None)))
    with pytest.raises(RegistryError, match="under itself"):
        parsed([*(other for other in SUBJECTS if other["id"] != "mill"), ring])


@pytest.mark.parametrize("name", [None, *PARTIES])
def test_sight_is_what_may_be_seen_at_every_instant(name: str | None) -> None:
    viewer = None if name is None else WORLD.parties[name]
    for one in WORLD.subjects:
        spans = subjects.sight(viewer, one, WORLD)
        for at_ms in (0, SALE - 1, SALE, SALE + 1, 2 * SALE):
            held = [s for s in spans if (s[0] is None or s[0] <= at_ms) and (s[1] is None or at_ms < s[1])]
            assert len(held) == subjects.may_see(viewer, one, at_ms, WORLD)


def test_sight_of_what_was_sold_ends_with_the_sale() -> None:
    old, new = (WORLD.parties[name] for name in ("old-co", "new-co"))
    assert subjects.sight(old, "kiln", WORLD) == [(None, SALE)]
    assert subjects.sight(new, "kiln", WORLD) == [(SALE, None)]
    assert subjects.sight(WORLD.parties["mill-co"], "kiln", WORLD) == [(None, None)]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["old-group", "new-group", None])), max_size=6))
@settings(max_examples=30, deadline=None)
def test_spans_join_where_nothing_changed_for_the_viewer(moves: list[tuple[int, str | None]]) -> None:
    owners = sorted(dict(moves).items())
    entries = [one | {"parents": sold(*owners)} if one["id"] == "mill" else one for one in SUBJECTS]
    made = parsed(entries)
    viewer = made.parties["new-co"]
    spans = subjects.sight(viewer, "kiln", made)
    assert all(one[1] != next_[0] for one, next_ in pairwise(spans))
    for at_ms in range(11):
        held = any((s[0] is None or s[0] <= at_ms) and (s[1] is None or at_ms < s[1]) for s in spans)
        assert held == subjects.may_see(viewer, "kiln", at_ms, made)
