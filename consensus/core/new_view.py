"""What a new view must begin with, computed from 2f + 1 view changes alone (Castro and Liskov 1999, section 4.4).

Pure: the new primary computes it to open the view, every backup computes it again and refuses anything else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.core.bodies import NewView, OpenedHeight, Proposal, ViewChange, vote_body
from consensus.core.certificates import Certificate, Prepared, is_certified, verified_prepared
from consensus.core.config import Config
from consensus.core.messages import Kind, Malformed, Message, is_authentic, is_signed
from consensus.core.quorum import are_distinct

NoteHeight = Callable[[bytes], int | None]


@dataclass(frozen=True)
class Change:
    """A view change whose every certificate was verified. `prepared`: (view, proposal) by height."""

    stable: Certificate | None
    prepared: tuple[tuple[int, Proposal], ...]

    @property
    def stable_height(self) -> int:
        """Height of the stable checkpoint that it proves; 0 where it proves none, which means the epoch's base."""
        return 0 if self.stable is None else self.stable.height


@dataclass(frozen=True)
class Plan:
    """The stable checkpoint that a view starts from, and a proposal for each height above, without a gap."""

    stable: Certificate | None
    proposals: tuple[Proposal, ...]


def verified_change(config: Config, message: Message, view: int, note_height: NoteHeight) -> Change:
    """A view change for `view` that proves all it says. Raises Malformed.

    One forged certificate condemns the message of its sender, and takes nothing away from what others show.
    """
    body = ViewChange.decode(message.body)
    if message.kind is not Kind.VIEW_CHANGE or body.epoch != config.epoch or body.view != view:
        raise Malformed("not a view change for this view")
    stable = _verified_stable(config, body.stable, note_height)
    low = config.base if stable is None else stable.height
    prepared = []
    for data in body.prepared:
        certificate = Prepared.decode(data)
        if certificate.view >= view:
            raise Malformed("prepared in a view that is not before this one")
        prepared.append((certificate.view, verified_prepared(config, certificate)))
    heights = [proposal.height for _, proposal in prepared]
    if not are_distinct(heights) or any(not low < height <= low + 2 * config.window for height in heights):
        raise Malformed("prepared heights outside the watermarks, or out of order")
    return Change(stable, tuple(prepared))


def _verified_stable(config: Config, data: bytes, note_height: NoteHeight) -> Certificate | None:
    if not data:
        return None
    certificate = Certificate.decode(data)
    if note_height(certificate.note) != certificate.height or not is_certified(config, certificate):
        raise Malformed("a stable checkpoint that proves nothing")
    return certificate


def plan(config: Config, changes: Sequence[Change]) -> Plan:
    """What follows from a set of verified view changes.

    From the highest stable checkpoint to the highest prepared height: what was prepared in the highest view, or a null
    block. Whatever was committed anywhere is in some change of any 2f + 1, and no higher view prepared another.
    """
    top = max(changes, key=lambda change: change.stable_height)
    best: dict[int, tuple[int, Proposal]] = {}
    for change in changes:
        for view, proposal in change.prepared:
            known = best.get(proposal.height)
            if known is None or known[0] < view:
                best[proposal.height] = (view, proposal)
    low, high = max(config.base, top.stable_height), max(best, default=0)
    null = (-1, None)
    chosen = [(height, best.get(height, null)[1]) for height in range(low + 1, high + 1)]
    return Plan(top.stable, tuple(found or Proposal(config.epoch, height, 0, ()) for height, found in chosen))


def verified_new_view(config: Config, message: Message, body: NewView, note_height: NoteHeight) -> Plan:
    """The plan of a new-view that says exactly what its view changes lead to. Raises Malformed."""
    if message.member != config.primary(body.view) or body.view == 0:
        raise Malformed("a new-view by a member that does not lead it")
    changes = [Message.decode(data) for data in body.view_changes]
    signers = [change.member for change in changes]
    if not are_distinct(signers) or len(signers) != config.quorum:
        raise Malformed("a new-view needs the view changes of exactly 2f + 1 distinct members")
    if not all(is_authentic(config, change) for change in changes):
        raise Malformed("a new-view with a forged view change")
    found = plan(config, [verified_change(config, change, body.view, note_height) for change in changes])
    expected = [(proposal.height, proposal.digest(config.channel)) for proposal in found.proposals]
    if expected != [(opened.height, opened.digest) for opened in body.pre_prepares]:
        raise Malformed("a new-view that leaves out or swaps what was prepared")
    for opened in body.pre_prepares:
        vote = vote_body(config.epoch, body.view, opened.height, opened.digest)
        if not is_signed(config, Kind.PRE_PREPARE, message.member, vote, opened.signature):
            raise Malformed("a new-view with a forged pre-prepare")
    return found


def opened_heights(view: int, found: Plan, config: Config, sign: Callable[[bytes], bytes]) -> tuple[OpenedHeight, ...]:
    """The primary's pre-prepare of each planned height; `sign` signs a vote body as a pre-prepare."""
    opened = []
    for proposal in found.proposals:
        digest = proposal.digest(config.channel)
        signature = sign(vote_body(config.epoch, view, proposal.height, digest))
        opened.append(OpenedHeight(proposal.height, digest, signature))
    return tuple(opened)
