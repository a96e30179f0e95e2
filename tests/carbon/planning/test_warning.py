"""Warnings: levels by lead time and probability, hysteresis, who is told, and the figures in them. Synthetic series."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from carbon.planning import rules as module
from carbon.planning.days import first_of, start_ms
from carbon.planning.outlook import Outlook, Stated, look
from carbon.planning.plan import Plan
from carbon.planning.rules import Held, Rule, RuleError, audience, parse, step
from carbon.planning.season import History
from carbon.planning.warning import EarlyWarning, Levels, alerts_of, judge, tonnes
from schemas import codec
from tests.small import World

RULES = module.default()
SHORT = next(rule for rule in RULES.rules if rule.kind == "balance_short")
JANUARY = first_of(2023)


def steps(chances: list[float], rule: Rule = SHORT) -> list[int]:
    """The levels of a rule whose probability is the same for all leads but none at once."""
    held, levels = Held(2023), []
    for chance in chances:
        held = step(rule, RULES.calm_days, held, lambda lead, chance=chance: chance if lead != 0 else 0.0)  # type: ignore[misc]
        levels.append(held.level)
    return levels


def test_a_level_is_taken_at_once_and_left_after_calm_days() -> None:
    assert steps([0.4, 0.5, 0.29, 0.29]) == [0, 3, 3, 3]
    assert steps([0.6] + [0.29] * 7) == [3] * 7 + [0]


def test_what_is_between_the_thresholds_keeps_a_level_and_begins_the_calm_anew() -> None:
    assert steps([0.6] + [0.29] * 3 + [0.31] + [0.29] * 6) == [3] * 11
    assert steps([0.31] * 20) == [0] * 20


def test_leads_make_the_levels() -> None:
    def by_lead(days: int) -> int:
        return step(SHORT, 7, Held(2023), lambda lead: float(lead is None or lead >= days)).level

    assert [by_lead(days) for days in (91, 90, 61, 60, 31, 30, 1, 0)] == [0, 1, 1, 2, 2, 3, 3, 4]


def test_a_noisy_series_does_not_flap() -> None:
    """Synthetic: a probability that wanders around the threshold with noise of 0.1 for a year.

    Without hysteresis it would change its mind dozens of times."""
    chances = [float(x) for x in np.clip(np.random.default_rng(3).normal(0.5, 0.1, 365), 0, 1)]
    changes = sum(a != b for a, b in pairwise(steps(chances)))
    bare = sum((a >= 0.5) != (b >= 0.5) for a, b in pairwise(chances))
    assert bare > 100 and changes == 0


def stated(held_g: int, emitted_g: int, **more: Any) -> Stated:
    return Stated(held_g=held_g, obligation_g=emitted_g, **more)


def year(grams: list[int], held_g: int, first: int = 1, **more: Any) -> list[EarlyWarning]:
    """The warnings of a synthetic subject, day by day from the first that is looked at."""
    levels: Levels = {}
    found = []
    for days in range(first, len(grams) + 1):
        outlook = look("plant", History(JANUARY, grams[:days]), stated(held_g, sum(grams[:days]), **more))
        levels, warnings = judge(outlook, levels, RULES)
        found += warnings
    return found


def test_a_balance_that_runs_out_is_warned_of_in_time() -> None:
    """Synthetic: 1 t a day and 200 t held run out on day 200: known 90, 60 and 30 days before."""
    found = year([1_000_000] * 230, 200_000_000)
    days = [(warning.level, warning.outlook.day - JANUARY + 1) for warning in found]
    assert days == [("notice", 110), ("warning", 140), ("critical", 170), ("used up", 200)]


def test_a_balance_that_lasts_is_not_warned_of() -> None:
    assert year([1_000_000] * 365, 420_000_000, 200) == []


def test_noise_does_not_make_a_subject_cry_wolf() -> None:
    """Synthetic: noise of 40 % on each day; each level is taken once, in its order."""
    noise = np.random.default_rng(5).normal(1, 0.4, 365)
    found = year([max(round(1_000_000 * x), 0) for x in noise], 300_000_000, 150)
    assert [warning.level for warning in found] == ["notice", "warning", "critical", "used up"]


def test_bought_allowances_end_a_warning() -> None:
    before = look("plant", History(JANUARY, [1_000_000] * 180), stated(200_000_000, 180_000_000))
    levels, (warning,) = judge(before, {}, RULES)
    assert (warning.level, warning.severity) == ("critical", "critical")
    for _ in range(RULES.calm_days):
        bought = replace(before, stated=stated(500_000_000, 180_000_000))
        levels, warnings = judge(bought, levels, RULES)
    (ended,) = warnings
    assert (ended.level, ended.severity) == ("none", "info")
    assert "level none, was critical" in ended.text


def test_without_allowances_or_a_plan_nothing_is_judged() -> None:
    outlook = look("plant", History(JANUARY, [1_000_000] * 180), Stated(obligation_g=180_000_000))
    assert judge(outlook, {}, RULES) == ({}, [])


def test_a_new_year_begins_without_a_level() -> None:
    outlook = look("plant", History(JANUARY, [1_000_000] * 40), stated(10**12, 40_000_000))
    levels, warnings = judge(outlook, {"balance_short": Held(2022, 4)}, RULES)
    assert levels["balance_short"] == Held(2023) and warnings == []


def test_before_there_is_a_forecast_only_what_is_used_up_is_said() -> None:
    (warning,) = year([1_000_000] * 10, 9_000_000)
    assert (warning.level, warning.outlook.day) == ("used up", JANUARY + 8)
    assert "no forecast yet" in warning.text


def test_a_plan_that_will_not_hold_is_told() -> None:
    plan = Plan(2023, (5_000_000,) * 12, (0,) * 12)  # 60 t and 5 % are used up on day 63
    levels: list[str] = [w.level for w in year([1_000_000] * 70, 10**15, plan=plan) if w.kind == "plan_exceeded"]
    assert levels == ["warning", "exceeded"]


def test_a_plan_of_another_year_is_not_this_ones() -> None:
    plan = Plan(2022, (1,) * 12, (0,) * 12)
    assert year([1_000_000] * 60, 10**15, plan=plan) == []


def test_a_warning_names_the_figures_that_made_it() -> None:
    first = next(iter(year([1_000_000] * 111, 200_000_000, 105)))
    assert first.text == (
        "plant: 90.000 t of allowances available at the end of 2023-04-20; used up 2023-07-19 (80 %: 2023-07-09 to "
        "2023-08-03); 100 % likely by the year's end, with 365.000 t forecast and 110.000 t so far; "
        "level notice, was none"
    )


def test_a_warning_says_no_dates_that_it_does_not_have() -> None:
    plan = Plan(2023, (33_000_000,) * 12, (0,) * 12)
    exceeded, *_ = year([1_000_000] * 40, 9_000_000, 40, plan=plan)
    assert exceeded.kind == "balance_short" and "; used up; 100 % likely" in exceeded.text
    outlook = look("plant", History(JANUARY, [1_000_000] * 80), stated(10**15, 0, plan=plan))
    watched = next(rule for rule in RULES.rules if rule.kind == "plan_exceeded")
    late = EarlyWarning("plan_exceeded", outlook, watched, 1, 0, 287_000_000)
    assert "of the plan and its margin of 5 % left" in late.text
    assert "; not used up within the year (80 %: 2023-" in late.text and " or later); " in late.text
    never = replace(late, budget_g=10**12)
    assert "; not used up within the year; 0 % likely" in never.text


def chain_registry() -> Any:
    registry = World.make().registry
    subject = registry.subjects["plant"]
    names = {"plant": "group", "group": "city", "city": "country", "country": None}
    return replace(registry, subjects={n: replace(subject, id=n, parent=p) for n, p in names.items()}, parties={})


def test_who_is_told() -> None:
    registry = chain_registry()
    told = [audience(SHORT, 0, level, "plant", 0, registry) for level in (1, 2, 3, 4)]
    assert told == [("plant",), ("plant", "group"), ("plant", "group", "country"), ("plant", "group", "country")]
    assert audience(SHORT, 2, 0, "plant", 0, registry) == told[1]  # who heard of it hears of its end
    assert audience(SHORT, 0, 3, "country", 0, registry) == ("country",)


def test_the_regulator_is_whoever_oversees() -> None:
    from carbon.signers import Party

    registry = chain_registry()
    parties = {"bureau": Party("bureau", b"", "regulator", "city"), "firm": Party("firm", b"", "enterprise", "group")}
    assert audience(SHORT, 0, 3, "plant", 0, replace(registry, parties=parties)) == ("plant", "group", "city")


def test_alerts_are_of_their_schema_and_one_for_each_who_is_told() -> None:
    warning = year([1_000_000] * 171, 200_000_000, 171)[-1]
    alerts = alerts_of(warning, chain_registry(), 480, 77)
    assert [alert["subject"] for alert in alerts] == ["plant", "group", "country"]
    assert len({alert["id"] for alert in alerts}) == 3
    first = codec.decode("alert", codec.encode("alert", alerts[0]))
    assert (first["kind"], first["severity"], first["height"]) == ("balance_short", "critical", 77)
    assert first["at"] == start_ms(warning.outlook.day + 1, 480)
    assert first["id"] == "balance_short/plant/2023-06-20/critical/plant"
    assert (first["key"], first["resolved"]) == ("balance_short/plant/plant", False)
    assert {figure["name"] for figure in first["figures"]} == {"budget_g", "emitted_g", "level"}


def test_the_end_of_a_warning_has_its_key() -> None:
    warning = year([1_000_000] * 171, 200_000_000, 171)[-1]
    over = alerts_of(replace(warning, before=warning.now, now=0), chain_registry(), 480, 78)[0]
    assert (over["key"], over["severity"], over["resolved"]) == ("balance_short/plant/plant", "info", True)


def raw() -> dict[str, Any]:
    level = {
        "name": "l",
        "raise_percent": 50,
        "keep_percent": 30,
        "severity": "info",
        "tell": ["subject"],
        "reason": "",
    }
    rule = {"kind": "balance_short", "margin_percent": 0, "reason": "", "levels": [level]}
    return {"calm_days": 7, "calm_reason": "", "rules": [rule]}


def test_rules_come_from_json_too() -> None:
    assert parse(json.loads(json.dumps(raw()))).rules[0].levels[0].lead_days is None


def changed(**more: Any) -> dict[str, Any]:
    data = raw()
    for where in (data["rules"][0]["levels"][0], data["rules"][0], data):
        where |= {name: more.pop(name) for name in list(more) if name in where}
    return data


@pytest.mark.parametrize(
    "bad",
    [
        changed(keep_percent=60),
        changed(keep_percent=0),
        changed(raise_percent=101),
        changed(severity="loud"),
        changed(tell=["press"]),
        changed(kind="weather"),
        changed(levels=[]),
        changed(margin_percent="5"),
        changed(calm_days=0),
        changed(rules=raw()["rules"] * 2),
        {"rules": []},
        {**raw(), "other": 1},
    ],
)
def test_rules_that_contradict_themselves_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        parse(bad)


@pytest.mark.parametrize(("grams", "text"), [(1_234_567_891, "1,234.567 t"), (-1_500_000, "-1.500 t"), (0, "0.000 t")])
def test_tonnes(grams: int, text: str) -> None:
    assert tonnes(grams) == text


def test_the_last_day_of_the_year_has_no_forecast_but_the_year() -> None:
    outlook = look("plant", History(JANUARY, [10] * 365), stated(10**9, 3650))
    assert (outlook.forecast, outlook.year_end_g(), outlook.days_left) == (None, 3650, 0)


def test_an_outlook_counts_its_own_year_alone() -> None:
    outlook: Outlook = look("plant", History(JANUARY - 50, [10] * 100), stated(10**9, 1_000))
    assert (outlook.emitted_g, outlook.year) == (500, 2023)
    assert outlook.year_end_g() == 3650
    low, high = outlook.year_end_interval_g(80) or (0, 0)
    assert 500 < low < 3650 < high
