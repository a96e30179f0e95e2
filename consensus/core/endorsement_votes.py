"""Endorsements as they come and go: own verdicts bundled and signed, others' tallied, a proposal's checked."""

from consensus.core.bodies import Endorsement, Proposal, ProposedBatch
from consensus.core.effects import Send, SetTimer
from consensus.core.endorsements import Tally, codes_of, decide, decision_quorum, verdict_of
from consensus.core.messages import Kind, Malformed, Message, is_authentic, sign
from consensus.core.state import State
from consensus.core.votelog import message_entry

BUNDLE = 256
"""Batches under one signature at most."""
STRANGERS = 512
"""Unknown batches that one member may be the first to name; its oldest leaves for a new one."""
RESENDS = 32
"""Endorsements that are sent again at one status."""


# Enters: the contract has judged every record of a batch. The first goes at once; while others are under way the next
# ones gather, to share a signature (as Nagle's algorithm does, RFC 896).
def give_verdict(s: State, digest: bytes, codes: bytes) -> None:
    """Endorse a batch with `codes`; one already endorsed is sent again as it was signed."""
    batch = s.pool.batches.get(digest)
    if batch is None or len(codes) != 2 * batch.records:
        return s.drop("own verdict on no batch")
    signed = s.endorsed.get(digest)
    if signed is not None:
        s.effects.append(Send(signed))
        message = Message.decode(signed)
        return tally(s, message, Endorsement.decode(message.body))
    s.verdicts[digest] = codes
    delay_ms = _delay_ms(s)
    if s.now.ms - s.flushed_ms >= delay_ms:
        flush(s)
    elif "endorse" not in s.armed:
        s.armed.add("endorse")
        s.effects.append(SetTimer("endorse", delay_ms))
    return None


def _delay_ms(s: State) -> int:
    """How long a verdict may wait for company: longer while more batches wait for their order than a window holds.

    It waits for none while the committee is idle: no batch waits for its order, the one endorsed last is gone.
    """
    c = s.config
    waiting = sum(batch.records for batch in s.pool.waiting.values())
    if not waiting and next(reversed(s.endorsed), b"") not in s.pool.batches:
        return 0
    return c.batch_delay_ms if waiting > c.window * c.batch_records else c.endorse_delay_ms


def flush(s: State) -> None:
    """Sign and send all verdicts that wait; once the epoch is over, they are for the next one to give."""
    s.flushed_ms = s.now.ms
    waiting = [] if s.is_over else list(s.verdicts.items())
    s.verdicts.clear()
    for start in range(0, len(waiting), BUNDLE):
        verdicts = tuple(verdict_of(digest, codes) for digest, codes in waiting[start : start + BUNDLE])
        message = sign(s.config, Kind.ENDORSEMENT, Endorsement(s.config.epoch, verdicts).encode())
        s.persist(message_entry(message))
        s.send(message)
        keep_own(s, message, verdicts=Endorsement(s.config.epoch, verdicts))


def keep_own(s: State, message: Message, verdicts: Endorsement) -> None:
    """Remember an own endorsement, so that it is never given differently and can be sent again."""
    wire = message.encode()
    for verdict in verdicts.verdicts:
        s.endorsed[verdict.batch] = wire
    s.resend_ms[wire] = (s.now.ms + s.config.status_ms, s.config.status_ms)
    while len(s.endorsed) > 4 * STRANGERS:
        del s.endorsed[next(iter(s.endorsed))]
    tally(s, message, verdicts)


def resend(s: State) -> None:
    """Send endorsements of batches that are still open again, ever more slowly."""
    kept = set(s.endorsed.values())
    s.resend_ms = {wire: due for wire, due in s.resend_ms.items() if wire in kept}
    still_open = {wire for digest, wire in s.endorsed.items() if _stands_still(s, digest)}
    late = [wire for wire, (at, _) in s.resend_ms.items() if at <= s.now.ms and wire in still_open]
    for wire in late[:RESENDS]:
        delay = min(2 * s.resend_ms[wire][1], 16 * s.config.status_ms)
        s.resend_ms[wire] = (s.now.ms + delay, delay)
        s.effects.append(Send(wire))


def _stands_still(s: State, digest: bytes) -> bool:
    """Whether a batch is open, and not only because it stands in a queue that moves."""
    batch = s.pool.batches.get(digest)
    if batch is None or batch.due_ms is None:
        return batch is not None
    return batch.due_ms - s.timeout_ms + s.config.status_ms <= s.now.ms


def endorsement_refusal(s: State, message: Message, endorsement: Endorsement) -> str:
    """Why an endorsement is of no use, judged without its signature; empty if it may be."""
    counted = (s.tallies.get(verdict.batch) for verdict in endorsement.verdicts)
    known = (None if tally is None else tally.verdicts.get(message.member) for tally in counted)
    wire = message.encode()
    return "repeated endorsement" if all(said is not None and said[1] == wire for said in known) else ""


def on_endorsement(s: State, message: Message, endorsement: Endorsement) -> None:
    """A genuine endorsement of another member. Raises Malformed."""
    tally(s, message, endorsement)


def learn(s: State, wire: bytes) -> None:
    """Take over an endorsement that came with an accepted proposal: its signature was checked there."""
    try:
        message = Message.decode(wire)
        endorsement = Endorsement.decode(message.body)
    except Malformed:
        return
    if message.kind is Kind.ENDORSEMENT and is_authentic(s.config, message):
        tally(s, message, endorsement)


def tally(s: State, message: Message, endorsement: Endorsement) -> None:
    """Count a member's verdicts, the first on each batch; a different second one is evidence. Raises Malformed."""
    if len(endorsement.verdicts) > BUNDLE:
        raise Malformed("an endorsement of too many batches")
    wire = message.encode()
    for verdict in endorsement.verdicts:
        codes = codes_of(verdict, s.config.max_records)
        counted = _tally_of(s, message.member, verdict.batch)
        known = counted.verdicts.get(message.member)
        if known is None:
            counted.verdicts[message.member] = (codes, wire)
            settle(s, verdict.batch)
        elif known[0] != codes:
            s.drop("second verdict")
            s.evidence("two verdicts", message.member, Message.decode(known[1]), message)


def _tally_of(s: State, member: int, digest: bytes) -> Tally:
    """The tally of a batch; of batches that aren't here, each member may name a bounded number first."""
    counted = s.tallies.get(digest)
    if counted is not None:
        return counted
    if digest not in s.pool.batches:
        named = s.strangers.setdefault(member, {})
        if len(named) >= STRANGERS:
            oldest = next(iter(named))
            del named[oldest]
            s.tallies.pop(oldest, None)
            s.drop("endorsement of an unknown batch")
        named[digest] = None
    return s.tallies.setdefault(digest, Tally())


def settle(s: State, digest: bytes) -> None:
    """Decide a batch if it is here and 2f + 1 members agree on every record of it."""
    batch, counted = s.pool.batches.get(digest), s.tallies.get(digest)
    if batch is not None and counted is not None and counted.update(batch.records, decision_quorum(s.config)):
        s.pool.decided(batch, s.head(batch.stream), s.now.ms + s.timeout_ms)


def are_justified(s: State, proposal: Proposal, endorsements: tuple[bytes, ...]) -> bool:
    """Whether the attached endorsements, by themselves, decide every code of a proposal."""
    if len(endorsements) > s.config.n * len(proposal.batches):
        return False
    verdicts: dict[bytes, dict[int, bytes]] = {batch.digest: {} for batch in proposal.batches}
    try:
        for wire in endorsements:
            _collect(s, wire, verdicts)
    except Malformed:
        return False
    return all(_is_decided(s, batch, verdicts[batch.digest]) for batch in proposal.batches)


def _collect(s: State, wire: bytes, verdicts: dict[bytes, dict[int, bytes]]) -> None:
    message = Message.decode(wire)
    if message.kind is not Kind.ENDORSEMENT or not is_authentic(s.config, message):
        raise Malformed("an endorsement that is not signed as one")
    endorsement = Endorsement.decode(message.body)
    if endorsement.epoch != s.config.epoch:
        raise Malformed("an endorsement of another epoch")
    for verdict in endorsement.verdicts:
        if verdict.batch in verdicts:
            verdicts[verdict.batch].setdefault(message.member, codes_of(verdict, s.config.max_records))


def _is_decided(s: State, batch: ProposedBatch, verdicts: dict[int, bytes]) -> bool:
    return decide(list(verdicts.values()), batch.records, decision_quorum(s.config)) == batch.codes
