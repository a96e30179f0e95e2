from typing import Any

import pytest

from schemas.canonical import integer_check


def record(*types: Any) -> dict[str, Any]:
    fields = [{"name": f"f{place}", "type": kind} for place, kind in enumerate(types)]
    return {"type": "record", "name": "R", "fields": fields}


@pytest.mark.parametrize(
    "kind", [{"type": "map", "values": "long"}, ["int", "string"], ["null", "int", "long"], ["null"], "Nowhere"]
)
def test_a_type_with_several_encodings_of_one_value_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"encoding|which type"):
        integer_check(record(kind))


def test_a_schema_without_integers_needs_no_check() -> None:
    digest = {"type": "fixed", "name": "Digest", "size": 4}
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "string"}]}
    enum = {"type": "enum", "name": "E", "symbols": ["A"]}
    schema = record("bytes", ["null", digest], {"type": "array", "items": inner}, enum, "Digest", "Inner")
    assert integer_check(schema) is None


@pytest.mark.parametrize(
    ("kind", "good", "bad", "error"),
    [
        ("int", -(2**31), -(2**31) - 1, OverflowError),
        ("int", 2**31 - 1, 2**31, OverflowError),
        ("long", 2**40, 1.0, TypeError),
        (["null", "int"], None, 2**31, OverflowError),
        (["long", "null"], 5, "5", TypeError),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2**31], OverflowError),
    ],
)
def test_integers_are_found_wherever_they_stand(kind: Any, good: Any, bad: Any, error: type[Exception]) -> None:
    nested = record(
        "string",
        {"type": "array", "items": {"type": "record", "name": "In", "fields": [{"name": "x", "type": kind}]}},
        "In",
    )
    check = integer_check(nested)
    assert check is not None
    check({"f0": "a", "f1": [{"x": good}], "f2": {"x": good}})
    for value in ({"f1": [{"x": good}, {"x": bad}]}, {"f2": {"x": bad}}):
        with pytest.raises(error):
            check(value)
