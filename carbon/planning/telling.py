"""The message that tells others of an outlook: a value of schema forecast."""

from collections.abc import Mapping
from typing import Any

from carbon.planning.days import start_ms
from carbon.planning.outlook import INNER, OUTER, Outlook
from carbon.planning.rules import Held, Kind, Rules


def forecast_of(
    outlook: Outlook, levels: Mapping[Kind, Held], rules: Rules, offset_minutes: int, height: int
) -> dict[str, Any]:
    """The message on an outlook and the levels that hold with it, as of the block of that height."""
    stated, neutrality = outlook.stated, outlook.neutrality
    plan = stated.plan if stated.plan is not None and stated.plan.year == outlook.year else None
    known = [(rule, levels[rule.kind]) for rule in rules.rules if rule.kind in levels]
    return {
        "subject": outlook.subject,
        "year": outlook.year,
        "at": start_ms(outlook.day + 1, offset_minutes),
        "height": height,
        "emitted_g": outlook.emitted_g,
        "year_end_g": outlook.year_end_g(),
        "available_g": stated.available_g,
        "plan_g": None if plan is None else plan.total_g,
        "planned_so_far_g": None if plan is None else plan.due_g(outlook.day),
        "target_g": outlook.path_g,
        "reductions_g": neutrality.reductions_g,
        "retired_g": neutrality.retired_g,
        "neutrality_gap_g": neutrality.gap_g,
        "silent": outlook.silent,
        "levels": [{"kind": rule.kind, "level": rule.name(held.level)} for rule, held in known],
        **_coming(outlook, offset_minutes),
    }


def _coming(outlook: Outlook, offset_minutes: int) -> dict[str, Any]:
    """What a forecast adds: nothing without one."""
    forecast, available, told = outlook.forecast, outlook.stated.available_g, dict[str, Any]()
    if forecast is None:
        return told
    for percent in (INNER, OUTER):
        low, high = outlook.year_end_interval_g(percent) or (None, None)
        told |= {f"low_{percent}_g": low, f"high_{percent}_g": high}
    told |= {"method": forecast.method, "season": forecast.season}
    runs_out = outlook.exhaustion()
    if available is not None and runs_out is not None:
        days = {"at": runs_out.expected, "early": runs_out.early, "late": runs_out.late}
        for name, after in days.items():
            at = None if after is None else start_ms(outlook.day + after + 1, offset_minutes)
            told[f"exhausted_{name}"] = at
        told["shortage_probability"] = forecast.probability(available, outlook.days_left)
    return told
