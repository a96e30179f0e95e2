"""What a primary proposes, and when: at once if nothing is in flight, else when enough waits or has waited.

An epoch that is to end goes on to its end without traffic too: with empty blocks, one each batch delay.
"""

from consensus.core.bodies import Justified, Proposal, ProposedBatch, Vote
from consensus.core.effects import SetTimer
from consensus.core.messages import Kind
from consensus.core.normal import accept, time_before
from consensus.core.pool import Batch, Stream
from consensus.core.state import State


# Enters: after every event; this member leads an open view, and the window has room.
def propose(s: State, *, waited: bool = False) -> bool:
    """Propose the next height if it is time; whether it did. `waited`: the batch delay is over."""
    if not s.is_primary or not (s.pool.winners or s.is_closing) or s.is_silent:
        return False
    height = next_height(s)
    if not has_room(s, height) or s.executed < s.stable_height:
        return False
    batches = _choose(s, s.heads_before(height))
    if not (batches or s.is_closing) or not (waited or _is_time(s, height, batches)):
        return False
    _pre_prepare(s, height, batches)
    return True


def has_room(s: State, height: int) -> bool:
    """Whether a height is within the window and the epoch."""
    return height <= min(s.stable_height + s.config.window, s.end)


def next_height(s: State) -> int:
    """The first height above all that is stable, applied or proposed in this view."""
    in_view = (slot.height for slot in s.slots.values() if slot.accepted and slot.accepted.view == s.view)
    return max(s.stable_height, s.executed, *in_view) + 1


def _is_time(s: State, height: int, batches: list[Batch]) -> bool:
    is_full = sum(batch.records for batch in batches) >= s.config.batch_records
    if batches and (s.executed >= height - 1 or is_full):
        return True
    if "batch" not in s.armed:
        s.armed.add("batch")
        s.effects.append(SetTimer("batch", s.config.batch_delay_ms))
    return False


def _choose(s: State, heads: dict[Stream, int]) -> list[Batch]:
    """Decided batches, oldest first, up to the bounds of a block; a stream stops at its first that has no room."""
    chosen: list[Batch] = []
    full: set[Stream] = set()
    records = size = 0
    for batch in s.pool.orderable(lambda stream: heads.get(stream) or s.head(stream)):
        fits = records + batch.records <= s.config.max_records and size + batch.size <= s.config.max_bytes
        if batch.stream in full or not fits:
            full.add(batch.stream)
            continue
        chosen.append(batch)
        records, size = records + batch.records, size + batch.size
    return chosen


def _pre_prepare(s: State, height: int, batches: list[Batch]) -> None:
    quorum = s.config.quorum
    endorsements = {wire: None for batch in batches for wire in s.tallies[batch.digest].justification(quorum)}
    proposed = tuple(
        ProposedBatch(*batch.stream, batch.number, batch.digest, s.tallies[batch.digest].decided or b"")
        for batch in batches
    )
    time = max(s.now.wall_ms, time_before(s, height))
    proposal = Proposal(s.config.epoch, height, time, proposed)
    vote = Vote(s.config.epoch, s.view, height, proposal.digest(s.config.channel))
    attachment = Justified(proposal.encode(), tuple(endorsements)).encode()
    message = s.sign_once((Kind.PRE_PREPARE, s.view, height), vote.encode(), attachment)
    assert message is not None, "an accepted own pre-prepare moves the next height"
    s.send(message)
    accept(s, vote, proposal, message.signature, tuple(endorsements))
