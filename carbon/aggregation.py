"""The aggregator of one gateway, pure: packets in any order go in, drafts of records come out, the same every time.

Packets are taken in the order of their sequence, whatever order they arrive in; the watermark moves, and the windows
whose closing packet has come are closed in the order (window start, point). A reading behind its window's closing
packet makes a correction. What comes out is a function of the run's packets alone.

    offer ──▶ waiting ──(its turn)──▶ step: chain checked · watermark · corrections · closings ──▶ drafts, refusals

Only the packets of open windows stay in memory. Of the others a place is kept until the evidence horizon: where to read
them again. `wanted` names the packets that must be supplied before the next step.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from carbon import drafting
from carbon import window as windows
from carbon.charging import Charging
from carbon.drafting import Range
from carbon.packet import Packet
from carbon.proposing import Charged
from carbon.record import Draft, Replaced
from carbon.registry import Registry
from carbon.validation import Reason
from carbon.window import ForkError, PacketFacts, Run, Span, Window, WindowKey

MOST_WAITING = 10_000
"""Packets of a run that may wait for one that is missing."""
SPARE_READINGS, MOST_SPARE = 100_000, 500_000
"""Readings of a gateway, and of all together, in packets kept in memory although no open window needs them: for late
readings. One takes about 140 bytes; a packet without readings counts as one."""


@dataclass(frozen=True)
class Rules:
    """What the genesis says about windows, in ms."""

    lateness_ms: int
    horizon_ms: int
    """How long after its end a window may still be corrected, by the watermark."""

    def __post_init__(self) -> None:
        assert self.horizon_ms >= self.lateness_ms, "a window would be forgotten before it closes"


class Offer(Enum):
    """What became of a packet when it arrived."""

    TAKEN = "taken"
    REPEAT = "repeat"
    FORK = "fork"
    STOPPED = "run_stopped"
    STATED_LOST = "stated_lost"
    TOO_LATE = "too_late"
    GAP_TOO_WIDE = "gap_too_wide"


class Place(NamedTuple):
    """A packet that was taken: where it can be read again, and what its run's chain needs of it."""

    offset: int
    digest: bytes
    sent_at: int
    lost: int


class Missing(NamedTuple):
    """A packet that has not arrived, how many wait for it, and the latest event time among them, ms UTC."""

    sequence: int
    waiting: int
    at: int


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A valid reading that was not counted, or counted too late; `offset` is where its packet was read."""

    facts: PacketFacts
    offset: int
    index: int
    reason: Reason


@dataclass
class Step:
    """What one packet led to."""

    sequence: int
    drafts: list[Draft] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    """Sequences whose places are past the evidence horizon."""
    fork: str | None = None
    """Why the run is stopped: the packet does not continue the chain."""


@dataclass
class _Late:
    """A closed window that late packets held readings of, or that was substituted: its latest version, these packets'
    sequences, and what a record that makes it measured would replace."""

    version: int = 1
    sequences: list[int] = field(default_factory=list)
    charged: Replaced | None = None

    def dump(self) -> list[Any]:
        """It as a JSON value."""
        charged = self.charged and [self.charged.version, self.charged.evidence_root.hex(), self.charged.emission_g]
        return [self.version, self.sequences, *([charged] if charged else [])]

    @classmethod
    def load(cls, version: int, sequences: list[int], charged: list[Any] | None = None) -> "_Late":
        """What `dump` gave."""
        replaced = charged and Replaced(charged[0], bytes.fromhex(charged[1]), charged[2])
        return cls(version, sequences, replaced or None)


class GatewayWindows:
    """The windows of one run of a gateway. `channel` is the genesis digest."""

    def __init__(self, gateway: str, run: int, registry: Registry, channel: bytes, rules: Rules) -> None:
        self.gateway, self.number = gateway, run
        self.stopped = False
        self.places: dict[int, Place] = {}
        self._points = {point.id: point for point in registry.points_of[gateway]}
        self._channel, self._rules, self._future_ms = channel, rules, registry.limits.future_ms
        self._run = Run()
        self._next = {point.id: point.start for point in self._points.values()}
        self._since = dict(self._next)
        """The first window of each point that is not of an earlier run."""
        self._late: dict[WindowKey, _Late] = {}
        self._again: dict[WindowKey, list[int]] = {}
        """Closed windows to late packets that correct them once more, before the next packet does."""
        self.charging = Charging(self._points.values(), channel, rules.horizon_ms)
        self._facts: dict[int, PacketFacts] = {}
        self._most_spare = min(SPARE_READINGS, MOST_SPARE // len(registry.gateways))
        self._waiting: dict[int, int] = {}
        """First sequence that a packet claims, its losses included, to its own sequence."""
        self._next_closing = self._due()
        self._unreadable: set[int] = set()
        self._told_missing: Missing | None = None

    @property
    def last(self) -> int:
        """Sequence of the last packet that was taken in order."""
        return self._run.last

    @property
    def waiting(self) -> int:
        """How many packets wait for their turn."""
        return len(self._waiting)

    def missing(self) -> Missing | None:
        """The packet that keeps a window open although a later one would close it; told once, and after a restart."""
        sequence = self.last + 1
        if self.stopped or not self._waiting or (self._told_missing and sequence == self._told_missing.sequence):
            return None
        latest = self.places[self._waiting[max(self._waiting)]].sent_at
        if latest < self._next_closing:
            return None
        self._told_missing = Missing(sequence, self.waiting, latest)
        return self._told_missing

    def found(self) -> Missing | None:
        """The packet that was told to be missing, once it has come; told once, and not after a restart."""
        told = self._told_missing
        if told is None or self.last < told.sequence:
            return None
        self._told_missing = None
        return told

    # -- arrival

    def offer(self, facts: PacketFacts, offset: int) -> Offer:
        """Take a packet of this run that was read at `offset`; it gets its turn in `step`."""
        packet = facts.packet
        assert (packet.gateway, packet.run) == (self.gateway, self.number)
        found = self._judge(packet)
        if found is Offer.FORK:
            self.stopped = True
        if found is Offer.TAKEN:
            self.places[packet.sequence] = Place(offset, packet.digest, packet.sent_at, packet.lost)
            self._waiting[packet.sequence - packet.lost] = packet.sequence
            self._facts[packet.sequence] = facts
            self._trim()
        return found

    def _judge(self, packet: Packet) -> Offer:
        place, first = self.places.get(packet.sequence), packet.sequence - packet.lost
        if place is not None:
            return Offer.REPEAT if place.digest == packet.digest else Offer.FORK
        if self.stopped:
            return Offer.STOPPED
        if packet.sequence <= self.last:
            return Offer.STATED_LOST if packet.sequence > self._run.base else Offer.TOO_LATE
        if any(start <= packet.sequence < end for start, end in self._waiting.items()):
            return Offer.STATED_LOST
        if first <= self.last or any(first <= end and start <= packet.sequence for start, end in self._waiting.items()):
            # it claims a place in the chain, or states a loss, where the gateway had signed another packet
            return Offer.FORK
        return Offer.TAKEN if len(self._waiting) < MOST_WAITING else Offer.GAP_TOO_WIDE

    # -- packets that must be read again

    def wanted(self) -> list[int]:
        """The sequences to be supplied next, in order; their places say where they are. Ask until there are none."""
        turn = self._waiting.get(self.last + 1)
        if turn is None or self.stopped:
            return []
        if turn not in self._facts:
            return [turn] if turn not in self._unreadable else []
        needed = set(self._open_packets())
        for key in [*self._late_keys(self._facts[turn]), *self._again]:
            if not self._too_late(key):
                needed.update(self._evidence_of(key), self._again.get(key, ()))
        return sorted(needed - self._facts.keys() - self._unreadable)

    def supply(self, facts: PacketFacts) -> None:
        """Put a packet that was read again into memory."""
        assert self.places[facts.packet.sequence].digest == facts.packet.digest
        self._facts[facts.packet.sequence] = facts

    def unreadable(self, sequence: int) -> None:
        """A packet can't be read again: what is late for a window that rests on it is too late."""
        self._unreadable.add(sequence)

    def _open_packets(self) -> Iterator[int]:
        first = self._opening()
        return (k for k in range(first, self.last + 1) if k in self.places)

    def _opening(self) -> int:
        """The first packet that an open window may rest on."""
        start = min(self._next.values(), default=1 << 62) - self._future_ms
        first = self._run.first_reaching(start) if start > self._run.floor else self._run.base + 1
        return self.last + 1 if first is None else first

    def _evidence_of(self, key: WindowKey) -> list[int]:
        """The packets that a closed window's latest version rests on."""
        span = self._span(key)
        assert span is not None
        late = self._late[key].sequences if key in self._late else []
        return [k for k in range(span.first, span.last + 1) if k in self.places] + late

    # -- a packet's turn

    def step(self) -> Step | None:
        """Take the next packet in sequence; None when it has not arrived. Nothing may be `wanted` any more."""
        turn = self._waiting.get(self.last + 1)
        if turn is None or self.stopped or turn not in self._facts:
            return None
        facts, step = self._facts[turn], Step(turn)
        try:
            assert self._run.follows(facts.packet)
        except ForkError as error:
            self.stopped, step.fork = True, str(error)
            return step
        del self._waiting[self.last + 1]
        self._correct_once_more(step)
        late = sorted(self._late_keys(facts), key=_by_start)
        too_late = [key for key in late if self._too_late(key)]
        watermark = self._run.append(facts.packet)
        for key in late:
            if key in too_late:
                self._refuse(key, facts, step)
            else:
                self._correct(key, facts, step)
        if watermark >= self._next_closing:
            self._close(watermark, step)
        self._forget(watermark, step)
        return step

    def _late_keys(self, facts: PacketFacts) -> list[WindowKey]:
        return [key for key in facts.groups if key[1] < self._next[key[0]]]

    def _refuse(self, key: WindowKey, facts: PacketFacts, step: Step) -> None:
        group = facts.groups[key]
        offset = self.places[facts.packet.sequence].offset
        step.refused += [
            Refused(facts, offset, index, Reason.TOO_LATE) for index in facts.order[group.start : group.stop]
        ]

    def _correct(self, key: WindowKey, facts: PacketFacts, step: Step) -> None:
        entry = self._late.setdefault(key, _Late())
        entry.sequences.append(facts.packet.sequence)
        point, range_ = self._points[key[0]], self._range(key)
        late = [self._facts[k] for k in entry.sequences]
        before, after = drafting.corrected(point, key[1], range_, late)
        self._report(after, [facts], step)
        if not drafting.says_more(point, before, after):
            return
        draft = drafting.correction(point, key[1], entry.version + 1, self._channel, range_, late)
        # while a substituted hour is missing still, its value stays
        if entry.charged is not None and self.charging.is_missing(draft):
            return
        entry.version += 1
        if entry.charged is not None:
            draft.cause, draft.replaces, entry.charged = "MEASURED", entry.charged, None
        if point.id in self.charging:
            self.charging.corrected(draft, [*range_.packets, *late])
        step.drafts.append(draft)

    def _close(self, watermark: int, step: Step) -> None:
        closing = sorted(self._due_windows(watermark), key=_by_start)
        ranges: dict[tuple[int, int], Range] = {}
        for key in closing:
            point = self._points[key[0]]
            place = (key[1], point.window_seconds)
            if place not in ranges:
                ranges[place] = self._range(key)
            draft = drafting.first_version(point, key[1], ranges[place])
            if draft.window.dropped:
                self._report(draft.window, ranges[place].packets, step)
            step.drafts.append(draft)
            self._next[key[0]] = key[1] + 1000 * point.window_seconds
            if point.id in self.charging:
                self._charge(draft, ranges[place], step)
            self._correct_again(key, ranges[place].evidence[-1].last + 1, step)
        self._next_closing = self._due()

    def _correct_again(self, key: WindowKey, behind: int, step: Step) -> None:
        """Correct a window that was open once more by the packets from `behind` on, which came too late for it."""
        self._late.pop(key, None)
        for sequence in range(behind, self.last + 1):
            if sequence in self.places and key in self._facts[sequence].groups:
                self._correct(key, self._facts[sequence], step)

    def _correct_once_more(self, step: Step) -> None:
        for key, sequences in self._again.items():
            for sequence in () if self._too_late(key) else sequences:
                if sequence in self._facts:
                    self._correct(key, self._facts[sequence], step)
        self._again.clear()

    def _charge(self, draft: Draft, range_: Range, step: Step) -> None:
        for charged in self.charging.closed(draft, range_.packets):
            entry = self._late.setdefault((charged.point, charged.window_start), _Late())
            entry.version = charged.version
            entry.charged = Replaced(charged.version, charged.window.evidence_root, charged.emission_g)
            step.drafts.append(charged)

    def _due_windows(self, watermark: int) -> Iterator[WindowKey]:
        for name, start in self._next.items():
            length = 1000 * self._points[name].window_seconds
            for begin in range(start, watermark - self._rules.lateness_ms - length + 1, length):
                yield name, begin

    def _due(self) -> int:
        """The watermark at which the next window closes."""
        ends = (start + 1000 * self._points[name].window_seconds for name, start in self._next.items())
        return min(ends, default=1 << 62) + self._rules.lateness_ms

    def _report(self, window: Window, packets: Sequence[PacketFacts], step: Step) -> None:
        """Report what a window dropped of these packets."""
        by_sequence = {facts.packet.sequence: facts for facts in packets}
        for d in window.dropped:
            if d.sequence in by_sequence:
                step.refused.append(Refused(by_sequence[d.sequence], self.places[d.sequence].offset, d.index, d.reason))

    # -- ranges

    def _span(self, key: WindowKey) -> Span | None:
        name, start = key
        if start - self._future_ms <= self._run.floor:
            return None
        end = start + 1000 * self._points[name].window_seconds
        return windows.closing_span(self._run, start, end, self._rules.lateness_ms, self._future_ms)

    def _range(self, key: WindowKey) -> Range:
        span = self._span(key)
        assert span is not None
        packets = [self._facts[k] for k in range(span.first, span.last + 1) if k in self.places]
        return drafting.range_of(self._channel, span, packets)

    # -- the evidence horizon, and memory

    def _too_late(self, key: WindowKey) -> bool:
        """Whether the watermark before the packet whose turn it is has passed the window's evidence horizon; or an
        earlier run's packets have made its record."""
        if key[1] < self._since[key[0]]:
            return True
        end = key[1] + 1000 * self._points[key[0]].window_seconds
        if self._span(key) is None or self._run.watermark > end + self._rules.horizon_ms:
            return True
        return bool(self._unreadable) and not self._unreadable.isdisjoint(self._evidence_of(key))

    def _forget(self, watermark: int, step: Step) -> None:
        longest = 1000 * max((point.window_seconds for point in self._points.values()), default=0)
        oldest = watermark - self._rules.horizon_ms - longest - self._future_ms
        first = self._run.first_reaching(oldest) if oldest > self._run.floor else None
        if first is not None and first > self._run.base + 1:
            step.forgotten = [k for k in range(self._run.base + 1, first) if k in self.places]
            self._run.drop_before(first)
            for sequence in step.forgotten:
                del self.places[sequence]
            self._late = {key: late for key, late in self._late.items() if self._span(key) is not None}
        self._trim()

    def _trim(self) -> None:
        opening = self._opening()
        room = self._most_spare
        for sequence in [k for k in reversed(self._facts) if k < opening or k > self.last + 1]:
            room -= max(1, len(self._facts[sequence].packet))
            if room < 0:
                del self._facts[sequence]

    # -- another registry

    def reopen(self, starts: Mapping[str, int], uncharged: Mapping[WindowKey, Charged]) -> None:
        """Draft the windows of points again from these starts on, when the next packet comes; windows that are
        `uncharged` have the version before their charge, and what came late behind that corrects them again."""
        self._next |= {name: start for name, start in starts.items() if start < self._next[name]}
        self._since |= {name: start for name, start in starts.items() if start < self._since[name]}
        self._next_closing = self._due()
        for key, (version, packets) in uncharged.items():
            late = self._late.get(key)
            if late is not None and key[1] < self._next[key[0]]:
                self._again[key] = late.sequences[packets:]
                self._late[key] = _Late(version - 1, late.sequences[:packets])

    def follow(self, before: Mapping[str, Any]) -> None:
        """Go on where an earlier run of the gateway, whose state this was, had come to."""
        self._next |= {name: start for name, start in before["next"] if name in self._points}
        self._since = dict(self._next)
        self._next_closing = self._due()

    # -- restart

    def dump(self) -> dict[str, Any]:
        """All that a restart needs beside `places`, as a JSON value."""
        return {
            "run": self.number,
            "stopped": self.stopped,
            "base": self._run.base,
            "floor": self._run.floor,
            "last": self.last,
            "next": list(self._next.items()),
            "since": list(self._since.items()),
            "late": [[*key, *late.dump()] for key, late in self._late.items()],
            "again": [[*key, sequences] for key, sequences in self._again.items()],
        }

    def load(self, data: dict[str, Any], places: dict[int, Place]) -> None:
        """Go on from what `dump` gave and the places that were kept; later ones wait for their turn."""
        self.stopped, self.places = data["stopped"], dict(places)
        self._run = Run(base=data["base"], floor=data["floor"])
        self._next |= {name: start for name, start in data["next"] if name in self._points}
        self._since |= {name: start for name, start in data.get("since", ()) if name in self._points}
        self._late = {(name, start): _Late.load(*late) for name, start, *late in data["late"]}
        self._again = {(name, start): sequences for name, start, sequences in data.get("again", ())}
        for sequence, place in sorted(places.items()):
            if data["base"] < sequence <= data["last"]:
                self._run.extend(sequence - 1 - self.last, place.sent_at, place.digest)
            elif sequence > data["last"]:
                self._waiting[sequence - place.lost] = sequence
        assert self.last == data["last"], f"{self.gateway}: packets up to {data['last']}, places up to {self.last}"
        self._next_closing = self._due()


def _by_start(key: WindowKey) -> tuple[int, str]:
    return key[1], key[0]
