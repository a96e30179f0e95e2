"""What the ledger says at a moment: parts that add up, and nothing from behind the moment."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import factors, registry
from carbon.ledger.reads import (
    AXES,
    HIDDEN,
    Moment,
    MomentError,
    View,
    changes_of_hands,
    divided,
    moment_of,
    moment_text,
    month,
    share,
    totals_within,
)
from tests.small import HOUR, START, registry_bytes

GRID = "purchased electricity: grid_factors.CN.national.2023"
COAL = "combustion: 9.2 GJ/MWh · a.b · c.d · 44/12"
SUBJECTS = [
    {"id": "region", "name": "Region", "kind": "region", "parent": None},
    {"id": "group", "name": "Group", "kind": "group", "parent": "region"},
    {"id": "plant", "name": "Plant", "kind": "plant", "parent": "group"},
    {"id": "shop", "name": "Shop", "kind": "enterprise", "parent": "region"},
]
KNOWN = registry.parse(registry_bytes(subjects=SUBJECTS), factors.load())


def record(subject: str, grams: int, start: int = START, **changes: Any) -> dict[str, Any]:
    fields = {"subject": subject, "point": f"{subject}-1", "rule": COAL, "window_start": start, "replaces": None}
    return fields | {"emission_g": grams} | changes


def view(*records: dict[str, Any], offset_minutes: int = 0) -> View:
    found = View(KNOWN, offset_minutes)
    for height, fields in enumerate(records, 1):
        found.record(fields, height)
        found.stand(height, 1_000 * height)
    return found


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, Moment()),
        ("1200", Moment(height=1200)),
        ("1970-01-02", Moment(time_ms=2 * 86_400_000 - 3_600_000 - 1)),
        ("1970-01-02T00:00", Moment(time_ms=86_400_000 - 3_600_000)),
        ("1970-01-02T00:00Z", Moment(time_ms=86_400_000)),
        ("1970-01-02T00:00:00.250+01:00", Moment(time_ms=86_400_000 - 3_600_000 + 250)),
    ],
)
def test_a_moment_is_a_height_or_a_time_and_a_day_is_meant_to_its_end(text: str | None, moment: Moment) -> None:
    assert moment_of(text, 60) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "-3", "2024-13-01", "0001-01-01T00:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(MomentError, match="neither a height"):
        moment_of(text, 60)


def test_a_moment_includes_the_block_of_its_height_and_time() -> None:
    assert Moment().includes(9, 9)
    assert [Moment(height=2).includes(height, 0) for height in (1, 2, 3)] == [True, True, False]
    assert [Moment(time_ms=2).includes(1, time) for time in (1, 2, 3)] == [True, True, False]


def test_a_correction_adds_its_difference_to_the_part_of_its_window() -> None:
    corrected = record("plant", 70, replaces={"version": 1, "evidence_root": b"", "emission_g": 100})
    found = view(record("plant", 100), record("plant", 5, START + HOUR), corrected)
    assert list(found.parts.values()) == [75]
    emissions, obligation = found.accounts("plant")
    assert (emissions.debit_g, emissions.credit_g, emissions.records, emissions.height) == (105, 30, 3, 3)
    assert emissions.balance == obligation.balance == 75
    assert (found.height, moment_text(found.time_ms)) == (3, "1970-01-01T00:00:03.000Z")


def test_source_and_scope_follow_from_the_rule_and_what_is_unbooked_is_no_part() -> None:
    found = view(record("plant", 1), record("shop", 2, rule=GRID), record("shop", 0, rule="none", point="o2"))
    assert [(part.source, part.gas, part.scope) for part in found.parts] == [
        ("combustion", "CO2", 1),
        ("purchased electricity", "CO2", 2),
    ]


def test_a_month_is_that_of_the_channels_offset() -> None:
    eve = START - HOUR
    assert (month(eve, 0), month(eve, 60), month(START, -1)) == ("2015-12", "2016-01", "2015-12")
    (part,) = view(record("plant", 1, eve), offset_minutes=60).parts
    assert (part.month, part.year) == ("2016-01", "2016")


def test_a_subject_stands_for_all_below_it() -> None:
    found = view(record("plant", 1), record("shop", 2), record("plant", 4, START - HOUR))
    assert sum(grams for _, grams in found.emissions("group")) == 5
    assert sum(grams for _, grams in found.emissions("region", "2016")) == 3
    totals = totals_within(found.emissions("region"), "region", found)
    assert {name: (total.own_g, total.grams) for name, total in totals.items()} == {
        "plant": (5, 5), "group": (0, 5), "shop": (2, 2), "region": (0, 7),
    }  # fmt: skip


def test_what_is_sold_counts_with_its_owner_of_then_and_is_seen_by_that_owner() -> None:
    """The plant is sold in the middle of a month, at an hour."""
    sale = START + 30 * HOUR
    sold = SUBJECTS[2] | {"parents": [{"start": sale, "parent": "buyer"}], "region": "region"}
    subjects = [*SUBJECTS[:2], sold, SUBJECTS[3], {"id": "buyer", "name": "B", "kind": "group", "parent": "region"}]
    parties = [
        {"id": f"{name}-co", "key": bytes(32).hex(), "role": "enterprise", "subject": name}
        for name in ("group", "buyer")
    ]
    known = registry.parse(registry_bytes(subjects=subjects, parties=parties), factors.load())
    found = View(known, 0, changes_of_hands(known))
    for grams, start in ((1, sale - HOUR), (2, sale), (4, sale + HOUR)):
        found.record(record("plant", grams, start), 1)
    sums = {name: sum(grams for _, grams in found.emissions(name)) for name in ("group", "buyer", "plant", "region")}
    assert sums == {"group": 1, "buyer": 6, "plant": 7, "region": 7}
    seen = {
        name: [(part.subject, part.point, grams) for part, grams in found.seen(found.parts.items(), viewer)]
        for name, viewer in (
            ("group", known.parties["group-co"]),
            ("buyer", known.parties["buyer-co"]),
            ("public", None),
        )
    }
    first, second = ("plant", "plant-1", 1), ("plant", "plant-1", 6)
    hidden = [(HIDDEN, HIDDEN, 1), (HIDDEN, HIDDEN, 6)]
    assert seen == {"group": [first, hidden[1]], "buyer": [hidden[0], second], "public": hidden}


def test_shares_are_rounded_to_a_tenth_half_even() -> None:
    assert [share(1, 3), share(1, 2_000), share(3, 2_000), share(0, 5), share(0, 0)] == [33.3, 0.0, 0.2, 0.0, None]


@given(
    st.lists(
        st.tuples(st.sampled_from(["plant", "shop"]), st.integers(0, 10**15), st.integers(0, 20_000), st.booleans()),
        max_size=20,
    ),
    st.lists(st.sampled_from(AXES), unique=True, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_the_parts_add_up_to_the_whole_by_whatever_they_are_divided(
    made: list[tuple[str, int, int, bool]], axes: list[str]
) -> None:
    records = [
        record(subject, grams, START + hour * HOUR, rule=GRID if is_grid else COAL)
        for subject, grams, hour, is_grid in made
    ]
    found = view(*records)
    rows = divided(found.emissions("region"), axes)
    whole = sum(grams for _, grams, _, _ in made)
    assert sum(row["emission_g"] for row in rows) == whole
    assert sum(account.debit_g for account in found.books) == whole
    assert len({tuple(row[axis] for axis in axes) for row in rows}) == len(rows)
