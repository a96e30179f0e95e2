"""Members that lie about what they hold or who they are, and the list of all ways to lie."""

from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

from consensus.core.bodies import (
    VOTES,
    Justified,
    Proposal,
    ProposedBatch,
    Recalled,
    Status,
    ViewChange,
    Vote,
    vote_body,
)
from consensus.core.certificates import Certificate, MemberSignature
from consensus.core.config import Config
from consensus.core.effects import Send
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.simulator.byzantine import (
    DoubleJudge,
    Equivocator,
    Flooder,
    Liar,
    Replayer,
    SelectiveSender,
    StateLiar,
    Twin,
    ViewChangeLiar,
)


class WrongJudge(DoubleJudge):
    """Signs the opposite of the right verdict, the same for everybody."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """The opposite verdict."""
        return [self.opposite(message) if message.kind is Kind.ENDORSEMENT else message]


class Forger(Liar):
    """Shows checkpoints that nobody certified, in every way that such a thing can be shown, and ones long past."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """A bad certificate with each status, and in place of the stable one that a message should show."""
        held = self.replica._s.stable
        if held is None:
            return [message]
        bad = self.world.rng.choice(self._bad(held))
        if message.kind is Kind.STATUS:
            return [sign(self.config, Kind.CERTIFICATE, bad.encode()), message]
        if message.kind is Kind.VIEW_CHANGE:
            change = replace(ViewChange.decode(message.body), stable=bad.encode())
            return [sign(self.config, Kind.VIEW_CHANGE, change.encode())]
        if message.kind is Kind.RECALLED:
            recalled = replace(Recalled.decode(message.body), stable=bad.encode())
            return [sign(self.config, Kind.RECALLED, recalled.encode())]
        return [message]

    def _bad(self, held: Certificate) -> list[Certificate]:
        """Of another note or height, of too few, of one signer again, of another epoch; and one that is only old."""
        first, *others = held.signatures
        above = b"height %d\n" % (held.height + 1)
        bad = [
            replace(held, note=held.note.replace(b"height %d\n" % held.height, above), height=held.height + 1),
            replace(held, height=held.height + 1),
            replace(held, signatures=tuple(others)),
            replace(held, signatures=(first, first, *others[1:])),
            replace(held, signatures=(first, first._replace(member=others[0].member), *others[1:])),
            replace(held, epoch=held.epoch + 1),
        ]
        note, signatures = self.ledger.certificate(1) or (held.note, held.signatures)
        return [*bad, Certificate(held.epoch, 1, note, tuple(MemberSignature(*pair) for pair in signatures))]


class Staller(Liar):
    """Says that it is far ahead, and gives nothing of what it is asked for."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """A proud status; silence to whoever asks."""
        if message.kind in (Kind.BLOCKS, Kind.BATCH_BODY, Kind.CERTIFICATE, Kind.RECALLED):
            return []
        if message.kind is not Kind.STATUS:
            return [message]
        status = Status.decode(message.body)
        ahead = replace(status, certified=status.certified + 1_000, executed=status.executed + 1_000)
        return [sign(self.config, Kind.STATUS, ahead.encode())]


class Withholder(Liar):
    """As primary, proposes a batch that nobody has, behind what is decided."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """The proposal with a batch more, at every third height; no body for whoever asks."""
        if message.kind is Kind.BATCH_BODY:
            return []
        if message.kind is not Kind.PRE_PREPARE or not message.attachment:
            return [message]
        vote, justified = Vote.decode(message.body), Justified.decode(message.attachment)
        if vote.height % 3 != 1:
            return [message]
        proposal = Proposal.decode(justified.proposal)
        unknown = ProposedBatch("withheld", "a", 1, vote.digest, b"\0\0")
        longer = replace(proposal, batches=(*proposal.batches, unknown))
        body = vote_body(vote.epoch, vote.view, vote.height, longer.digest(self.config.channel))
        attachment = replace(justified, proposal=longer.encode()).encode()
        return [sign(self.config, Kind.PRE_PREPARE, body, attachment)]


class Ghost(Liar):
    """Follows the protocol as long as its keys are good, and goes on voting with them when they are not.

    For every vote of a later epoch that it hears it signs one of its own, in the place that its key once had: for the
    same block, or for another.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.retired: list[Config] = []
        self.echoed: set[bytes] = set()

    def enter(self) -> None:
        """Remember the keys that were good before."""
        former = self.config
        super().enter()
        if former.vote_seed and former.vote_seed != self.config.vote_seed:
            self.retired.append(former)

    def receive(self, data: bytes) -> None:
        """Vote along, once."""
        with suppress(Malformed):
            message = Message.decode(data)
            if message.kind in VOTES and self.retired and message.body not in self.echoed:
                self._haunt(message)
        super().receive(data)

    def _haunt(self, message: Message) -> None:
        self.echoed.add(message.body)
        vote = Vote.decode(message.body)
        digest = self.world.rng.choice((vote.digest, sha256(vote.digest).digest()))
        for former in self.retired:
            for kind in (Kind.PREPARE, Kind.COMMIT):
                echo = sign(former, kind, vote_body(vote.epoch, vote.view, vote.height, digest))
                self.world.transmit(self, Send(echo.encode()))


LIARS: tuple[type[Liar], ...] = (
    Equivocator,
    SelectiveSender,
    DoubleJudge,
    WrongJudge,
    Forger,
    Staller,
    Withholder,
    StateLiar,
    ViewChangeLiar,
    Flooder,
    Replayer,
    Twin,
)
