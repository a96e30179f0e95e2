"""The structure of emissions: parts that add up, cut where a subject changed hands, seen by whom they concern."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import factors, registry
from carbon import record as records
from carbon.ledger.books import Books
from carbon.ledger.reads import Recorded, View
from carbon.ledger.statement import Cause
from carbon.ledger.structure import AXES, HIDDEN, Structure, changes_of_hands, divided, seen, share, totals_within
from consensus.log.leaf import decode, split
from schemas import codec
from tests import synthetic
from tests.small import HOUR, START, World, registry_bytes

GRID = "purchased electricity: grid_factors.CN.national.2023"
COAL = "combustion: 9.2 GJ/MWh · a.b · c.d · 44/12"
SUBJECTS: list[dict[str, Any]] = [
    {"id": "region", "name": "Region", "kind": "region", "parent": None},
    {"id": "group", "name": "Group", "kind": "group", "parent": "region"},
    {"id": "plant", "name": "Plant", "kind": "plant", "parent": "group"},
    {"id": "shop", "name": "Shop", "kind": "enterprise", "parent": "region"},
]
FACTORS = factors.load()
KNOWN = registry.parse(registry_bytes(subjects=SUBJECTS), FACTORS)


def record(subject: str, grams: int, start: int = START, **changes: Any) -> dict[str, Any]:
    fields = {"subject": subject, "point": f"{subject}-1", "rule": COAL, "window_start": start, "replaces": None}
    of = {"quantity": grams, "unit": "Wh", "scale": 0, "factors": FACTORS.digest}
    return fields | of | {"emission_g": grams} | changes


def view(*rows: dict[str, Any], known: registry.Registry = KNOWN, offset_minutes: int = 0) -> View:
    found = View.at_genesis(known, offset_minutes, changes_of_hands(known))
    for fields in rows:
        found.structure.record(fields)
    return found


def test_a_correction_adds_its_difference_to_the_part_and_the_day_of_its_window() -> None:
    corrected = record("plant", 70, replaces={"version": 1, "evidence_root": b"", "emission_g": 100})
    found = view(record("plant", 100), record("plant", 5, START + HOUR), corrected)
    assert list(found.structure.parts.values()) == [75]
    assert found.structure.days == {"plant": {START // (24 * HOUR): 75}}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (COAL, ("combustion", "CO2", 1)),
        (GRID, ("electricity", "CO2", 2)),
        (f"{GRID}; market-based: 0.5 at 0.1 kgCO2/kWh, the rest a.b", ("electricity", "CO2", 2)),
        ("cems mass: dry concentration · wet flow f", ("stack", "CO2", 1)),
        ("methane: gwp.ar5", ("methane", "CH4", 1)),
    ],
)
def test_source_gas_and_scope_follow_from_the_rule(rule: str, wanted: tuple[str, str, int]) -> None:
    (part,) = view(record("plant", 1, rule=rule)).structure.parts
    assert (part.source, part.gas, part.scope) == wanted


def test_what_is_unbooked_is_no_part() -> None:
    assert view(record("plant", 0, rule="none", point="o2")).structure.parts == {}


def test_activity_data_count_at_the_first_instant_of_their_period_until_they_are_taken_back() -> None:
    bill = {"subject": "shop", "source": "heat-bill", "start": START - 1, "emission_g": 9, "quantity": 9, "scale": 0}
    bill |= {"unit": "GJ", "factors": FACTORS.digest}
    content = bill | {"rule": [{"name": "factor", "value": "x"}, {"name": "rule", "value": "heat"}]}
    structure = Structure(0)
    structure.activity(content)
    (part,) = structure.parts
    assert (part.source, part.scope, part.point, part.month, part.year) == ("heat", 2, "heat-bill", "2015-12", "2015")
    structure.activity(content, -1)
    assert structure.parts == {part: 0}


def test_a_month_and_a_day_are_those_of_the_channels_offset() -> None:
    found = view(record("plant", 1, START - HOUR), offset_minutes=60)
    assert [part.month for part in found.structure.parts] == ["2016-01"]
    assert found.structure.days["plant"] == {START // (24 * HOUR): 1}


def test_a_subject_stands_for_all_below_it() -> None:
    found = view(record("plant", 1), record("shop", 2), record("plant", 4, START - HOUR))
    assert sum(grams for _, grams in found.emissions("group")) == 5
    assert sum(grams for _, grams in found.emissions("region", 2016)) == 3
    totals = totals_within(found.emissions("region"), "region", found.way("region"), KNOWN)
    assert {name: (total.own_g, total.grams) for name, total in totals.items()} == {
        "plant": (5, 5), "group": (0, 5), "shop": (2, 2), "region": (0, 7),
    }  # fmt: skip


def test_a_unit_is_where_the_registry_lists_the_point() -> None:
    points = ["plant-0-0", "plant-0-1", "plant-0-2"]
    boiler = {"id": "boiler-1", "points": points[:2]}
    known = registry.parse(
        registry_bytes(subjects=[SUBJECTS[0], SUBJECTS[1], SUBJECTS[2] | {"units": [boiler]}]), FACTORS
    )
    found = view(
        *(record("plant", grams, point=point) for grams, point in zip((1, 2, 4), points, strict=True)), known=known
    )
    rows = divided(found.emitted("plant"), ["unit"], known)
    assert [(row["unit"], row["emission_g"]) for row in rows] == [(None, 4), ("boiler-1", 3)]


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
    times = ((1, sale - HOUR), (2, sale), (4, sale + HOUR))
    found = view(*(record("plant", grams, start) for grams, start in times), known=known)
    sums = {name: sum(grams for _, grams in found.emissions(name)) for name in ("group", "buyer", "plant", "region")}
    assert sums == {"group": 1, "buyer": 6, "plant": 7, "region": 7}
    parts = found.structure.parts.items()
    viewers = {"group": known.parties["group-co"], "buyer": known.parties["buyer-co"], "public": None}
    shown = {
        name: [(part.subject, part.point, grams) for part, grams in seen(parts, viewer, known)]
        for name, viewer in viewers.items()
    }
    first, second = ("plant", "plant-1", 1), ("plant", "plant-1", 6)
    hidden = [(HIDDEN, HIDDEN, 1), (HIDDEN, HIDDEN, 6)]
    assert shown == {"group": [first, hidden[1]], "buyer": [hidden[0], second], "public": hidden}


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
    rows = divided(found.emitted("region"), axes, KNOWN)
    whole = sum(grams for _, grams, _, _ in made)
    assert sum(row["emission_g"] for row in rows) == whole
    assert sum(sum(days.values()) for days in found.structure.days.values()) == whole
    assert len({tuple(row[axis] for axis in axes) for row in rows}) == len(rows)


def test_a_ledger_read_together_is_the_same_as_record_by_record() -> None:
    """Blocks of plain records, one correction and one refused record each; parts are cut within a day."""
    world, changes = World.make(points=3, gateways=2), (START + 5 * HOUR, START + 30 * HOUR)
    together = View.at_genesis(world.registry, 90, changes)
    singly, books = Structure(90, changes), Books(90)
    for height, package in enumerate(synthetic.build(world, 4, 2), 1):
        fields = codec.decode_bare("block-package", package)
        data = codec.decode("block", fields["block"])["leaves"]
        accepted = [p for p, leaf in zip(fields["payloads"], split(data), strict=True) if decode(leaf).accepted]
        assert 0 < len(accepted) < len(fields["payloads"])
        together.records([Recorded(bytes(32), payload) for payload in accepted], Cause(height, 0, ""))
        for payload in accepted:
            singly.record(records.read(payload))
            books.post(records.read(payload), height)
    assert together.structure == singly
    assert together.books.accounts == books.accounts
    assert {part.since for part in singly.parts} == {0, *changes}
