"""Payloads on their way to the leaves that commit to them, in bounded memory.

A payload is known by its commitment, SHA-256(salt ‖ payload), never by the key or height it came with: what is not
what a verified leaf commits to is never looked at. Payloads that a waiting block asks for are always kept; others,
which came before their block, as far as there is room. What there was no room for is read again later.
"""

from collections.abc import Iterable

from carbon.record import commitment


class PayloadPool:
    """The payloads that have no block yet, and the commitments that wait for a payload. `limit` is in payloads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._wanted: set[bytes] = set()
        self._held: dict[bytes, bytes] = {}
        self.dropped_from: int | None = None
        """The least offset that was dropped for want of room."""

    def __len__(self) -> int:
        return len(self._held)

    def offer(self, salt: bytes, payload: bytes, offset: int, *, settled: bool) -> None:
        """Keep a payload if there is use and room for it. `settled` says that its block is said to be long written."""
        if settled and not self._wanted:
            return
        key = commitment(salt, payload)
        if key in self._wanted:
            self._wanted.discard(key)
            self._held[key] = payload
        elif settled or key in self._held:
            return
        elif len(self._held) < self._limit:
            self._held[key] = payload
        elif self.dropped_from is None or offset < self.dropped_from:
            self.dropped_from = offset

    def want(self, commitments: Iterable[bytes]) -> None:
        """A block with these commitments waits."""
        self._wanted.update(key for key in commitments if key not in self._held)

    def __contains__(self, commitment_: bytes) -> bool:
        return commitment_ in self._held

    def take(self, commitments: Iterable[bytes]) -> dict[bytes, bytes]:
        """Take those payloads out. Two leaves may commit to one payload."""
        keys = set(commitments)
        return {key: self._held.pop(key) for key in keys}
