"""Apply what is committed, sign its checkpoint, and certify it by 2f + 1 signatures over the same note.

Every block is a checkpoint (Castro and Liskov 1999, section 4.3, with K = 1); its certificate moves the low watermark.
"""

from consensus.core.bodies import Checkpoint, Proposal
from consensus.core.certificates import Certificate, MemberSignature, is_certified
from consensus.core.effects import Certified, Dissent, OrderedBlock
from consensus.core.endorsements import Tally
from consensus.core.messages import Kind, Message, is_noted, sign_note
from consensus.core.pool import Stream, fitting
from consensus.core.state import Execution, State


# Enters: the next height is committed, and the shell holds every batch of it. What is applied and not certified is
# bounded here too: a new view can prove a checkpoint far above what this member has certified.
def execute_committed(s: State) -> bool:
    """Apply the next committed height; whether there was one."""
    height = s.executed + 1
    slot = s.slots.get(height)
    if slot is None or slot.committed is None or s.is_silent or height > s.certified + 2 * s.config.window:
        return False
    proposal = slot.committed
    fits = fitting(proposal.batches, s.head, {})
    missing = [batch.digest for batch in fits if batch.digest not in s.pool.batches]
    if missing:
        s.need(missing, height)
        return False
    time = max(proposal.time, s.application.time_ms)
    block = OrderedBlock(proposal.epoch, height, time, fits, slot.endorsements)
    note = s.application.execute(block)
    if note is None:
        return False
    assert s.executed == height and s.application.note_height(note) == height
    s.executions[height] = Execution(block, note, _dissents(s, block))
    s.measure()
    _restart_timers(s, proposal)
    return True


def _dissents(s: State, block: OrderedBlock) -> tuple[Dissent, ...]:
    """Taken now, because what was said of a batch is let go once it is applied; shown once the block is certified."""
    tallied = [(batch, s.tallies.get(batch.digest, Tally()).verdicts) for batch in block.batches]
    return tuple(
        Dissent(block.height, batch.digest, member, wire)
        for batch, verdicts in tallied
        for member, (codes, wire) in verdicts.items()
        if codes != batch.codes and len(codes) == len(batch.codes)
    )


def _restart_timers(s: State, proposal: Proposal) -> None:
    due = s.next_due_ms = s.now.ms + s.timeout_ms
    s.pool.applied([batch.digest for batch in proposal.batches], due)
    for batch in proposal.batches:
        stream = Stream(batch.submitter, batch.stream)
        s.pool.extend(stream, s.head(stream), due)
    _restart_slots(s)


def _restart_slots(s: State) -> None:
    for slot in s.slots.values():
        slot.due_ms = s.now.ms + s.timeout_ms


# Enters: the height after the last certified one is applied here. Whoever signs holds all below with certificates, and
# this one's proof in its log: so f + 1 honest members have the block of each certified height, whatever crashes.
def sign_applied(s: State) -> bool:
    """Sign the note of the next height to be certified; whether it was."""
    height = s.certified + 1
    execution = s.executions.get(height)
    if execution is None or s.config.index in s.checkpoints.get(height, {}) or s.is_silent:
        return False
    note_signature = sign_note(s.config, execution.note)
    own = s.sign_once((Kind.CHECKPOINT, 0, height), Checkpoint(s.config.epoch, height, note_signature).encode())
    if own is None:
        s.halt(height, "another checkpoint than before the restart")
        return False
    s.checkpoints.setdefault(height, {})[s.config.index] = note_signature
    s.send(own)
    return True


def checkpoint_refusal(s: State, message: Message, checkpoint: Checkpoint) -> str:
    """Why a checkpoint is of no use, judged without its signatures; empty if it may be."""
    if not s.certified < checkpoint.height <= s.certified + 2 * s.config.window:
        return "checkpoint outside the watermarks"
    if message.member in s.checkpoints.get(checkpoint.height, {}):
        return "repeated checkpoint"
    return ""


def on_checkpoint(s: State, message: Message, checkpoint: Checkpoint) -> None:
    """A genuine checkpoint: held until its height is applied here, and compared then."""
    s.checkpoints.setdefault(checkpoint.height, {})[message.member] = checkpoint.note_signature


# Enters: the height after the last certified one is applied here. Only signatures over this member's own note count.
def certify(s: State) -> bool:
    """Certify the next height if 2f + 1 signed its note, or a view began with that; stop if f + 1 signed another."""
    height = s.certified + 1
    execution = s.executions.get(height)
    if execution is not None and s.stable is not None and s.stable.height == height:
        take_over(s, s.stable)
        return True
    if execution is None or len(s.checkpoints.get(height, {})) < s.config.f + 1:
        return False
    agreeing, others = [], 0
    for member, signature in sorted(s.checkpoints[height].items()):
        if is_noted(s.config, member, execution.note, signature):
            agreeing.append(MemberSignature(member, signature))
        else:
            others += 1
    if others > s.config.f:
        s.halt(height, "f + 1 members hold another checkpoint")
        return False
    if len(agreeing) < s.config.quorum:
        return False
    signatures = tuple(agreeing[: s.config.quorum])
    _certified(s, Certificate(s.config.epoch, height, execution.note, signatures))
    return True


def _certified(s: State, certificate: Certificate) -> None:
    height = certificate.height
    assert height == s.certified + 1
    execution = s.executions.pop(height)
    signatures = tuple((member, signature) for member, signature in certificate.signatures)
    s.effects.append(Certified(height, execution.block, certificate.note, signatures))
    s.effects += execution.dissents
    s.certified = height
    s.level = max(0, s.level - 1)
    adopt_stable(s, certificate)
    _restart_slots(s)
    _clean(s)


def _clean(s: State) -> None:
    forget_slots(s)
    s.done(s.pool.passed(s.head))
    for height in [height for height in s.checkpoints if height <= s.certified]:
        del s.checkpoints[height]
    s.prune_signed()


# Enters: the certificate was verified (or made) here. It is not logged: until the application holds the block durably,
# a restart must find the votes that led to it. Whoever is shown this certificate hears of it after that.
def adopt_stable(s: State, certificate: Certificate) -> None:
    """Move the low watermark to a certified height, if that is higher."""
    if certificate.height <= s.stable_height:
        return
    s.stable = certificate
    forget_slots(s)
    for table in (s.waiting, s.opened):
        for height in [height for height in table if height <= certificate.height]:
            del table[height]
    s.missing = {digest: height for digest, height in s.missing.items() if height > certificate.height}
    s.prune_signed()


def forget_slots(s: State) -> None:
    """Let go of what is stable, but for the next height that this member can certify by itself: others may need it."""
    stable, own = s.stable_height, s.certified + 1
    for height in [height for height in s.slots if height <= stable]:
        if height != own or s.slots[height].committed is None:
            del s.slots[height]


def on_certificate(s: State, message: Message, certificate: Certificate) -> None:
    """Another member shows a certificate."""
    take_over(s, certificate)


# Enters: somebody, or the ledger topic, shows the certificate of a height that is applied here and not certified yet.
def take_over(s: State, certificate: Certificate) -> None:
    """Take over a certificate that others hold."""
    execution = s.executions.get(certificate.height)
    if execution is None or certificate.height != s.certified + 1 or not is_certified(s.config, certificate):
        return s.drop("certificate of no use")
    if s.application.note_height(certificate.note) != certificate.height:
        return s.drop("certificate of another height")
    if certificate.note != execution.note:
        return s.halt(certificate.height, "2f + 1 members certified another checkpoint")
    return _certified(s, certificate)


# Enters: nothing is applied here that is not certified; another member sent the block.
def install(s: State, block: bytes) -> bool:
    """Hand a certified block of this epoch to the application, which verifies it; whether it was applied."""
    if s.executions or s.question or s.executed >= s.end or not s.application.install(block):
        s.drop("block refused")
        return False
    height = s.executed
    held = s.application.certificate(height)
    assert held is not None, "an installed block brings its certificate"
    s.certified, s.since_ms = height, None
    note, signatures = held
    adopt_stable(s, Certificate(s.config.epoch, height, note, tuple(MemberSignature(*pair) for pair in signatures)))
    _restart_timers(s, Proposal(s.config.epoch, height, 0, ()))
    s.pool.catch_up(s.head, s.now.ms + s.timeout_ms)
    _clean(s)
    return True
