"""Refusals that go on: one alert when a point's or gateway's come thick for one reason, and one when that is over.

Pure. Time is the broker's, of the dead letters' arrival, ms UTC: the same letters make the same alerts with the same
ids, whenever they are read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from carbon.alert import Alert, alert
from carbon.coding import WHOLE_MESSAGE, Item
from carbon.registry import Registry

READINGS, MESSAGES = "readings_rejected", "messages_rejected"
EXPECTED = frozenset({"not_normal", "duplicate"})
"""Reasons that are no trouble: the device says itself that it doesn't measure, a packet was sent again."""
UNKNOWN = "unknown"
_SLICES = 10
"""Into so many parts a rate's span is divided."""


@dataclass(frozen=True)
class Rules:
    """Declared defaults. So many readings or whole messages within `span_ms` are trouble; it is over when they were
    fewer than half as many for `calm_ms`."""

    span_ms: int = 600_000
    readings: int = 20
    messages: int = 3
    calm_ms: int = 1_800_000

    def bound(self, kind: str) -> int:
        """From how many on."""
        return self.readings if kind == READINGS else self.messages


@dataclass
class Stream:
    """The refusals of one reason about one point or gateway."""

    kind: str
    about: str
    reason: str
    slices: list[list[int]] = field(default_factory=list)
    """Number of the slice of time and how many came in it, the newest last."""
    since: int | None = None
    """Since when there are too many; None when there aren't."""
    high_at: int = 0
    """When there were half of too many last."""
    count: int = 0
    """How many came since then, with those that made it."""

    @property
    def key(self) -> str:
        """What its alerts are about."""
        return f"{self.kind}/{self.about}/{self.reason}"

    @property
    def recent(self) -> int:
        """How many came within the span."""
        return sum(count for _, count in self.slices)


class Rejections:
    """All streams of refusals; `kept` is what `dump` gave in an earlier life."""

    def __init__(self, rules: Rules | None = None, kept: Mapping[str, Any] | None = None) -> None:
        self._rules = rules or Rules()
        self._slice_ms = self._rules.span_ms // _SLICES
        self._streams = {key: Stream(**fields) for key, fields in (kept or {}).items()}

    def dump(self) -> dict[str, Any]:
        """What is to be kept, as JSON takes it."""
        return {key: asdict(stream) for key, stream in self._streams.items()}

    def take(self, letter: Mapping[str, Any], at: int, registry: Registry) -> list[Alert]:
        """What is told because a dead letter arrived. `letter`: a value of schema rejection."""
        told = list[Alert]()
        for item in letter["items"]:
            if item["reason"] in EXPECTED:
                continue
            stream = self._stream(item, letter["gateway"], registry)
            told += self._passed(stream, at, registry)
            told += self._counted(stream, at, item, registry)
        return told

    def tick(self, now: int, registry: Registry) -> list[Alert]:
        """What is told because time passed: no letter is to come that arrived before `now`."""
        told = [alert for stream in self._streams.values() for alert in self._passed(stream, now, registry)]
        self._streams = {key: one for key, one in self._streams.items() if one.slices or one.since is not None}
        return told

    def _stream(self, item: Item, gateway: str | None, registry: Registry) -> Stream:
        kind = MESSAGES if item["index"] == WHOLE_MESSAGE else READINGS
        # a name that isn't registered is anybody's, and makes no stream of its own
        point: str | None = item["point"]
        about = UNKNOWN if gateway not in registry.gateways else str(gateway)
        if point is not None and point in registry.points:
            about = point
        stream = Stream(kind, about, item["reason"])
        return self._streams.setdefault(stream.key, stream)

    def _passed(self, stream: Stream, now: int, registry: Registry) -> Iterator[Alert]:
        first = now // self._slice_ms - _SLICES
        stream.slices = [one for one in stream.slices if one[0] > first]
        if stream.since is not None and now - stream.high_at >= self._rules.calm_ms:
            at, id_ = stream.high_at + self._rules.calm_ms, f"{stream.key}/{stream.since}/over"
            text = f"{stream.about}: refusals by {stream.reason} have ceased; {stream.count} in all"
            figures = {"refused": stream.count}
            yield _alert(id_, "info", at, text, stream, registry, resolved=True, figures=figures)
            stream.since, stream.count = None, 0

    def _counted(self, stream: Stream, at: int, item: Item, registry: Registry) -> Iterator[Alert]:
        place = at // self._slice_ms
        if not stream.slices or stream.slices[-1][0] != place:
            stream.slices.append([place, 0])
        stream.slices[-1][1] += 1
        stream.count += stream.since is not None
        bound = self._rules.bound(stream.kind)
        if 2 * stream.recent >= bound:
            stream.high_at = at
        if stream.since is None and stream.recent >= bound:
            stream.since, stream.count = at, stream.recent
            minutes, what = self._rules.span_ms // 60_000, stream.kind.partition("_")[0]
            text = f"{stream.about}: {bound} {what} refused within {minutes} minutes by {stream.reason}, "
            figures = {"refused": bound, "within_minutes": minutes, "reason": stream.reason}
            text += f"the last: {item['detail']}"
            yield _alert(
                f"{stream.key}/{at}", "warning", at, text, stream, registry, code=item["code"], figures=figures
            )


def _alert(id_: str, severity: str, at: int, text: str, stream: Stream, registry: Registry, **more: Any) -> Alert:
    point = registry.points.get(stream.about)
    about = {"point": None, "subject": _subject(stream.about, registry)}
    if point is not None:
        about = {"point": point.id, "subject": point.subject}
    where = f"reason = '{stream.reason}'" + (f" AND point = '{point.id}'" if point else "")
    proof = f'carbonledger query "SELECT at, detail, code FROM rejections WHERE {where} ORDER BY offset DESC LIMIT 9"'
    return alert(id_, stream.kind, severity, at, text, key=stream.key, since=stream.since, proof=proof, **about, **more)


def _subject(gateway: str, registry: Registry) -> str | None:
    """The subject of all points of a gateway; None where there are several, or none."""
    subjects = {point.subject for point in registry.points_of.get(gateway, ())}
    return subjects.pop() if len(subjects) == 1 else None
