"""The state half: what every member computes, record by record in block order, when it applies a block.

The state is small and replicated: the head of each point's chain, the versions of corrected windows, each submitter's
counter, each subject's emissions, the book of submissions, and the changes of the committee and of the registry. Its
digest stands in every block header.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from carbon.amendment import Amendment
from carbon.hours import Hours
from carbon.ledger.book import Book
from carbon.packet import ZERO_DIGEST
from carbon.record import Replaced
from carbon.refusal import Refusal
from carbon.registry import Point
from carbon.submission import Submission
from consensus.contract import Ruling
from consensus.log.committee import AHEAD, FURTHEST, Change, Committee
from consensus.substitution import Substitutions


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


class Registered(NamedTuple):
    """A registry on the ledger: the height of the block with its record, SHA-256 of its file."""

    recorded: int
    digest: bytes


@dataclass
class State:
    """The replicated state after some block. Grams are integers of CO2e.

    It grows with points, submitters and subjects, never with records: a window can be corrected until the head of its
    chain is `horizon_ms`, the genesis' evidence horizon, past the window's end, and its versions are known as long.
    """

    horizon_ms: int
    utc_offset_minutes: int = 0
    """At which compliance years begin, as the genesis states it."""
    heads: dict[str, Head] = field(default_factory=dict)
    corrected: dict[str, dict[int, tuple[int, bytes]]] = field(default_factory=dict)
    """Point to window start to (version, evidence root), of windows that have more than one version."""
    streams: dict[tuple[str, str], int] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    changes: dict[int, bytes] = field(default_factory=dict)
    """Epoch to the change (canonical membership-change) that begins it."""
    registries: dict[int, Registered] = field(default_factory=dict)
    """By the first height at which each is in force; that of the genesis, 0, is not among them."""
    closing: tuple[str, ...] = ()
    """Points that the registry to come closes to corrections."""
    closed: dict[str, int] = field(default_factory=dict)
    """Point to the end (ms UTC) of its windows that are corrected no more."""
    substitutions: Substitutions = field(default_factory=Substitutions)
    book: Book = field(default_factory=Book)
    """Of submissions."""
    _shown: list[Head | None] = field(default_factory=list, init=False, repr=False, compare=False)
    """The heads that stood in the last text, in the order of `heads`; below, their lines."""
    _lines: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.book.utc_offset_minutes = self.utc_offset_minutes

    def enact(self, change: Change, height: int) -> Refusal:
        """Judge a change of the committee that passed the evidence half at `height`, and take it in."""
        epoch, first = change.committee.epoch, change.committee.first
        if epoch in self.changes:
            return Refusal.CHANGE_PENDING
        if not height + AHEAD <= first <= height + FURTHEST:
            return Refusal.WRONG_FIRST_HEIGHT
        self.changes[epoch] = change.encode()
        return Refusal.PASS

    def begin(self, height: int) -> None:
        """Before the records of a block: a registry that is in force from this height on takes effect."""
        if height in self.registries:
            closed = {point: self.heads[point].window_end for point in self.closing if point in self.heads}
            self.closed |= closed
            self.substitutions.close(closed)
            self.closing = ()

    def registry_at(self, height: int) -> int:
        """Registry height of the registry in force at a height."""
        return max((first for first in self.registries if first <= height), default=0)

    def amend(self, change: Amendment, height: int) -> Refusal:
        """Judge a change of the registry that passed the evidence half at `height`, and take it in."""
        if max(self.registries, default=0) > height:
            return Refusal.CHANGE_PENDING
        if change.base != self.registry_at(height):
            return Refusal.OTHER_REGISTRY
        if not height + AHEAD <= change.first <= height + FURTHEST:
            return Refusal.WRONG_FIRST_HEIGHT
        self.registries[change.first] = Registered(height, change.digest)
        self.closing = change.closed
        return Refusal.PASS

    def submit(self, submission: Submission, registry_height: int, height: int, time_ms: int) -> Refusal:
        """Judge a submission that passed the evidence half under a registry, and take it in.

        `height` and `time_ms`, UTC, are those of its block.
        """
        if registry_height != self.registry_at(height):
            return Refusal.OTHER_REGISTRY
        return self.book.apply(submission, time_ms)[0]

    def committees(self, genesis: Committee) -> tuple[Committee, ...]:
        """The committees of all epochs up to here, one that is to come included."""
        return (genesis, *(Change.decode(data).committee for _, data in sorted(self.changes.items())))

    def apply(self, chain: Chain, start: int, ruling: Ruling) -> Refusal:
        """Judge the record of a window that passed the evidence half, and take it in when it passes here too."""
        point = chain.point
        window_end, commitment = self.heads.get(point) or (chain.first, ZERO_DIGEST)
        if ruling.previous != commitment:
            return Refusal.WRONG_PREDECESSOR
        told = ruling.told
        if told is not None:
            refusal = self.substitutions.refusal(point, start, told, ruling.replaces, self.horizon_ms)
            if refusal is not Refusal.PASS:
                return refusal
        if ruling.replaces is not None:
            refusal = self._correct(chain, start, window_end, ruling, ruling.replaces)
            if refusal is not Refusal.PASS:
                return refusal
        elif start != window_end:
            return Refusal.WINDOW_NOT_NEXT
        else:
            window_end = start + chain.window_ms
            if point in self.corrected:
                self._forget(chain, window_end)
        if told is not None:
            grams = ruling.replaces and ruling.replaces.emission_g + ruling.posted_g
            self.substitutions.take(point, start, told, grams, self.horizon_ms)
        self.heads[point] = Head(window_end, ruling.commitment)
        self.balances[chain.subject] = self.balances.get(chain.subject, 0) + ruling.posted_g
        return Refusal.PASS

    def advance(self, chain: Chain, window_end: int, commitment: bytes, posted_g: int) -> None:
        """Take in first versions that follow each other from the head on, together: what stands after the last one.

        For points without substitution.
        """
        if chain.point in self.corrected:
            self._forget(chain, window_end)
        self.heads[chain.point] = Head(window_end, commitment)
        self.balances[chain.subject] = self.balances.get(chain.subject, 0) + posted_g

    def _correct(self, chain: Chain, start: int, head: int, ruling: Ruling, replaced: Replaced) -> Refusal:
        if start >= head:
            return Refusal.WINDOW_NOT_NEXT
        if self._is_past(chain, start, head):
            return Refusal.TOO_LATE
        if start < self.closed.get(chain.point, start):
            return Refusal.CLOSED
        known = self.corrected.get(chain.point, {}).get(start, (1, replaced.evidence_root))
        if (replaced.version, replaced.evidence_root) != known:
            return Refusal.WRONG_VERSION
        self.corrected.setdefault(chain.point, {})[start] = (ruling.version, ruling.evidence_root)
        return Refusal.PASS

    def _is_past(self, chain: Chain, start: int, head: int) -> bool:
        return start + chain.window_ms + self.horizon_ms < head

    def _forget(self, chain: Chain, head: int) -> None:
        versions = self.corrected.pop(chain.point).items()
        kept = {start: version for start, version in versions if not self._is_past(chain, start, head)}
        self.substitutions.forget(chain.point, lambda start: self._is_past(chain, start, head))
        if kept:
            self.corrected[chain.point] = kept

    def text(self) -> bytes:
        """The canonical text of the state: one line an entry, sorted."""
        lines = self._points() + [
            f"corrected {point} {start} {version} {root.hex()}"
            for point, versions in self.corrected.items()
            for start, (version, root) in versions.items()
        ]
        lines += [f"stream {submitter} {stream} {n}" for (submitter, stream), n in self.streams.items()]
        lines += [f"emissions {subject} {grams}" for subject, grams in self.balances.items()]
        lines += self.substitutions.lines()
        lines += self.book.lines()
        lines += [f"committee {epoch} {change.hex()}" for epoch, change in self.changes.items()]
        lines += [f"registry {first} {known.recorded} {known.digest.hex()}" for first, known in self.registries.items()]
        lines += [f"closing {point}" for point in self.closing]
        lines += [f"closed {point} {end}" for point, end in self.closed.items()]
        return "\n".join([*sorted(lines), ""]).encode()

    def _points(self) -> list[str]:
        """The lines of the points, nearly in their order; those are new whose head is another than the last time."""
        if len(self._shown) != len(self.heads):  # no point ever leaves
            self.heads = dict(sorted(self.heads.items()))
            self._shown, self._lines = [None] * len(self.heads), [""] * len(self.heads)
        for place, ((point, head), shown) in enumerate(zip(self.heads.items(), self._shown, strict=True)):
            if head is not shown:
                self._shown[place] = head
                self._lines[place] = f"point {point} {head.window_end} {head.commitment.hex()}"
        return self._lines

    @classmethod
    def load(cls, text: bytes, horizon_ms: int, utc_offset_minutes: int = 0) -> "State":
        """The state of its canonical text. Raises ValueError."""
        state = cls(horizon_ms, utc_offset_minutes)
        for line in text.decode().splitlines():
            match line.split(" "):
                case ["point", point, end, commitment]:
                    state.heads[point] = Head(int(end), bytes.fromhex(commitment))
                case ["corrected", point, start, version, root]:
                    state.corrected.setdefault(point, {})[int(start)] = (int(version), bytes.fromhex(root))
                case ["hours", point, *hours]:
                    state.substitutions.hours[point] = Hours.parse(hours)
                case ["substituted", point, start, grams]:
                    state.substitutions.charged.setdefault(point, {})[int(start)] = int(grams)
                case ["book", *words]:
                    state.book.read_line(words)
                case ["stream", submitter, stream, number]:
                    state.streams[submitter, stream] = int(number)
                case ["emissions", subject, grams]:
                    state.balances[subject] = int(grams)
                case ["committee", epoch, change]:
                    state.changes[int(epoch)] = bytes.fromhex(change)
                case ["registry", first, recorded, digest_]:
                    state.registries[int(first)] = Registered(int(recorded), bytes.fromhex(digest_))
                case ["closing", point]:
                    state.closing += (point,)
                case ["closed", point, end]:
                    state.closed[point] = int(end)
                case _:
                    raise ValueError(f"not a line of a state: {line!r}")
        return state


def digest(text: bytes) -> bytes:
    """The state digest of a block header."""
    return sha256(text).digest()
