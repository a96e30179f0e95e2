"""Substitution on the aggregator's side: what each record of a point says of its hours, and the hours that are due.

It follows a point's records in the order in which they are proposed, as the state half follows them on the ledger:
both see the same hours at the same place of the chain. Of an hour that is missing it keeps the latest version and the
salt of the next, so that its packets need not be read again when it is due.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from carbon import drafting
from carbon.hours import Hours
from carbon.record import Draft, EvidenceRange, Tier
from carbon.registry import Point
from carbon.substitution import HOUR_MS, Substitution, mean
from carbon.window import PacketFacts, Window


class _Open(NamedTuple):
    """A missing hour that is not substituted yet: its latest version, and the salt of the next."""

    latest: Draft
    salt: bytes


class Charging:
    """The points with substitution of one gateway. `channel` is the genesis digest."""

    def __init__(self, points: Iterable[Point], channel: bytes, horizon_ms: int) -> None:
        self._points = {point.id: (point, rule) for point in points if (rule := point.substituted) is not None}
        self._waits = {name: rule.waits(horizon_ms) for name, (_, rule) in self._points.items()}
        self._channel = channel
        self._hours: dict[str, Hours] = {}
        self._open: dict[tuple[str, int], _Open] = {}
        self.has_changed = False
        """Whether there is something to keep that `dump` did not tell yet."""

    def __contains__(self, point: str) -> bool:
        return point in self._points

    def closed(self, draft: Draft, packets: Sequence[PacketFacts]) -> Iterator[Draft]:
        """A window's first record was made from these packets; the records of hours that are due then."""
        name, (point, rule) = draft.point, self._points[draft.point]
        if draft.window_start < rule.regimes[0].start:
            return
        hours = self._hours.setdefault(name, Hours.since(draft.window_start // HOUR_MS))
        value = _mean(point, draft.window)
        hours.append(value, rule, self._waits[name])
        self._note(draft, packets, value)
        while (hour := hours.due(self._waits[name])) is not None:
            yield self._substituted(point, rule, hour)

    def _substituted(self, point: Point, rule: Substitution, hour: int) -> Draft:
        hours = self._hours[point.id]
        value, row, boundary = hours.charge(hour, rule)
        hours.settle(hour)
        latest, salt = self._open.pop((point.id, HOUR_MS * hour))
        return drafting.substituted(point, latest, salt, value, Tier(row, boundary))

    def corrected(self, draft: Draft, packets: Sequence[PacketFacts]) -> None:
        """A window was corrected by a record from these packets."""
        point, _ = self._points[draft.point]
        if draft.point in self._hours:
            value = _mean(point, draft.window)
            self._hours[draft.point].amend(draft.window_start // HOUR_MS, value)
            if self._open.pop((draft.point, draft.window_start), None) is not None:
                self._note(draft, packets, value)
            self.has_changed = True

    def is_measured(self, point: str, window: Window) -> bool:
        """Whether a window of the point has readings enough."""
        return _mean(self._points[point][0], window) is not None

    def _note(self, draft: Draft, packets: Sequence[PacketFacts], value: int | None) -> None:
        self.has_changed = True
        if value is None:
            salt = drafting.next_salt(self._channel, packets, draft)
            self._open[draft.point, draft.window_start] = _Open(draft, salt)

    # -- restart

    def dump(self) -> dict[str, Any]:
        """All that a restart needs, as a JSON value."""
        self.has_changed = False
        hours = {name: str(hours) for name, hours in self._hours.items()}
        return {"hours": hours, "open": [_dump(one) for one in self._open.values()]}

    def load(self, data: dict[str, Any]) -> None:
        """Go on from what `dump` gave."""
        known = {name: text for name, text in data["hours"].items() if name in self._points}
        self._hours = {name: Hours.parse(text.split(" ")) for name, text in known.items()}
        opened = [_load(fields) for fields in data["open"] if fields["point"] in self._points]
        self._open = {(one.latest.point, one.latest.window_start): one for one in opened}


def _mean(point: Point, window: Window) -> int | None:
    return mean(window.count, point.expected, window.quantity)


def _dump(one: _Open) -> dict[str, Any]:
    latest, window = one.latest, one.latest.window
    return {
        "point": latest.point,
        "start": latest.window_start,
        "window": [window.count, window.quantity, window.evidence_root.hex()],
        "evidence": [[*named[:-1], named.digest.hex()] for named in latest.evidence],
        "emission_g": latest.emission_g,
        "version": latest.version,
        "salt": one.salt.hex(),
    }


def _load(fields: dict[str, Any]) -> _Open:
    count, quantity, root = fields["window"]
    evidence = tuple(
        EvidenceRange(gateway, run, first, last, bytes.fromhex(digest))
        for gateway, run, first, last, digest in fields["evidence"]
    )
    window = Window(count, quantity, bytes.fromhex(root))
    name, rest = (fields["point"], fields["start"]), (fields["emission_g"], fields["version"])
    return _Open(Draft(*name, window, evidence, b"", *rest), bytes.fromhex(fields["salt"]))
