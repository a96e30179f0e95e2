"""Faults of the pipeline: a process that is not ready, messages that wait too long. Pure; time is handed in, ms UTC.

A fault is told when it has been seen for some time without as long a time of health between, so that a process that
dies every half minute is one fault; and its end when health has held.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from carbon.alert import Alert, alert
from infra.plan import State

DOWN, WAIT = "process_down", "messages_wait"


@dataclass(frozen=True)
class Bounds:
    """Declared defaults. A message has waited too long after `oldest_seconds`; once told, until it is half of that."""

    patience_ms: int = 120_000
    calm_ms: int = 120_000
    oldest_seconds: float = 300.0


@dataclass
class Fault:
    """What was seen first at `since`; `good_at` is since when it isn't seen, `told` whether somebody knows."""

    since: int
    told: bool = False
    good_at: int | None = None


@dataclass(frozen=True)
class Sight:
    """How one thing stands at one look. `bad` is None where that look can't tell."""

    bad: bool | None
    text: str
    figures: Mapping[str, Any]


class Faults:
    """All faults. `kept`: since when those hold that somebody knows of, from an earlier life."""

    def __init__(self, bounds: Bounds | None = None, kept: Mapping[str, int] | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._faults = {key: Fault(since, told=True) for key, since in (kept or {}).items()}
        self._restarts: dict[str, int] = {}

    def dump(self) -> dict[str, int]:
        """What is to be kept: whoever was told of a fault is told of its end."""
        return {key: fault.since for key, fault in self._faults.items() if fault.told}

    def take(self, rows: Iterable[Mapping[str, Any]], now: int) -> list[Alert]:
        """What is told because of a look at the pipeline. `rows`: values of schema health."""
        seen = self._seen(list(rows))
        gone = Sight(False, "is no part of the pipeline any more", {})
        told = (self._judged(key, seen.get(key, gone), now) for key in {**seen, **self._faults})
        return [one for one in told if one is not None]

    def _seen(self, rows: list[Mapping[str, Any]]) -> dict[str, Sight]:
        seen = dict[str, Sight]()
        for row in rows:
            process = row["process"]
            if row["state"]:
                seen[f"{DOWN}/{process}"] = self._process(row)
            if row["topic"]:
                key = f"{WAIT}/{process}/{row['topic']}"
                seen[key] = self._messages(row, told=key in self._faults and self._faults[key].told)
        self._restarts = {row["process"]: row["restarts"] for row in rows}
        return seen

    def _process(self, row: Mapping[str, Any]) -> Sight:
        process, state, restarts = row["process"], row["state"], row["restarts"]
        again = restarts > self._restarts.get(process, restarts)
        text = f"{process} is {state}" + (f", started again {restarts} times" if restarts else "")
        return Sight(state != State.READY or again, text, {"state": state, "restarts": restarts})

    def _messages(self, row: Mapping[str, Any], *, told: bool) -> Sight:
        waiting, oldest = row["waiting"], row["oldest_seconds"]
        text = f"{waiting} messages of {row['topic']} wait for {row['process']}"
        if waiting and oldest is None:
            return Sight(None, text, {})
        bound = self._bounds.oldest_seconds / (2 if told else 1)
        figures = {"waiting": waiting, "oldest_seconds": oldest}
        return Sight((oldest or 0.0) > bound, f"{text}, the oldest for {oldest or 0:.0f} s", figures)

    def _judged(self, key: str, sight: Sight, now: int) -> Alert | None:
        fault, bounds = self._faults.get(key), self._bounds
        if sight.bad is None or (fault is None and not sight.bad):
            return None
        if fault is None:
            fault = self._faults[key] = Fault(now)
        if not sight.bad:
            fault.good_at = now if fault.good_at is None else fault.good_at
            if now - fault.good_at < bounds.calm_ms:
                return None
            del self._faults[key]
            return _alert(key, fault, sight, now, resolved=True) if fault.told else None
        fault.good_at = None
        if fault.told or now - fault.since < bounds.patience_ms:
            return None
        fault.told = True
        return _alert(key, fault, sight, now, resolved=False)


def _alert(key: str, fault: Fault, sight: Sight, now: int, *, resolved: bool) -> Alert:
    kind, severity = key.partition("/")[0], "info" if resolved else "warning"
    if kind == DOWN and not resolved:
        severity = "critical"
    id_ = f"{key}/{fault.since}" + ("/over" if resolved else "")
    more = {"key": key, "since": fault.since, "resolved": resolved, "figures": sight.figures}
    return alert(id_, kind, severity, now, sight.text, proof="carbonledger status", **more)
