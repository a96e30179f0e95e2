"""The state half: what every member computes, record by record in block order, when it applies a block.

The state is small and replicated: the head of each point's chain, the versions of corrected windows, each submitter's
counter, and each subject's emissions. Its digest stands in every block header.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from carbon.packet import ZERO_DIGEST
from carbon.registry import Registry
from consensus.contract import Ruling
from consensus.log.leaf import Refusal


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a point's chain: the end (ms UTC) of its newest window and the commitment of its last record."""

    window_end: int
    commitment: bytes


@dataclass
class State:
    """The replicated state after some block. Grams are integers of CO2e."""

    heads: dict[str, Head] = field(default_factory=dict)
    corrected: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    """(point, window start) to (version, evidence root), of windows that have more than one version."""
    streams: dict[tuple[str, str], int] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)

    def apply(self, registry: Registry, point_id: str, start: int, ruling: Ruling) -> Refusal:
        """Judge a record that passed the evidence half, and take it in when it passes here too."""
        point = registry.points[point_id]
        head = self.heads.get(point_id) or Head(point.start, ZERO_DIGEST)
        refusal = self._judge(head, (point_id, start), ruling)
        if refusal is not Refusal.PASS:
            return refusal
        end = max(head.window_end, start + 1000 * point.window_seconds)
        self.heads[point_id] = Head(end, ruling.commitment)
        self.balances[point.subject] = self.balances.get(point.subject, 0) + ruling.posted_g
        if ruling.version > 1:
            self.corrected[point_id, start] = (ruling.version, ruling.evidence_root)
        return refusal

    def _judge(self, head: Head, key: tuple[str, int], ruling: Ruling) -> Refusal:
        if ruling.previous != head.commitment:
            return Refusal.WRONG_PREDECESSOR
        first = ruling.replaces is None
        if first != (key[1] == head.window_end) or (not first and key[1] > head.window_end):
            return Refusal.WINDOW_NOT_NEXT
        if ruling.replaces is not None:
            version, root = self.corrected.get(key, (1, ruling.replaces.evidence_root))
            if (ruling.replaces.version, ruling.replaces.evidence_root) != (version, root):
                return Refusal.WRONG_VERSION
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
