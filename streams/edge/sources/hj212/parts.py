"""Messages in parts, without IO: where a logger cuts one message's data, the parts are put together again.

The parts have one QN and CN; their data is joined as it was cut, and the bytes that are kept are the frames of all of
them, in order. A whole that is complete stays for the timeout, so that a part that comes again, because the answer was
lost, gives the same whole again.
"""

from typing import NamedTuple

from streams.edge.sources.hj212.message import Message, MessageError

MAX_PARTS = 32
MAX_OPEN = 4
"""Messages of one device whose parts are held at a time."""
TIMEOUT_SECONDS = 120.0
"""Longer than all retries of a part, three of 10 s (table 1), and of the one before it."""


class Whole(NamedTuple):
    """All parts of a message: their frames in order, and the data that they make."""

    raw: bytes
    data: str


class _Open(NamedTuple):
    since: float
    wanted: int
    parts: dict[int, Message]


class Parts:
    """The messages in parts of one device. `dropped` counts those that were given up incomplete."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], _Open] = {}
        self.dropped = 0

    def add(self, message: Message, now: float) -> Whole | None:
        """The whole message, once this is its last missing part. `now` in seconds. Raises MessageError `wrong_part`."""
        if not message.qn or message.parts > MAX_PARTS:
            raise MessageError("wrong_part", f"{message.parts} parts (at most {MAX_PARTS}), QN {message.qn!r}")
        self._expire(now)
        key = (message.qn, message.cn)
        if key in self._open and self._open[key].wanted != message.parts:
            self._drop(key)
        if key not in self._open:
            if len(self._open) >= MAX_OPEN:
                self._drop(next(iter(self._open)))
            self._open[key] = _Open(now, message.parts, {})
        parts = self._open[key].parts
        parts[message.part] = message
        if len(parts) < message.parts:
            return None
        ordered = [parts[number] for number in range(1, message.parts + 1)]
        return Whole(b"".join(part.raw for part in ordered), "".join(part.data for part in ordered))

    def _expire(self, now: float) -> None:
        for key in [key for key, one in self._open.items() if now - one.since > TIMEOUT_SECONDS]:
            self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        one = self._open.pop(key)
        self.dropped += len(one.parts) < one.wanted
