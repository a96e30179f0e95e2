"""The state half: what every member computes, record by record in block order, when it applies a block.

The state is small and replicated: the head of each point's chain, the versions of corrected windows, each submitter's
counter, and each subject's emissions. Its digest stands in every block header.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from carbon.packet import ZERO_DIGEST
from carbon.registry import Point
from consensus.contract import Ruling
from consensus.log.leaf import Refusal


class Head(NamedTuple):
    """The last link of a point's chain: the end (ms UTC) of its newest window and the commitment of its last record."""

    window_end: int
    commitment: bytes


class Chain(NamedTuple):
    """What the state half knows of a point: its subject, the length of its windows, the start of the first (ms UTC)."""

    point: str
    subject: str
    window_ms: int
    first: int

    @classmethod
    def of(cls, point: Point) -> "Chain":
        """The chain of a registered point."""
        return cls(point.id, point.subject, 1000 * point.window_seconds, point.start)


@dataclass
class State:
    """The replicated state after some block. Grams are integers of CO2e."""

    heads: dict[str, Head] = field(default_factory=dict)
    corrected: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    """(point, window start) to (version, evidence root), of windows that have more than one version."""
    streams: dict[tuple[str, str], int] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)

    def apply(self, chain: Chain, start: int, ruling: Ruling) -> Refusal:
        """Judge the record of a window that passed the evidence half, and take it in when it passes here too."""
        point = chain.point
        window_end, commitment = self.heads.get(point) or (chain.first, ZERO_DIGEST)
        if ruling.previous != commitment:
            return Refusal.WRONG_PREDECESSOR
        if ruling.replaces is None:
            if start != window_end:
                return Refusal.WINDOW_NOT_NEXT
            window_end = start + chain.window_ms
        elif start >= window_end:
            return Refusal.WINDOW_NOT_NEXT
        else:
            version, root = self.corrected.get((point, start), (1, ruling.replaces.evidence_root))
            if (ruling.replaces.version, ruling.replaces.evidence_root) != (version, root):
                return Refusal.WRONG_VERSION
            self.corrected[point, start] = (ruling.version, ruling.evidence_root)
        self.heads[point] = Head(window_end, ruling.commitment)
        self.balances[chain.subject] = self.balances.get(chain.subject, 0) + ruling.posted_g
        return Refusal.PASS

    def text(self) -> bytes:
        """The canonical text of the state: one line an entry, sorted."""
        lines = [f"point {p} {h.window_end} {h.commitment.hex()}" for p, h in self.heads.items()]
        lines += [f"corrected {p} {w} {v} {root.hex()}" for (p, w), (v, root) in self.corrected.items()]
        lines += [f"stream {submitter} {stream} {n}" for (submitter, stream), n in self.streams.items()]
        lines += [f"emissions {subject} {grams}" for subject, grams in self.balances.items()]
        return "".join(line + "\n" for line in sorted(lines)).encode()

    @classmethod
    def load(cls, text: bytes) -> "State":
        """The state of its canonical text. Raises ValueError."""
        state = cls()
        for line in text.decode().splitlines():
            match line.split(" "):
                case ["point", point, end, commitment]:
                    state.heads[point] = Head(int(end), bytes.fromhex(commitment))
                case ["corrected", point, start, version, root]:
                    state.corrected[point, int(start)] = (int(version), bytes.fromhex(root))
                case ["stream", submitter, stream, number]:
                    state.streams[submitter, stream] = int(number)
                case ["emissions", subject, grams]:
                    state.balances[subject] = int(grams)
                case _:
                    raise ValueError(f"not a line of a state: {line!r}")
        return state


def digest(text: bytes) -> bytes:
    """The state digest of a block header."""
    return sha256(text).digest()
