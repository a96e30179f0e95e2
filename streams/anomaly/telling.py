"""The messages that tell others of an alarm: values of schemas anomaly and alert."""

from datetime import UTC, datetime
from typing import Any

from carbon import anomaly
from carbon.alert import alert
from carbon.registry import Registry
from streams.anomaly.watcher import Found


def anomaly_of(found: Found, registry: Registry) -> dict[str, Any]:
    """The message on topic anomalies."""
    alarm, point = found.alarm, registry.points.get(found.point)
    return {
        "id": anomaly.name(found.point, alarm.kind, alarm.at, resolved=alarm.resolved),
        "key": anomaly.key(found.point, alarm.kind),
        "subject": None if point is None else point.subject,
        "point": found.point,
        "kind": alarm.kind,
        "invariant": alarm.invariant,
        "since": alarm.since,
        "at": alarm.at,
        "resolved": alarm.resolved,
        "score": alarm.score,
        "per_month": alarm.per_month,
        "figures": [{"name": name, "value": _figure(value)} for name, value in alarm.figures.items()],
        "text": text(found),
    }


def alert_of(told: dict[str, Any]) -> dict[str, Any]:
    """The message on topic alerts. An anomaly is never critical: it is a statistic."""
    severity = "info" if told["resolved"] else "warning"
    about = {name: told[name] for name in ("key", "subject", "point", "since", "resolved")}
    about["figures"] = {one["name"]: one["value"] for one in told["figures"]}
    proof = f"carbonledger anomalies {told['point']}"
    return alert(told["id"], "anomaly", severity, told["at"], told["text"], proof=proof, **about)


def text(found: Found) -> str:
    """The sentence for people: the invariant, since when, and every figure."""
    alarm = found.alarm
    figures = ", ".join(f"{name.replace('_', ' ')} {_figure(value)}" for name, value in alarm.figures.items())
    since = datetime.fromtimestamp(alarm.since / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
    said = "holds again" if alarm.resolved else f"broken since {since}"
    return f"{found.point}: {alarm.kind}: “{alarm.invariant}” {said}; {figures}"


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
