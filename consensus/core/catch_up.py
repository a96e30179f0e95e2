"""Over a wire that loses: each member says where it stands, and others send it what it lacks.

All help is asked for, answered by few, and bounded between two statuses, so that a lossless wire carries next to none.
"""

from consensus.core.bodies import BatchBody, BatchRequest, BlockRequest, Blocks, ProposedBatch, Recall, Status
from consensus.core.certificates import Certificate, MemberSignature
from consensus.core.checkpoints import install
from consensus.core.effects import BatchReceived, BatchRequested, SetTimer
from consensus.core.endorsement_votes import resend
from consensus.core.liveness import is_overdue
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.core.recall import answer, ask
from consensus.core.state import Peer, State

ANSWERS = 64
"""Answers to one member between two own statuses."""
PATIENCE = 2
"""Statuses without a move after which a member asks for blocks although it is busy judging what they hold."""
ANSWER_BYTES = 256 << 10
"""Blocks in one answer: at least one, and more up to this size."""


def tick(s: State) -> None:
    """The periodic status: say where this member stands, send again, ask again, let the undecided go."""
    s.effects.append(SetTimer("status", s.config.status_ms))
    s.help_given.clear()
    s.round = max(s.round + 1, s.now.ms // s.config.status_ms)
    s.suspects = is_overdue(s)
    ask(s)
    mark = _mark(s)
    send_status(s, stalled=mark == s.mark)
    if s.changing and mark == s.mark:
        s.send(s.view_changes[s.config.index])
    resend(s)
    _fetch_batches(s)
    s.still = s.still + 1 if mark == s.mark else 0
    is_busy = s.now.ms - s.flushed_ms < s.config.status_ms
    _fetch_blocks(s, lead=0 if s.still >= (PATIENCE if is_busy else 1) else 2 * s.config.window)
    s.mark = mark
    in_flight = {batch.digest for slot in s.slots.values() for batch in _batches(s, slot.height)}
    s.expire([digest for digest in s.pool.stale(s.now.ms - s.config.undecided_ms) if digest not in in_flight])


def _batches(s: State, height: int) -> tuple[ProposedBatch, ...]:
    proposal = s.settled(s.slots[height])
    return () if proposal is None else proposal.batches


def _mark(s: State) -> tuple[int, ...]:
    """What moves when the protocol moves."""
    stages = [slot.stage(s.view) for _, slot in sorted(s.slots.items())]
    return (s.view, int(s.changing), s.stable_height, s.certified, s.executed, *stages)


def send_status(s: State, *, stalled: bool) -> None:
    """Tell all others where this member stands."""
    low = s.stable_height
    heights = range(low + 1, low + s.config.window + 1)
    progress = tuple(s.slots[height].stage(s.view) if height in s.slots else 0 for height in heights)
    status = Status(
        s.config.epoch, s.view, s.changing, s.suspects, stalled, s.round, low, s.certified, s.executed, progress
    )
    s.send(sign(s.config, Kind.STATUS, status.encode()))


def _helper(s: State, turn: int) -> int:
    """Another member, a different one each turn."""
    return (s.config.index + 1 + turn % (s.config.n - 1)) % s.config.n


def _fetch_batches(s: State) -> None:
    s.missing = {digest: height for digest, height in s.missing.items() if digest not in s.pool.batches}
    for number, digest in enumerate(s.missing):
        request = BatchRequest(s.config.epoch, digest)
        s.send(sign(s.config, Kind.BATCH_REQUEST, request.encode()), _helper(s, s.round + number))


def _fetch_blocks(s: State, lead: int) -> None:
    """Ask for blocks if others have certified heights beyond a lead, and nothing here waits for its certificate."""
    ahead = sorted(member for member, peer in s.peers.items() if peer.status.certified > s.executed + lead)
    if ahead and not s.executions:
        _request_blocks(s, ahead[s.round % len(ahead)])


def lags(s: State) -> bool:
    """Whether f + 1 members, one of them honest, have certified so much more that this member only takes blocks."""
    certified = sorted((peer.status.certified for peer in s.peers.values()), reverse=True)
    return len(certified) > s.config.f and certified[s.config.f] > s.executed + 2 * s.config.window


def _request_blocks(s: State, member: int) -> None:
    request = BlockRequest(s.config.epoch, s.executed + 1)
    s.send(sign(s.config, Kind.BLOCK_REQUEST, request.encode()), member)


def _may_help(s: State, member: int) -> bool:
    if s.help_given[member] >= ANSWERS:
        s.drop("asks too much")
        return False
    s.help_given[member] += 1
    return True


# Enters: a genuine status. An older one than the last is not taken, so that a repeated message changes nothing.
def on_status(s: State, message: Message, status: Status) -> None:
    """Note where a member stands, and help it if nothing moves there. Raises Malformed."""
    if len(status.progress) > s.config.window:
        raise Malformed("a status of more heights than the window has")
    known = s.peers.get(message.member)
    if known is not None and known.status.round > status.round and known.at_ms + 8 * s.config.status_ms > s.now.ms:
        return s.drop("older status")
    s.peers[message.member] = Peer(status, s.now.ms, message)
    if status.stalled and _may_help(s, message.member):
        _help_with_view(s, message.member, status)
        _help_with_certificates(s, message.member, status)
        _help_with_votes(s, message.member, status)
    return None


def _is_turn(s: State, member: int, status: Status) -> bool:
    """Whether this member is one of the two that answer what anyone could: the primary, or one by turns."""
    turn = (member + 1 + status.round % (s.config.n - 1)) % s.config.n
    return s.is_primary or turn == s.config.index


def _help_with_view(s: State, member: int, status: Status) -> None:
    behind = status.view < s.view or (status.view == s.view and status.changing)
    if behind and not s.changing and s.new_view is not None and _is_turn(s, member, status):
        s.send(s.new_view, member)


def _help_with_certificates(s: State, member: int, status: Status) -> None:
    height = status.certified + 1
    if not s.config.base < height <= min(status.executed, s.certified) or not _is_turn(s, member, status):
        return
    held = s.application.certificate(height)
    if held is not None:
        signatures = tuple(MemberSignature(*pair) for pair in held[1])
        certificate = Certificate(s.config.epoch, height, held[0], signatures)
        s.send(sign(s.config, Kind.CERTIFICATE, certificate.encode()), member)


def _help_with_votes(s: State, member: int, status: Status) -> None:
    """Send this member's own votes that the other has no more use for only if it has the outcome."""
    needed = {Kind.PRE_PREPARE: 1, Kind.PREPARE: 2, Kind.COMMIT: 3}
    for (kind, view, height), message in sorted(s.signed.items()):
        if kind is Kind.CHECKPOINT and height > status.certified:
            s.send(message, member)
        elif kind in needed and view == status.view == s.view and height > status.stable:
            place = height - status.stable - 1
            stage = status.progress[place] if place < len(status.progress) else 0
            if stage < needed[kind] and (message.attachment or kind is not Kind.PRE_PREPARE):
                s.send(message, member)


def on_recall(s: State, message: Message, recall: Recall) -> None:
    """Show a restarted member what this one holds of it."""
    if _may_help(s, message.member):
        answer(s, message.member, recall.question)


def on_block_request(s: State, message: Message, request: BlockRequest) -> None:
    """Answer with certified blocks."""
    if not _may_help(s, message.member):
        return
    blocks: list[bytes] = []
    height = max(request.first, 1)
    while height <= s.certified and sum(map(len, blocks)) < ANSWER_BYTES:
        block = s.application.certified(height)
        if block is None:
            break
        blocks.append(block)
        height += 1
    if blocks:
        s.send(sign(s.config, Kind.BLOCKS, Blocks(s.config.epoch, tuple(blocks)).encode()), message.member)


def on_blocks(s: State, message: Message, blocks: Blocks) -> None:
    """Install blocks that a member sent, and ask it for more while it has more."""
    before = s.executed
    for block in blocks.blocks:
        if not install(s, block):
            break
    peer = s.peers.get(message.member)
    if s.executed > before and peer is not None and peer.status.certified > s.executed and not s.executions:
        _request_blocks(s, message.member)


def on_batch_request(s: State, message: Message, request: BatchRequest) -> None:
    """Let the shell answer from its archive."""
    if _may_help(s, message.member):
        s.effects.append(BatchRequested(message.member, request.digest))


def on_batch_body(s: State, message: Message, body: BatchBody) -> None:
    """Hand the shell a body that this member asked for."""
    if body.digest not in s.missing:
        return s.drop("body of a batch not asked for")
    s.effects.append(BatchReceived(body.digest, body.body))
    return None
