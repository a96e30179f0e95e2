"""Data gaps: the alerts on windows that lack readings, from the first of a point to its next full one."""

from collections.abc import Mapping
from typing import Any

from carbon import record as records
from carbon.alert import Alert, alert
from carbon.registry import Registry
from carbon.substitution import states_stop
from carbon.validity import is_valid_hour

Gaps = dict[str, int]
"""`<kind>/<point>` to the start of the newest window, ms UTC, that lacks readings."""
COVERAGE, SUBSTITUTED = "coverage", "substituted"


def incomplete(record: dict[str, Any], commitment: bytes, height: int, registry: Registry, gaps: Gaps) -> Alert:
    """The alert on a window with fewer readings than a full one holds, or on what an hour is charged instead."""
    code, tier = records.code(record, commitment, registry), records.tier_of(record)
    text, kind = f"{record['point']}: {record['count']} of {record['expected']} readings in the window", COVERAGE
    if states_stop(record["rule"]):
        text += ", the plant stood still"
    elif record["window_seconds"] == 3600 and not is_valid_hour(record["count"], record["expected"]):
        text += ", no valid hour"
    figures = {"readings": record["count"], "expected_readings": record["expected"]}
    if tier is not None:
        text, kind = f"{text}; charged {record['emission_g']} g by tier {tier.row or 'none'}", SUBSTITUTED
        figures["emission_g"] = record["emission_g"]
    key, start = f"{kind}/{record['point']}", record["window_start"]
    gaps[key] = max(start, gaps.get(key, start))
    about = {"subject": record["subject"], "point": record["point"], "height": height, "code": code}
    return alert(f"{kind}/{code}", kind, "warning", start, text, key=key, figures=figures, **about)


def full(fields: Mapping[str, Any], start: int, height: int, gaps: Gaps) -> list[Alert]:
    """The ends of a point's gaps that a full window tells of, unless it is an earlier one. `fields`: of its record."""
    point, over = fields["point"], list[Alert]()
    for kind in (COVERAGE, SUBSTITUTED):
        key = f"{kind}/{point}"
        if start < gaps.get(key, start + 1):
            continue
        del gaps[key]
        text, about = f"{point}: all readings again", {"subject": fields["subject"], "point": point, "height": height}
        over.append(alert(f"{key}/{start}/over", kind, "info", start, text, key=key, resolved=True, **about))
    return over
