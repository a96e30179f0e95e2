"""Members that lie. Each runs a real replica and changes what leaves it; all of their signatures are their own."""

from collections import defaultdict, deque
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from consensus.core.bodies import (
    VOTES,
    BlockRequest,
    Blocks,
    Checkpoint,
    Endorsement,
    Justified,
    NewView,
    Proposal,
    ProposedBatch,
    Recalled,
    ViewChange,
    Vote,
    vote_body,
)
from consensus.core.certificates import MemberSignature, Prepared
from consensus.core.effects import Send
from consensus.core.endorsements import codes_of, verdict_of
from consensus.core.messages import Kind, Malformed, Message, is_authentic, sign
from consensus.simulator.member import Member

if TYPE_CHECKING:
    from consensus.simulator.world import World


class Liar(Member):
    """A Byzantine member: `lie` turns each message that the protocol would send into what is sent to each receiver."""

    @property
    def is_honest(self) -> bool:
        """No."""
        return False

    def release(self, effect: object) -> None:
        """Send lies in place of messages."""
        if not isinstance(effect, Send):
            return super().release(effect)  # type: ignore[arg-type]
        message = Message.decode(effect.message)
        receivers = [effect.to] if effect.to is not None else self.others()
        for receiver in receivers:
            for lie in self.lie(message, receiver):
                self.world.transmit(self, Send(lie.encode(), receiver))
        return None

    def others(self) -> list[int]:
        """All members but this one."""
        return [member for member in range(self.config.n) if member != self.config.index]

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """What `receiver` gets instead of `message`."""
        return [message]


class SelectiveSender(Liar):
    """Serves some members and starves the others of some kinds of message, anew for each height."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """Nothing for about a third of (kind, content, receiver)."""
        die = sha256(message.body + message.kind.encode() + bytes([receiver])).digest()[0]
        return [] if die % 3 == 0 and message.kind is not Kind.STATUS else [message]


class DoubleJudge(Liar):
    """Signs one verdict for half of the members and the opposite for the others."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """The opposite verdict for odd members."""
        return [self.opposite(message) if message.kind is Kind.ENDORSEMENT and receiver % 2 else message]

    def opposite(self, message: Message) -> Message:
        """An endorsement that says the opposite of another."""
        endorsement = Endorsement.decode(message.body)
        opposite = []
        for verdict in endorsement.verdicts:
            codes = codes_of(verdict, self.config.max_records)
            flipped = b"".join(b"\0\0" if any(codes[i : i + 2]) else b"\0\x09" for i in range(0, len(codes), 2))
            opposite.append(verdict_of(verdict.batch, flipped))
        return sign(self.config, Kind.ENDORSEMENT, Endorsement(self.config.epoch, tuple(opposite)).encode())


class Equivocator(Liar):
    """As primary, proposes two blocks for each height; votes for whatever it hears of; forges prepared certificates.

    The second block differs in its time only, so every check but "one per height" passes. In a view change it shows,
    for its second block, a certificate that repeats the one honest prepare that it collected.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.second: dict[tuple[int, int], tuple[Proposal, Message]] = {}
        self.echoed: set[tuple[Kind, bytes]] = set()
        self.heard: dict[tuple[int, int, bytes], dict[int, bytes]] = defaultdict(dict)

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """The second block for the upper half of the members; forged view changes for all."""
        if message.kind is Kind.PRE_PREPARE and message.attachment:
            return [self._second(message) if self._is_misled(message, receiver) else message]
        if message.kind is Kind.COMMIT and not self._may_commit(message, receiver):
            return []
        if message.kind is Kind.VIEW_CHANGE:
            return [self._forged(message)]
        return [message]

    def _is_misled(self, message: Message, receiver: int) -> bool:
        """At even heights half of the members get the second block, at odd ones only the last."""
        half = Vote.decode(message.body).height % 2 == 0
        return receiver * 2 >= self.config.n if half else receiver == self.config.n - 1

    @staticmethod
    def _may_commit(message: Message, receiver: int) -> bool:
        """At odd heights only one member is let to commit, so that what it did has to survive a view change."""
        return Vote.decode(message.body).height % 2 == 0 or receiver == 1

    def _second(self, message: Message) -> Message:
        vote, justified = Vote.decode(message.body), Justified.decode(message.attachment)
        first = Proposal.decode(justified.proposal)
        second = Proposal(first.epoch, first.height, first.time + 1, first.batches)
        body = vote_body(vote.epoch, vote.view, vote.height, second.digest(self.config.channel))
        attachment = Justified(second.encode(), justified.endorsements).encode()
        lie = sign(self.config, Kind.PRE_PREPARE, body, attachment)
        self.second[vote.view, vote.height] = (second, lie)
        return lie

    def _forged(self, message: Message) -> Message:
        change = ViewChange.decode(message.body)
        forged = {Prepared.decode(data).content().height: data for data in change.prepared}
        for (view, height), (proposal, lie) in self.second.items():
            heard = self.heard[view, height, proposal.digest(self.config.channel)]
            if heard and view < change.view:
                repeated = (MemberSignature(*next(iter(heard.items()))),) * (self.config.quorum - 1)
                forged[height] = Prepared(view, proposal.encode(), lie.signature, repeated).encode()
        prepared = tuple(data for _, data in sorted(forged.items()))
        body = ViewChange(change.epoch, change.view, change.stable, prepared).encode()
        return sign(self.config, Kind.VIEW_CHANGE, body)

    def receive(self, data: bytes) -> None:
        """Join every vote that is heard, once."""
        if not self.is_seated:
            return
        try:
            message = Message.decode(data)
            if message.kind in (Kind.PREPARE, Kind.COMMIT):
                vote = Vote.decode(message.body)
                if message.kind is Kind.PREPARE:
                    self.heard[vote.view, vote.height, vote.digest][message.member] = message.signature
                kinds = [Kind.COMMIT] if self.config.primary(vote.view) == self.config.index else [message.kind]
                for kind in kinds:
                    if (kind, message.body) in self.echoed:
                        continue
                    self.echoed.add((kind, message.body))
                    echo = sign(self.config, kind, message.body)
                    for receiver in self.others():
                        if kind is not Kind.COMMIT or self._may_commit(echo, receiver):
                            self.world.transmit(self, Send(echo.encode(), receiver))
        except Malformed:
            pass
        super().receive(data)


class StateLiar(Liar):
    """Answers a member that lags with blocks of which a byte was changed, or not at all."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """Corrupt blocks for even heights, silence for odd; of a restarted member it claims to hold nothing."""
        if message.kind is Kind.RECALLED:
            body = replace(Recalled.decode(message.body), stable=b"", messages=())
            return [sign(self.config, Kind.RECALLED, body.encode())]
        if message.kind is not Kind.BLOCKS:
            return [message]
        blocks = Blocks.decode(message.body)
        first = blocks.blocks[0]
        if len(first) % 2:
            return []
        middle = len(first) // 2
        spoilt = first[:middle] + bytes([first[middle] ^ 1]) + first[middle + 1 :]
        return [sign(self.config, Kind.BLOCKS, Blocks(blocks.epoch, (spoilt, *blocks.blocks[1:])).encode())]


class ViewChangeLiar(Liar):
    """Hides from half of the members what it has prepared and what is stable; as a new primary opens an empty view."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """A view change that shows nothing, a new-view that carries nothing, for odd members."""
        if receiver % 2 == 0:
            return [message]
        if message.kind is Kind.VIEW_CHANGE:
            hidden = replace(ViewChange.decode(message.body), stable=b"", prepared=())
            return [sign(self.config, Kind.VIEW_CHANGE, hidden.encode())]
        if message.kind is Kind.NEW_VIEW:
            empty = replace(NewView.decode(message.body), pre_prepares=())
            return [sign(self.config, Kind.NEW_VIEW, empty.encode())]
        return [message]


class Flooder(Liar):
    """With each status, signs votes, checkpoints, view changes and endorsements of heights and views far ahead."""

    flood: tuple[Message, list[Message]] | None = None
    """A status, and what is sent before it."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """The flood, before the status."""
        if message.kind is not Kind.STATUS:
            return [message]
        if self.flood is None or self.flood[0] != message:
            self.flood = (message, self._flood())
        return [*self.flood[1], message]

    def _flood(self) -> list[Message]:
        rng, epoch = self.world.rng, self.config.epoch
        far = rng.choice((5, 9, 1_000, 1 << 40))
        digest = rng.randbytes(32)
        bodies = [
            (kind, vote_body(epoch, far, rng.choice((1, 5, far)), digest)) for kind in (Kind.PREPARE, Kind.COMMIT)
        ]
        bodies += [
            (Kind.CHECKPOINT, Checkpoint(epoch, far, bytes(64)).encode()),
            (Kind.VIEW_CHANGE, ViewChange(epoch, far, b"", ()).encode()),
            (Kind.ENDORSEMENT, Endorsement(epoch, (verdict_of(digest, b"\0\0"),)).encode()),
            (Kind.BLOCK_REQUEST, BlockRequest(epoch, far).encode()),
        ]
        return [sign(self.config, kind, body) for kind, body in bodies]


class Replayer(Liar):
    """Sends what it heard again: as it was, as another kind, as its own, in another view, epoch or channel."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.heard: deque[Message] = deque(maxlen=64)

    def receive(self, data: bytes) -> None:
        """Keep it."""
        self.heard.append(Message.decode(data))
        super().receive(data)

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """The message, and an old one made into something else."""
        if not self.heard:
            return [message]
        rng = self.world.rng
        old = rng.choice(self.heard)
        if rng.randrange(8) == 0:
            elsewhere = replace(self.config, channel=sha256(b"another channel").digest())
            return [message, sign(elsewhere, old.kind, old.body, old.attachment)]
        others = [old, replace(old, kind=rng.choice(tuple(Kind))), replace(old, member=self.config.index)]
        if old.kind in VOTES and is_authentic(self.config, old):
            vote = Vote.decode(old.body)
            moved = rng.choice((replace(vote, view=vote.view + 1), replace(vote, epoch=1), replace(vote, height=1)))
            others.append(replace(old, body=moved.encode()))
        return [message, rng.choice(others)]


class Twin(Liar):
    """One key in two processes that know nothing of each other; who of the others hears which changes all the time."""

    def __init__(self, world: "World", number: int, skew_ms: int) -> None:
        super().__init__(world, number, skew_ms)
        self.other = _SecondTwin(world, number, skew_ms)

    def _faces(self, member: int) -> bool:
        moment = f"{self.world.scenario.seed} {self.world.now // 400} {member}"
        return sha256(moment.encode()).digest()[0] % 2 == 0

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """Each speaks to its part of the committee only."""
        return [message] if self._faces(receiver) else []

    def start(self) -> None:
        """Both start."""
        super().start()
        self.other.start()

    def crash(self) -> None:
        """Both stop."""
        super().crash()
        self.other.crash()

    def receive(self, data: bytes) -> None:
        """One of the two hears it."""
        if self._faces(Message.decode(data).member):
            super().receive(data)
        else:
            self.other.receive(data)

    def follow(self) -> None:
        """Both read the ledger."""
        super().follow()
        self.other.follow()

    def body(self, batch: ProposedBatch, body: bytes) -> None:
        """Both read the topic."""
        super().body(batch, body)
        self.other.body(batch, body)


class _SecondTwin(Liar):
    """The second process."""

    def lie(self, message: Message, receiver: int) -> list[Message]:
        """To the other part of the committee."""
        twin = self.world.members[self.number]
        assert isinstance(twin, Twin)
        return [] if twin._faces(receiver) else [message]
