"""Rules as data: what ships is read, what is not of its form is refused by name."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from carbon import rules
from carbon.registry import canonical_json
from carbon.rules import RuleError, parse_rules


@pytest.mark.parametrize("name", rules.NAMES)
def test_what_ships_can_be_submitted_as_it_is(name: str):
    assert parse_rules(name, rules.shipped_json(name)) == rules.shipped(name)


@pytest.mark.parametrize("name", rules.NAMES)
def test_what_ships_says_that_no_authority_issued_it(name: str):
    assert "declared" in rules.shipped(name).standing


def changed(name: str, change: Callable[[Any], object]) -> str:
    raw = json.loads(rules.shipped_json(name))
    change(raw)
    return canonical_json(raw).decode()


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("colour", lambda raw: raw.pop("standing"), "without standing"),
        ("colour", lambda raw: raw.update(more=1), "no such field"),
        ("colour", lambda raw: raw.update(least_known=0), "least_known"),
        ("colour", lambda raw: raw.update(least_known=True), "not of type int"),
        ("colour", lambda raw: raw.update(unknown="red"), "unknown is another"),
        ("colour", lambda raw: raw.update(outcomes=[["green"]]), "outcomes are names"),
        ("colour", lambda raw: raw["outcomes"].append("green"), "stands twice"),
        ("colour", lambda raw: raw["criteria"].append(raw["criteria"][0]), "stands twice"),
        ("colour", lambda raw: raw["criteria"][0].update(figure="luck"), "no figure 'luck'"),
        ("colour", lambda raw: raw["criteria"][0]["bands"].pop(), "the last band has no bound"),
        ("colour", lambda raw: raw["criteria"][0]["bands"].clear(), "the last band has no bound"),
        ("colour", lambda raw: raw["criteria"][0]["bands"].reverse(), "the last band has no bound"),
        ("colour", lambda raw: raw["criteria"][0]["bands"][0].update(at_most="1.20"), "best outcome to the worst"),
        ("colour", lambda raw: raw["criteria"][0]["bands"][0].update(at_most="1e9"), "no decimal"),
        ("colour", lambda raw: raw["criteria"][0]["bands"][0].update(at_least="1"), "or each at_least"),
        ("colour", lambda raw: raw["criteria"][0]["bands"][1].update(outcome="green"), "best outcome to the worst"),
        ("colour", lambda raw: raw["criteria"][3]["bands"][0].update(at_least="0.90"), "best outcome to the worst"),
        ("grade", lambda raw: raw["criteria"][0]["bands"][0].update(outcome="S"), "no outcome 'S'"),
        ("weather", lambda raw: raw["limits"].pop(), "one limit at each level"),
        ("weather", lambda raw: raw["limits"].append(raw["limits"][0]), "one limit at each level"),
        ("weather", lambda raw: raw["limits"][0].update(limit_percent=101), "a limit of 101 %"),
        ("weather", lambda raw: raw["limits"][0].update(level="PINK"), "no level 'PINK'"),
        ("weather", lambda raw: raw.update(otherwise="E"), "no grade 'E'"),
        ("weather", lambda raw: raw["exempt"].append("heating"), "is no table"),
        ("conduct", lambda raw: raw["rules"].append(raw["rules"][0]), "stands twice"),
        ("conduct", lambda raw: raw["rules"][0].update(effect="prison"), "no effect 'prison'"),
        ("conduct", lambda raw: raw["rules"][1].update(fact="false_data"), "reward follows from reduction"),
        ("conduct", lambda raw: raw["rules"][1]["parameters"].update(fen_per_t="-500"), "a parameter below 0"),
        ("conduct", lambda raw: raw["rules"][1]["parameters"].update(fen_per_t=500), "not of type str"),
        ("conduct", lambda raw: raw["rules"][1]["parameters"].pop("most_fen"), "without most_fen"),
    ],
)
def test_refused(name: str, change: Callable[[Any], object], what: str):
    with pytest.raises(RuleError, match=what):
        parse_rules(name, changed(name, change))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"standing": "x"}', "canonical"),
        ('{\n  "a": NaN\n}\n', "no such field"),
        ("[]\n", "is no table"),
        ('"\\ud800"', "not JSON"),
    ],
)
def test_what_is_no_canonical_json_is_refused(text: str, what: str):
    with pytest.raises(RuleError, match=what):
        parse_rules("colour", text)


def test_other_names_are_refused():
    with pytest.raises(RuleError, match="no rules named 'luck': there are colour"):
        parse_rules("luck", "{}\n")
    with pytest.raises(RuleError, match="no rules named 'luck'"):
        rules.shipped_json("luck")
