"""Hypothesis strategies for values of an Avro schema, made from the schema itself."""

from typing import Any

from hypothesis import strategies as st

_PRIMITIVES = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=40),
    "string": st.text(max_size=20),
}


def values(schema: Any, named: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Values of `schema`, which is parsed JSON; `named` holds the types that were named before it."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return st.one_of([values(branch, named) for branch in schema])
    if isinstance(schema, str):
        return _PRIMITIVES[schema] if schema in _PRIMITIVES else named[schema.rpartition(".")[2]]
    if schema["type"] == "array":
        return st.lists(values(schema["items"], named), max_size=3)
    if "name" not in schema:
        return values(schema["type"], named)
    named[schema["name"]] = strategy = _named(schema, named)
    return strategy


def _named(schema: dict[str, Any], named: dict[str, Any]) -> st.SearchStrategy[Any]:
    if schema["type"] == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    if schema["type"] == "enum":
        return st.sampled_from(schema["symbols"])
    return st.fixed_dictionaries({field["name"]: values(field["type"], named) for field in schema["fields"]})
