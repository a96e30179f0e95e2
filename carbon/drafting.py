"""Drafts of records from packets: the same for the aggregator, which proposes them, and for every member, which checks.

A first version rests on the packets of the window's span; a correction on these and every late packet with readings of
the window, each named as a range of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from carbon import window as windows
from carbon.emission import emission_g
from carbon.record import Draft, EvidenceRange, RecordSalts, Replaced, Tier
from carbon.registry import Point
from carbon.substitution import is_stop
from carbon.validity import is_valid_hour, whole_hour
from carbon.window import PacketFacts, Span, Window


@dataclass(frozen=True, slots=True)
class Range:
    """The packets of one window's span, and what all records on them share."""

    packets: list[PacketFacts]
    evidence: tuple[EvidenceRange, ...]
    salts: RecordSalts


def _salts(channel: bytes, packets: Sequence[PacketFacts]) -> RecordSalts:
    return RecordSalts(channel, [facts.packet.salt for facts in packets])


def range_of(channel: bytes, span: Span, packets: list[PacketFacts]) -> Range:
    """The range of a span, from the packets of it that are not stated lost; `channel` is the genesis digest."""
    last = packets[-1].packet
    named = EvidenceRange(last.gateway, last.run, span.first, span.last, last.digest)
    return Range(packets, (named,), _salts(channel, packets))


def first_version(point: Point, start: int, range_: Range) -> Draft:
    """The first record of a window that starts at `start`, ms UTC."""
    window = windows.aggregate((point.id, start), range_.packets)
    grams = _grams(point, window)
    salt = range_.salts.salt(point.id, start, 1)
    return Draft(point.id, start, window, range_.evidence, salt, grams, stopped=_is_stop(point, window))


def _is_stop(point: Point, window: Window) -> bool:
    return window.stopped > 0 and is_stop(window.count, window.stopped, point.expected)


def says_more(point: Point, before: Window, after: Window) -> bool:
    """Whether a window is to be corrected: it counts more, or shows that the plant stood still and not that its meter
    failed."""
    return after.count > before.count or (_is_stop(point, after) and not _is_stop(point, before))


def _grams(point: Point, window: Window) -> int:
    """What a window emits, g CO2e. Of a CEMS mass a valid hour counts as a whole one."""
    if not point.is_mass or not is_valid_hour(window.count, point.expected):
        return emission_g(window.quantity, point.ratio)
    return whole_hour(window.quantity, window.count, point.expected, point.ratio)


def corrected(point: Point, start: int, range_: Range, late: Sequence[PacketFacts]) -> tuple[Window, Window]:
    """A window before and after its last late packet. It is corrected only if that packet made it say more."""
    key, packets = (point.id, start), [*range_.packets, *late]
    return windows.aggregate(key, packets[:-1]), windows.aggregate(key, packets)


def correction(
    point: Point, start: int, version: int, channel: bytes, range_: Range, late: Sequence[PacketFacts]
) -> Draft:
    """The record that restates a window with all its late packets so far."""
    before, after = corrected(point, start, range_, late)
    own = (facts.packet for facts in late)
    named = tuple(EvidenceRange(p.gateway, p.run, p.sequence, p.sequence, p.digest) for p in own)
    salt = _salts(channel, [*range_.packets, *late]).salt(point.id, start, version)
    replaced = Replaced(version - 1, before.evidence_root, _grams(point, before))
    grams = _grams(point, after)
    evidence, stopped = range_.evidence + named, _is_stop(point, after)
    return Draft(point.id, start, after, evidence, salt, grams, version, "LATE", replaced, stopped=stopped)


def next_salt(channel: bytes, packets: Sequence[PacketFacts], draft: Draft) -> bytes:
    """The salt of the version that would follow `draft` on the same packets."""
    return _salts(channel, packets).salt(draft.point, draft.window_start, draft.version + 1)


def substituted(point: Point, latest: Draft, salt: bytes, value: int, tier: Tier) -> Draft:
    """The record that charges a missing hour `value` for every reading that it should hold.

    It rests on the packets of the hour's latest version, whose next salt is `salt`.
    """
    quantity = value * point.expected
    window = Window(latest.window.count, quantity, latest.window.evidence_root)
    replaced = Replaced(latest.version, window.evidence_root, latest.emission_g)
    grams = emission_g(quantity, point.ratio)
    name, version = (point.id, latest.window_start), latest.version + 1
    return Draft(*name, window, latest.evidence, salt, grams, version, "SUBSTITUTED", replaced, tier)
