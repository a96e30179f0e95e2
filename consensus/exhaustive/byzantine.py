"""What the Byzantine member can say: all well-formed messages within the bounds, given what the others have signed."""

from collections.abc import Iterator
from itertools import combinations, product

from consensus.core.messages import Kind
from consensus.core.new_view import Change, plan
from consensus.exhaustive.messages import Left, Opened, PreparedAt, Said, Wire
from consensus.exhaustive.setting import Setting

Sent = dict[int, frozenset[Said]]
"""All that each correct member has said."""


class Byzantine:
    """The choices of the Byzantine member. It votes for anything, and leaves for any view, at any time."""

    def __init__(self, setting: Setting, wire: Wire) -> None:
        self._setting, self._wire = setting, wire
        self.index = setting.bounds.byzantine

    def is_prepared(self, sent: Sent, view: int, height: int, digest: bytes) -> bool:
        """Whether a prepared certificate can be made of what was signed and this member's votes."""
        primary, quorum = self._setting.primary(view), self._setting.configs[0].quorum
        if primary != self.index and Said(Kind.PRE_PREPARE, view, height, digest) not in sent[primary]:
            return False
        prepare = Said(Kind.PREPARE, view, height, digest)
        return sum(prepare in said for said in sent.values()) + (primary != self.index) >= quorum - 1

    def certificates(self, sent: Sent, before: int) -> dict[int, list[PreparedAt]]:
        """By height, the prepared certificates of views lower than `before`."""
        found: dict[int, list[PreparedAt]] = {height: [] for height in self._setting.heights}
        prepares = {vote for said in sent.values() for vote in said if vote.kind is Kind.PREPARE and vote.view < before}
        for _, view, height, digest in sorted(prepares, key=lambda vote: vote[1:]):
            if self.is_prepared(sent, view, height, digest):
                found[height].append(PreparedAt(height, view, digest))
        return found

    def stable(self, sent: Sent) -> list[bytes]:
        """Notes that can be shown with a certificate; the empty one is genesis."""
        counts: dict[bytes, int] = {}
        for said in sent.values():
            for one in said:
                if one.kind is Kind.CHECKPOINT:
                    counts[one.content] = counts.get(one.content, 0) + 1
        return [b"", *(note for note, count in sorted(counts.items()) if count + 1 >= self._setting.configs[0].quorum)]

    def view_changes(self, sent: Sent, view: int) -> list[Said]:
        """Every view change for `view`: any stable checkpoint, any of the certificates above, none, or a forged one."""
        found = []
        certificates = self.certificates(sent, view)
        for note in self.stable(sent):
            above = [[None, *certificates[h]] for h in self._setting.heights if h > self._wire.height_of(note)]
            for chosen in product(*above):
                found.append(Left(note, tuple(at for at in chosen if at is not None)))
        forged = PreparedAt(1, 0, self._setting.digest(self._setting.values[1][1]), forged=True)
        return [Said(Kind.VIEW_CHANGE, view, 0, left) for left in [*found, Left(b"", (forged,))]]

    def new_views(self, sent: Sent, view: int) -> Iterator[Said]:
        """Every new-view for `view`: each that some 2f + 1 view changes lead to, and every other content besides."""
        right: dict[Opened, tuple[tuple[int, Said], ...]] = {}
        for changes in self._quorums(sent, view):
            right.setdefault(self._opened(changes), changes)
        for opened, changes in right.items():
            yield self._wire.open(view, opened, changes)
        if right:
            opened, changes = next(iter(right.items()))
            for heights in self._contents():
                if heights != opened.heights:
                    yield self._wire.open(view, Opened(opened.stable, heights, is_right=False), changes)

    def _quorums(self, sent: Sent, view: int) -> Iterator[tuple[tuple[int, Said], ...]]:
        own = [(self.index, change) for change in self.view_changes(sent, view) if not _is_forged(change)]
        left = [(member, change) for member in sent for change in _view_changes(sent[member], view)]
        quorum = self._setting.configs[0].quorum
        yield from combinations(left, quorum)
        yield from ((*others, change) for others in combinations(left, quorum - 1) for change in own)

    def _opened(self, changes: tuple[tuple[int, Said], ...]) -> Opened:
        found = plan(self._setting.configs[0], [self._change(said.content) for _, said in changes])
        stable = max((said.content.stable for _, said in changes), key=self._wire.height_of)
        return Opened(stable, tuple((proposal.height, self._setting.digest(proposal)) for proposal in found.proposals))

    def _change(self, left: Left) -> Change:
        stable = self._wire.certificate(left.stable) if left.stable else None
        return Change(stable, tuple((at.view, self._setting.proposals[at.digest]) for at in left.prepared))

    def _contents(self) -> Iterator[tuple[tuple[int, bytes], ...]]:
        """Everything that a new-view from genesis could open: heights from 1 on, each with any known proposal."""
        for top in range(len(self._setting.heights) + 1):
            choices = [
                [(height, digest) for digest, proposal in self._setting.proposals.items() if proposal.height == height]
                for height in range(1, top + 1)
            ]
            yield from product(*choices)


def _view_changes(sent: frozenset[Said], view: int) -> list[Said]:
    return [said for said in sent if said.kind is Kind.VIEW_CHANGE and said.view == view]


def _is_forged(change: Said) -> bool:
    return any(at.forged for at in change.content.prepared)
