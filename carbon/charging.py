"""Substitution on the aggregator's side: what each record of a point says of its hours, and the hours that are due.

It follows a point's records in the order in which they are proposed, as the state half follows them on the ledger:
both see the same hours at the same place of the chain. Beside these hours it keeps those of the records that the ledger
has accepted: where records behind them are refused, the hours are made again from there. Of an hour that is missing it
keeps the latest version and the salt of the next, so that its packets need not be read again when it is due.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from carbon import drafting
from carbon import record as records
from carbon.hours import Hours
from carbon.record import Draft, EvidenceRange, Tier
from carbon.registry import Point
from carbon.substitution import HOUR_MS, Substitution, mean, stated
from carbon.window import PacketFacts, Window, WindowKey


class _Open(NamedTuple):
    """A missing hour that is not substituted, or may be so again: the version before that, and the salt of the next."""

    latest: Draft
    salt: bytes


class Charging:
    """The points with substitution of one gateway. `channel` is the genesis digest."""

    def __init__(self, points: Iterable[Point], channel: bytes, horizon_ms: int) -> None:
        self._points = {point.id: (point, rule) for point in points if (rule := point.substituted) is not None}
        self._waits = {name: rule.waits(horizon_ms) for name, (_, rule) in self._points.items()}
        self._channel, self._horizon_ms = channel, horizon_ms
        self._accepted: dict[str, Hours] = {}
        self._hours: dict[str, Hours] = {}
        self._open: dict[tuple[str, int], _Open] = {}
        self.has_changed = False
        """Whether there is something to keep that `dump` did not tell yet."""

    def __contains__(self, point: str) -> bool:
        return point in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def closed(self, draft: Draft, packets: Sequence[PacketFacts]) -> Iterator[Draft]:
        """A window's first record was made from these packets; the records of hours that are due then."""
        name, (point, rule) = draft.point, self._points[draft.point]
        if draft.window_start < rule.regimes[0].start:
            return
        value = _mean(point, draft.window)
        hours = _append(self._hours, draft, value, rule, self._waits[name])
        self._note(draft, packets)
        while (hour := hours.due(self._waits[name])) is not None:
            yield self._substituted(point, rule, hour)

    def _substituted(self, point: Point, rule: Substitution, hour: int) -> Draft:
        hours = self._hours[point.id]
        value, row, boundary = hours.charge(hour, rule)
        hours.settle(hour)
        latest, salt = self._open[point.id, HOUR_MS * hour]
        return drafting.substituted(point, latest, salt, value, Tier(row, boundary))

    def corrected(self, draft: Draft, packets: Sequence[PacketFacts]) -> None:
        """A window was corrected by a record from these packets."""
        point, _ = self._points[draft.point]
        if draft.point in self._hours:
            value = _mean(point, draft.window)
            self._hours[draft.point].amend(draft.window_start // HOUR_MS, value, stopped=draft.stopped)
            self._note(draft, packets)
            self.has_changed = True

    # -- what the ledger says

    def accept(self, payloads: Iterable[bytes]) -> None:
        """The ledger has accepted these records."""
        for payload in payloads:
            self._follow(self._accepted, payload)
            self.has_changed = True
        if self.has_changed:
            self._open = {key: one for key, one in self._open.items() if not self._is_over(key)}

    def _is_over(self, key: WindowKey) -> bool:
        """Whether an hour was due by a window that the ledger has accepted."""
        hours = self._accepted.get(key[0])
        return hours is not None and key[1] // HOUR_MS + 1 + self._waits[key[0]] < hours.end

    def give_up(self, point: str, start: int) -> None:
        """The ledger has refused to charge an hour: it is not due any more."""
        if point in self._accepted:
            hours = self._accepted[point]
            hours.settled = max(hours.settled, start // HOUR_MS + 1)
            self.has_changed = True

    def resume(self, point: str, payloads: Iterable[bytes]) -> None:
        """Make a point's hours again: what the ledger has accepted, and these records, which are under way to it."""
        self._hours.pop(point, None)
        if point in self._accepted:
            self._hours[point] = deepcopy(self._accepted[point])
        for payload in payloads:
            self._follow(self._hours, payload)

    def _follow(self, every: dict[str, Hours], payload: bytes) -> None:
        """Take in a record as the ledger does, by the substitution that it states."""
        fields = records.decode(payload)
        rule = stated(fields["rule"])
        if rule is None:
            return
        draft = records.draft_of(fields, b"")
        value = mean(draft.window.count, fields["expected"], draft.window.quantity)
        if draft.version == 1:
            if draft.window_start >= rule.regimes[0].start:
                _append(every, draft, value, rule, rule.waits(self._horizon_ms))
        elif draft.point not in every:
            return
        elif draft.cause == "SUBSTITUTED":
            every[draft.point].settle(draft.window_start // HOUR_MS)
        else:
            every[draft.point].amend(draft.window_start // HOUR_MS, value, stopped=draft.stopped)

    def is_missing(self, draft: Draft) -> bool:
        """Whether a record of an hour leaves it missing: too few readings, and the plant did not stand still."""
        return not draft.stopped and _mean(self._points[draft.point][0], draft.window) is None

    def _note(self, draft: Draft, packets: Sequence[PacketFacts]) -> None:
        self.has_changed = True
        if self.is_missing(draft):
            salt = drafting.next_salt(self._channel, packets, draft)
            self._open[draft.point, draft.window_start] = _Open(draft, salt)

    # -- restart

    def dump(self) -> dict[str, Any]:
        """All that a restart needs, as a JSON value."""
        self.has_changed = False
        hours = {name: str(hours) for name, hours in self._accepted.items()}
        # neighbours of one window name the same packets, which compresses
        opened = [_dump(one) for _, one in sorted(self._open.items(), key=lambda item: item[0][::-1])]
        return {"hours": hours, "open": opened}

    def load(self, data: dict[str, Any]) -> None:
        """Go on from what `dump` gave; `resume` must follow for each point with records under way."""
        known = {name: text for name, text in data["hours"].items() if name in self._points}
        self._accepted = {name: Hours.parse(text.split(" ")) for name, text in known.items()}
        opened = [_load(fields) for fields in data["open"] if fields["point"] in self._points]
        self._open = {(one.latest.point, one.latest.window_start): one for one in opened}


def _append(every: dict[str, Hours], draft: Draft, value: int | None, rule: Substitution, waits: int) -> Hours:
    hour = draft.window_start // HOUR_MS
    if draft.point not in every or every[draft.point].end != hour:
        every[draft.point] = Hours.since(hour)
    every[draft.point].append(value, rule, waits, stopped=draft.stopped)
    return every[draft.point]


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
