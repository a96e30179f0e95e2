"""Sets of integers as merged half-open ranges: serial numbers of credits, instants that a period covers."""

from itertools import pairwise

Ranges = tuple[tuple[int, int], ...]
"""Rising, none touching the next."""


def overlaps(ranges: Ranges, first: int, end: int) -> bool:
    """Whether any of first … end - 1 is in the set."""
    return any(low < end and first < high for low, high in ranges)


def covers(ranges: Ranges, first: int, end: int) -> bool:
    """Whether all of first … end - 1 are in the set."""
    return any(low <= first and end <= high for low, high in ranges)


def added(ranges: Ranges, first: int, end: int) -> Ranges:
    """The set with first … end - 1."""
    apart = [(low, high) for low, high in ranges if high < first or end < low]
    touching = [(low, high) for low, high in ranges if high >= first and end >= low]
    low = min([first, *(low for low, _ in touching)])
    high = max([end, *(high for _, high in touching)])
    return tuple(sorted([*apart, (low, high)]))


def without(ranges: Ranges, first: int, end: int) -> Ranges:
    """The set without first … end - 1."""
    parts = ((low, min(high, first)) for low, high in ranges), ((max(low, end), high) for low, high in ranges)
    return tuple(sorted((low, high) for part in parts for low, high in part if low < high))


def text(ranges: Ranges) -> str:
    """One word: `1-101,201-301`."""
    return ",".join(f"{low}-{high}" for low, high in ranges)


def parse(word: str) -> Ranges:
    """The set of a word that `text` made. Raises ValueError."""
    pairs = [part.rpartition("-") for part in word.split(",")]
    ranges = tuple((int(low), int(high)) for low, _, high in pairs)
    if any(low >= high for low, high in ranges) or any(one[1] >= two[0] for one, two in pairwise(ranges)):
        raise ValueError(f"not ranges: {word!r}")
    return ranges
