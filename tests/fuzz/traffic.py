"""Real traffic: all that a committee of four said in a run through every kind of message."""

import pickle
from dataclasses import dataclass, field
from functools import cache

from consensus.core import effects as fx
from consensus.core.bodies import Justified, NewView, ViewChange
from consensus.core.messages import Kind, Message
from consensus.core.replica import RULES
from tests.consensus.core.committee import Committee, body_of, unless


@dataclass
class Traffic:
    """Messages and vote log entries as they were written, and bodies with the name of their schema."""

    messages: list[bytes] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    ended: bytes = b""
    """The committee as the run left it, pickled."""


@cache
def recorded() -> Traffic:
    """Two views, a member that misses batches and blocks and catches up, one that restarts, and a wire that loses."""
    committee = Committee()
    for number in range(1, 4):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
    _miss_a_batch(committee)
    _change_the_view(committee)
    _catch_up(committee)
    committee.restart(3)
    committee.pass_time(3_000)
    found = Traffic(entries=[entry for log in committee.logs for entry in log], ended=pickle.dumps(committee))
    for member in range(committee.n):
        found.messages += dict.fromkeys(effect.message for effect in committee.found(member, fx.Send))
    for message in map(Message.decode, found.messages):
        found.bodies += _bodies(message)
    found.bodies = list(dict.fromkeys(found.bodies))
    missing = set(Kind) - {Message.decode(data).kind for data in found.messages}
    assert not missing, f"the run has no {missing}"
    return found


def _miss_a_batch(committee: Committee) -> None:
    """Member 3 has to ask for the batch of a proposal."""
    body = body_of("batch 4")
    for member in range(3):
        committee.judge(member, committee.offer(member, body, 4))
    committee.pass_time(2_000)
    for member in range(4):
        for request in committee.found(member, fx.BatchRequested):
            answer = committee.replicas[member].send_batch(request.member, request.digest, body, committee.now)
            committee.do(member, answer)
    committee.offer(3, body, 4)
    committee.pass_time(1_000)


def _change_the_view(committee: Committee) -> None:
    """A height is prepared, nobody hears a commit, and the primary is cut off."""
    committee.propose(body_of("batch 5"), 5)
    committee.settle(unless(Kind.COMMIT))
    committee.pass_time(5_000, lambda sender, to, message: 0 not in (sender, to) and message.kind is not Kind.COMMIT)
    committee.pass_time(10_000)
    assert min(replica.view for replica in committee.replicas) > 0


def _catch_up(committee: Committee) -> None:
    """Member 2 is cut off for a dozen heights, and certificates are lost on their way to member 3."""
    for number in range(6, 19):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(lambda sender, to, message: to != 2)
        committee.pass_time(100, lambda sender, to, message: to != 2)
    committee.pass_time(10_000, lambda sender, to, message: not (to == 3 and message.kind is Kind.CHECKPOINT))
    committee.propose(body_of("batch 19"), 19)
    committee.pass_time(5_000, lambda sender, to, message: not (to == 3 and message.kind is Kind.CHECKPOINT))


def _bodies(message: Message) -> list[tuple[str, bytes]]:
    found = [(RULES[message.kind].body.SCHEMA, message.body)]
    if message.attachment:
        justified = Justified.decode(message.attachment)
        found += [(Justified.SCHEMA, message.attachment), ("consensus-proposal", justified.proposal)]
    if message.kind is Kind.NEW_VIEW:
        for change in NewView.decode(message.body).view_changes:
            found += _bodies(Message.decode(change))
    if message.kind is Kind.VIEW_CHANGE:
        found += [("consensus-prepared", data) for data in ViewChange.decode(message.body).prepared]
    return found
