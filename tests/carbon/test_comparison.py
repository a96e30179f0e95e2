"""What two registries don't have in common, entry by entry and field by field."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import amendment, comparison, factors, registry
from carbon.comparison import Difference, differences
from carbon.factors.succession import entry_of
from carbon.registry import Registry, canonical_json
from tests.registrars import REGISTRARS, changed_tables, entry, rotation
from tests.small import registry_bytes

NOW = registry.parse(registry_bytes(gateways=2, registrars=REGISTRARS), factors.load())


def changed(*put: tuple[str, dict[str, Any]], drop: tuple[tuple[str, str], ...] = ()) -> Registry:
    return amendment.amended(NOW, amendment.amendment(NOW, 1, 0, 100, put, drop))


def test_a_registry_is_not_different_from_itself() -> None:
    assert differences(NOW, NOW) == []


def test_a_changed_threshold_and_a_new_field_are_told_with_both_values() -> None:
    after = changed(entry(NOW, "points", "plant-1-0", max=7, rate=3))
    assert differences(NOW, after) == [
        Difference("points", "plant-1-0", "changed", "max", 10**9, 7),
        Difference("points", "plant-1-0", "changed", "rate", None, 3),
    ]
    assert [(one.before, one.after) for one in differences(after, NOW)] == [(7, 10**9), (3, None)]


def test_a_field_within_a_field_is_named() -> None:
    rule = json.loads(NOW.file)["points"][0]["emission"]
    after = changed(entry(NOW, "points", "plant-0-0", emission=rule | {"heat_rate": "9.6"}))
    (one,) = differences(NOW, after)
    assert (one.field, one.after) == ("emission.heat_rate", "9.6")


def test_another_run_is_told_key_by_key() -> None:
    found = differences(NOW, changed(rotation(NOW, "gw-0", "next")))
    old = NOW.gateways["gw-0"].key.hex()
    assert [(one.section, one.id, one.field) for one in found] == [
        ("gateways", "gw-0", "key"),
        ("gateways", "gw-0", "retired"),
        ("gateways", "gw-0", "run"),
    ]
    assert (found[0].before, found[1].after, found[2].after) == (old, [old], 1)


def test_what_is_new_or_gone_stands_whole_and_a_factor_set_by_its_tables_names() -> None:
    tables = changed_tables(b"0.5703", b"0.5704")
    after = changed(("factors", entry_of("2027-1", factors.load().start, tables)), drop=(("submitters", "aggregator"),))
    gone, new = differences(NOW, after)
    (submitter,) = json.loads(NOW.file)["submitters"]
    assert gone == Difference("submitters", "aggregator", "gone", "", submitter, None)
    assert (new.section, new.id, new.what, new.before) == ("factors", "2027-1", "new", None)
    assert new.after["files"] == sorted(tables)


def test_what_is_said_once_for_all_has_no_id() -> None:
    raw = json.loads(NOW.file)
    raw["limits"]["future_ms"] = 5
    after = registry.parse(canonical_json(raw | {"prefix": "99.0000.2"}), factors.load())
    assert differences(NOW, after) == [
        Difference(comparison.ALL, "", "changed", "limits.future_ms", 0, 5),
        Difference(comparison.ALL, "", "changed", "prefix", "99.0000.1", "99.0000.2"),
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(NOW.points)),
        st.dictionaries(st.sampled_from(["min", "max", "rate"]), st.integers(1, 9), min_size=1),
    )
)
def test_exactly_what_was_put_otherwise_is_told(put: dict[str, dict[str, int]]) -> None:
    raw = json.loads(NOW.file)
    for point in raw["points"]:
        point |= {"min": 1, "max": 9} | put.get(point["id"], {})
        point["max"] = max(point["min"], point["max"])
    after = registry.parse(canonical_json(raw), factors.load())
    told = {(one.id, one.field): one.after for one in differences(NOW, after)}
    points = {point["id"]: point for point in json.loads(NOW.file)["points"]}
    wanted = {
        (point["id"], field): value
        for point in raw["points"]
        for field, value in point.items()
        if points[point["id"]].get(field) != value
    }
    assert told == wanted
