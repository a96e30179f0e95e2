"""The regulator's rules as data: shipped as TOML, replaced by a submission of kind `ruleset` in canonical JSON.

A rule set says its own standing: what ships is a default of this product that no authority issued.
"""

import json
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from carbon.registry import canonical_json
from carbon.rules.conduct import Conduct
from carbon.rules.fields import RuleError
from carbon.rules.scale import Scale
from carbon.rules.weather import Weather

RuleSet = Scale | Weather | Conduct
_KINDS: dict[str, type[Scale] | type[Weather] | type[Conduct]] = {
    "colour": Scale,
    "grade": Scale,
    "weather": Weather,
    "conduct": Conduct,
}
NAMES = tuple(_KINDS)
"""Every rule set there is."""


def parse_rules(name: str, text: str) -> RuleSet:
    """The rule set of a submission's canonical JSON. Raises RuleError."""
    try:
        raw = json.loads(text)
        is_canonical = canonical_json(raw).decode() == text
    except (ValueError, RecursionError) as error:
        raise RuleError(f"{name}: not JSON: {error}") from error
    if not is_canonical:
        raise RuleError(f"{name}: the JSON is not in its canonical form")
    return _built(name, raw)


@cache
def shipped(name: str) -> RuleSet:
    """The rule set of that name that ships with the product. Raises RuleError."""
    return _built(name, _shipped(name))


def shipped_toml(name: str) -> str:
    """The same as its file, for people. Raises RuleError."""
    if name not in _KINDS:
        raise RuleError(f"no rules named {name!r}: there are {', '.join(NAMES)}")
    return (resources.files(__name__) / f"{name}.toml").read_text()


def shipped_json(name: str) -> str:
    """The same as canonical JSON, for who wants to submit another. Raises RuleError."""
    return canonical_json(_shipped(name)).decode()


def _shipped(name: str) -> Any:
    return tomllib.loads(shipped_toml(name))


def _built(name: str, raw: Any) -> RuleSet:
    if name not in _KINDS:
        raise RuleError(f"no rules named {name!r}: there are {', '.join(NAMES)}")
    try:
        return _KINDS[name].read(raw)
    except RuleError as error:
        raise RuleError(f"{name}: {error}") from error


def scale(name: str) -> Scale:
    """The shipped scale `colour` or `grade`."""
    found = shipped(name)
    assert isinstance(found, Scale)
    return found


def weather() -> Weather:
    """The shipped measures for heavy pollution."""
    found = shipped("weather")
    assert isinstance(found, Weather)
    return found


def conduct() -> Conduct:
    """The shipped rules of reward and punishment."""
    found = shipped("conduct")
    assert isinstance(found, Conduct)
    return found
