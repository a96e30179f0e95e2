"""Windows: the closing rule, and the aggregate of one window of one point from signed packets alone.

The watermark runs in sequence order over a gateway's signed sending times. A window [start, end) opens at the first
packet whose watermark reaches start minus the allowed future, for no earlier packet can hold a valid reading of it, and
closes at the first packet whose watermark reaches end plus lateness. So its range is a function of the packets alone,
whatever order Kafka delivered in. A packet behind the closing one that still holds a reading of the window is late; it
makes a correction.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from carbon import merkle, validation
from carbon.packet import Packet, leaf_hashes
from carbon.registry import Point, Registry
from carbon.validation import Reason
from carbon.validity import sparse

WindowKey = tuple[str, int]
"""Point id and window start, ms UTC."""


class Group(NamedTuple):
    """The valid readings of one window in one packet: a slice of PacketFacts' sorted columns."""

    start: int
    stop: int
    quantity: int
    ordered: bool
    """Whether times only rise, so that the packet holds no reading twice and `quantity` is their sum; and each reading
    may follow the one before it."""
    root: bytes
    """RFC 6962 root over the leaves of all of them."""
    limited: Point | None = None
    """The point, where its readings limit each other."""
    stopped: tuple[int, ...] = ()
    """The times at which the plant stood still, where that matters: no readings of the slice."""


@dataclass(frozen=True, slots=True, eq=False)
class PacketFacts:
    """What follows from one packet and the registry: verdicts, hashes, and its valid readings by window.

    `reasons` (n,) and `leaves` are in packet order; `order` lists the valid readings' indexes by point, window, index.
    """

    packet: Packet
    reasons: NDArray[np.uint8]
    leaves: list[bytes]
    order: list[int]
    groups: dict[WindowKey, Group]
    amounts: NDArray[np.int64]
    """What each reading (n,) adds to its window's quantity: its value, or of a CEMS concentration the mass."""


def analyse(packet: Packet, registry: Registry, leaves: list[bytes] | None = None) -> PacketFacts:
    """The facts of a packet. `leaves`, when given, are its leaf hashes as computed before by the same worker."""
    reasons = validation.check(packet, registry)
    valid = np.flatnonzero(reasons == Reason.VALID)
    seconds = [0 if (p := registry.points.get(name)) is None else p.window_seconds for name in packet.points]
    span = 1000 * np.array(seconds, np.int64)[packet.point[valid]]
    window = packet.at[valid] // span * span if len(valid) else packet.at[valid]
    rank = np.lexsort((window, packet.point[valid]))
    order = valid[rank]
    hashes, places = leaf_hashes(packet) if leaves is None else leaves, order.tolist()
    amounts = _amounts(packet, registry, reasons) if registry.masses else packet.value
    groups = _groups(packet, amounts[order], order, window[rank], [hashes[place] for place in places])
    limited = [point for name in packet.points if (point := registry.points.get(name)) is not None and point.is_limited]
    if limited:
        groups |= _limited(packet, places, groups, {point.id: point for point in limited})
    groups |= _stopped(packet, registry, groups)
    return PacketFacts(packet, reasons, hashes, places, groups, amounts)


def _amounts(packet: Packet, registry: Registry, reasons: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The column `amounts`; only of valid readings it means something."""
    found = packet.value.copy()
    for place, name in enumerate(packet.points):
        own = np.flatnonzero((packet.point == place) & (reasons == Reason.VALID))
        if len(own) and (mass := registry.masses.get(name)) is not None:
            others = {other: validation.beside(packet, reasons, own, other)[1] for other in mass.rule.partners}
            partners = {other: packet.value[indexes] for other, indexes in others.items()}
            found[own] = mass.masses(packet.value[own], partners)
    return found


def _groups(
    packet: Packet,
    amounts: NDArray[np.int64],
    order: NDArray[np.int64],
    window: NDArray[np.int64],
    leaves: list[bytes],
) -> dict[WindowKey, Group]:
    """The groups; `amounts` and `leaves` are in the order of `order`, as `window` is."""
    if not len(order):
        return {}
    point, at = packet.point[order], packet.at[order]
    fresh = np.r_[True, (np.diff(point) != 0) | (np.diff(window) != 0)]
    starts = np.flatnonzero(fresh)
    stops = np.r_[starts[1:], len(order)]
    sums = np.add.reduceat(amounts, starts).tolist()
    rising = np.logical_and.reduceat(fresh | np.r_[True, np.diff(at) > 0], starts).tolist()
    names = [packet.points[i] for i in point[starts].tolist()]
    keys = zip(names, window[starts].tolist(), strict=True)
    roots = merkle.roots(leaves, (stops - starts).tolist())
    return dict(zip(keys, map(Group, starts.tolist(), stops.tolist(), sums, rising, roots), strict=True))


def _limited(
    packet: Packet, order: list[int], groups: dict[WindowKey, Group], points: dict[str, Point]
) -> dict[WindowKey, Group]:
    """The groups of points whose readings limit each other, judged by that."""
    found = {}
    for key, group in groups.items():
        if (point := points.get(key[0])) is not None:
            calm = group.ordered and validation.calm(point, packet, order[group.start : group.stop])
            found[key] = group._replace(limited=point, ordered=calm)
    return found


def _stopped(packet: Packet, registry: Registry, groups: dict[WindowKey, Group]) -> dict[WindowKey, Group]:
    """The groups of windows in which the plant stood still, those without a valid reading too."""
    times: dict[WindowKey, list[int]] = {}
    for index in validation.stopped(packet, registry).tolist():
        point, at = registry.points[packet.points[packet.point[index]]], int(packet.at[index])
        times.setdefault((point.id, at - at % (1000 * point.window_seconds)), []).append(at)
    return {key: groups.get(key, _NO_READINGS)._replace(stopped=tuple(found)) for key, found in times.items()}


_NO_READINGS = Group(0, 0, 0, True, merkle.EMPTY_ROOT)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A valid reading that was not counted: in which packet, at which index, and why."""

    sequence: int
    index: int
    reason: Reason


@dataclass(slots=True)
class Window:
    """The aggregate of one window: readings counted, their sum, and the RFC 6962 root over their salted bytes; and at
    how many other times the plant stood still, where that matters.

    Never changed once made, like a Draft.
    """

    count: int
    quantity: int
    evidence_root: bytes
    dropped: tuple[Dropped, ...] = ()
    stopped: int = 0


def aggregate(key: WindowKey, packets: Sequence[PacketFacts]) -> Window:
    """The aggregate of a window over packets in sequence order. The first reading of a time counts; the same again is a
    duplicate, another value a conflict. Where the readings of a point limit each other, one that can't stand
    between the two that count next to it is not counted: so a late packet adds readings and never takes one away."""
    found = [(facts, group) for facts in packets if (group := facts.groups.get(key)) is not None]
    if not found:
        return Window(0, 0, merkle.EMPTY_ROOT)
    if len(found) == 1 and found[0][1].ordered and not found[0][1].stopped:
        group = found[0][1]
        return Window(group.stop - group.start, group.quantity, group.root)
    return _merge(found)


def counted(key: WindowKey, packets: Sequence[PacketFacts]) -> list[tuple[PacketFacts, int]]:
    """The counted readings of a window as (packet, index), in the order of the evidence tree."""
    found = [(facts, group) for facts in packets if (group := facts.groups.get(key)) is not None]
    return _first_of_each_time(found)[0]


def _merge(found: list[tuple[PacketFacts, Group]]) -> Window:
    kept, dropped = _first_of_each_time(found)
    quantity = sum(int(facts.amounts[index]) for facts, index in kept)
    root = merkle.root([facts.leaves[index] for facts, index in kept])
    stopped = {at for _, group in found for at in group.stopped} - {int(f.packet.at[index]) for f, index in kept}
    return Window(len(kept), quantity, root, tuple(dropped), len(stopped))


def _first_of_each_time(
    found: Iterable[tuple[PacketFacts, Group]],
) -> tuple[list[tuple[PacketFacts, int]], list[Dropped]]:
    kept: dict[int, tuple[PacketFacts, int]] = {}
    values: list[tuple[int, int]] = []
    dropped: list[Dropped] = []
    point: Point | None = None
    for facts, group in found:
        point = group.limited
        for index in facts.order[group.start : group.stop]:
            at = int(facts.packet.at[index])
            first = kept.get(at)
            if first is not None:
                same = _content(*first) == _content(facts, index)
                reason = Reason.DUPLICATE if same else Reason.CONFLICT
            else:
                reason = _between(group.limited, values, at, int(facts.packet.value[index]))
            if reason is Reason.VALID:
                kept[at] = facts, index
            else:
                dropped.append(Dropped(facts.packet.sequence, index, reason))
    dropped += _sparse(kept, point)
    return list(kept.values()), dropped


def _sparse(kept: dict[int, tuple[PacketFacts, int]], point: Point | None) -> list[Dropped]:
    """Take readings out of `kept` whose minutes have too few instants for their point's rule."""
    if point is None or not point.instants:
        return []
    at = np.array([*kept], np.int64)
    taken = [kept.pop(time) for time in at[sparse(at, point.instants)].tolist()]
    return [Dropped(facts.packet.sequence, index, Reason.SPARSE_MINUTE) for facts, index in taken]


def _between(point: Point | None, values: list[tuple[int, int]], at: int, value: int) -> Reason:
    """Whether a reading may stand between its neighbours of `values`, the counted (time, value) by time; adds it."""
    if point is None:
        return Reason.VALID
    place = bisect_left(values, (at, value))
    for (t0, v0), (t1, v1) in pairwise((*values[max(0, place - 1) : place], (at, value), *values[place : place + 1])):
        if (reason := validation.follows(point, t1 - t0, v0, v1)) is not Reason.VALID:
            return reason
    values.insert(place, (at, value))
    return Reason.VALID


def _content(facts: PacketFacts, index: int) -> tuple[int, int]:
    return int(facts.packet.value[index]), int(facts.packet.flag[index])


class Watermarks(Protocol):
    """The watermarks of a run's packets, wherever they are kept."""

    @property
    def last(self) -> int:
        """Sequence of the last packet."""

    def first_reaching(self, time: int) -> int | None:
        """The first sequence whose watermark is at or past `time`, ms UTC; None when there is none yet."""


class ForkError(ValueError):
    """A gateway signed two different packets for one place in its run."""


@dataclass
class Run:
    """The packets of one run in sequence order: the chain checked, and the watermark after each.

    `base` is the sequence before the first entry; lost sequences take their successor's place with no packet.
    """

    base: int = 0
    head: bytes = bytes(32)
    """Digest of the last packet; zeros before the first."""
    watermarks: list[int] = field(default_factory=list)
    floor: int = -1
    """Watermark of all before `base`."""

    @property
    def last(self) -> int:
        """Sequence of the last packet."""
        return self.base + len(self.watermarks)

    @property
    def watermark(self) -> int:
        """Watermark after the last packet, ms UTC."""
        return self.watermarks[-1] if self.watermarks else self.floor

    def follows(self, packet: Packet) -> bool:
        """Whether this packet is the run's next. Raises ForkError when it claims the place with another past."""
        if packet.sequence - packet.lost != self.last + 1:
            return False
        if packet.previous != self.head:
            raise ForkError(f"{packet.gateway} run {packet.run}: packet {packet.sequence} does not follow {self.last}")
        return True

    def append(self, packet: Packet) -> int:
        """Add the next packet; returns the watermark after it."""
        assert packet.sequence - packet.lost == self.last + 1 and packet.previous == self.head
        self.extend(packet.lost, packet.sent_at, packet.digest)
        return self.watermark

    def extend(self, lost: int, sent_at: int, digest: bytes) -> None:
        """Go on behind a packet that was checked before: sequences lost before it, its sending time and its digest."""
        before = self.watermark
        self.watermarks += [before] * lost + [max(before, sent_at)]
        self.head = digest

    def first_reaching(self, time: int) -> int | None:
        """The first sequence whose watermark is at or past `time`; None when there is none yet."""
        assert time > self.floor, "the answer was forgotten by drop_before"
        place = bisect_left(self.watermarks, time)
        return None if place == len(self.watermarks) else self.base + 1 + place

    def drop_before(self, sequence: int) -> None:
        """Forget the watermarks before `sequence`."""
        count = min(sequence - 1 - self.base, len(self.watermarks))
        if count > 0:
            self.floor = self.watermarks[count - 1]
            del self.watermarks[:count]
            self.base += count


class Span(NamedTuple):
    """The packets that a window's record rests on: first to last sequence, both included."""

    first: int
    last: int


def closing_span(run: Watermarks, start: int, end: int, lateness_ms: int, future_ms: int) -> Span | None:
    """The range of a window by the closing rule; None while the watermark has not passed end plus lateness."""
    last = run.first_reaching(end + lateness_ms)
    if last is None:
        return None
    first = run.first_reaching(start - future_ms)
    assert first is not None and first <= last
    return Span(first, last)
