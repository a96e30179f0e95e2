"""A set of packet sequences as disjoint ranges: as large as its holes are many, however long the run is."""

from bisect import bisect_right
from collections.abc import Iterable


class Sequences:
    """Which sequences of one run have been seen."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """`ranges` are disjoint, both ends included, in any order."""
        ordered = sorted(ranges)
        self._first = [first for first, _ in ordered]
        self._last = [last for _, last in ordered]

    def __contains__(self, sequence: int) -> bool:
        place = bisect_right(self._first, sequence) - 1
        return place >= 0 and sequence <= self._last[place]

    def add(self, sequence: int) -> None:
        """Add one sequence; ranges that it joins become one."""
        if sequence in self:
            return
        place = bisect_right(self._first, sequence)
        joins_left = place > 0 and self._last[place - 1] == sequence - 1
        joins_right = place < len(self._first) and self._first[place] == sequence + 1
        if joins_left and joins_right:
            self._last[place - 1] = self._last.pop(place)
            del self._first[place]
        elif joins_left:
            self._last[place - 1] = sequence
        elif joins_right:
            self._first[place] = sequence
        else:
            self._first.insert(place, sequence)
            self._last.insert(place, sequence)

    def ranges(self) -> list[tuple[int, int]]:
        """The ranges in order, both ends included."""
        return list(zip(self._first, self._last, strict=True))
