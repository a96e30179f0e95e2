"""The committee that is searched: keys, the two values of each height, and the application behind each replica."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from carbon.signing import public_key
from consensus.core.bodies import Endorsement, Proposal, ProposedBatch
from consensus.core.config import Config, Instant, MemberKeys
from consensus.core.effects import Effect, OrderedBlock
from consensus.core.endorsements import verdict_of
from consensus.core.messages import Kind, Message, sign
from consensus.core.replica import Replica

MEMBERS = 4
WALL_MS = 1_700_000_000_000
CODES = b"\0\0"
"""Every batch is one record that passes."""


@dataclass(frozen=True)
class Bounds:
    """What is searched: views 0 to `views - 1`, heights 1 to `heights`, two values a height, one Byzantine member."""

    byzantine: int
    views: int
    heights: int
    checkpoints: bool = False
    """Whether heights are certified, so that view changes start from stable checkpoints."""
    applies: bool = True
    """Whether commits are heard and blocks applied. Without, what may be committed is judged by the votes alone."""


class Chain:
    """The application: the blocks themselves, and notes over them."""

    def __init__(self) -> None:
        self.blocks: tuple[OrderedBlock, ...] = ()

    @property
    def height(self) -> int:
        """See `Application`."""
        return len(self.blocks)

    @property
    def time_ms(self) -> int:
        """See `Application`."""
        return self.blocks[-1].time_ms if self.blocks else 0

    @property
    def epoch_end(self) -> None:
        """Members don't change within the bounds."""

    def stream_head(self, submitter: str, stream: str) -> int:
        """See `Application`."""
        return sum(len(block.batches) for block in self.blocks)

    def execute(self, block: OrderedBlock) -> bytes:
        """See `Application`."""
        self.blocks += (OrderedBlock(block.epoch, block.height, block.time_ms, block.batches),)
        return f"searched\n{self.height}\n{sha256(repr(self.blocks).encode()).hexdigest()}\n".encode()

    def install(self, block: bytes) -> bool:
        """Never: blocks are not sent within the bounds."""
        return False

    def certified(self, height: int) -> bytes | None:
        """See `install`."""
        return None

    def certificate(self, height: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
        """See `install`."""
        return None

    def note_height(self, note: bytes) -> int | None:
        """See `Application`."""
        return int(note.split(b"\n")[1])


class Setting:
    """The fixed facts of a search."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        seeds = [sha256(f"searched member {i}".encode()).digest() for i in range(2 * MEMBERS)]
        keys = tuple(MemberKeys(public_key(seeds[i]), public_key(seeds[MEMBERS + i])) for i in range(MEMBERS))
        self.configs = [
            Config(
                channel=sha256(b"a searched channel").digest(),
                members=keys,
                index=i,
                vote_seed=seeds[i],
                note_seed=seeds[MEMBERS + i],
                max_records=1,
                window=bounds.heights,
                endorse_delay_ms=0,
            )
            for i in range(MEMBERS)
        ]
        self.correct = [i for i in range(MEMBERS) if i != bounds.byzantine]
        self.heights = range(1, bounds.heights + 1)

    def primary(self, view: int) -> int:
        """Index of the primary of a view."""
        return view % MEMBERS

    def batch(self, height: int) -> ProposedBatch:
        """The batch that a height is for."""
        return ProposedBatch("power", "a", height, sha256(f"batch {height}".encode()).digest(), CODES)

    @cached_property
    def values(self) -> dict[int, tuple[Proposal, Proposal]]:
        """The two proposals of each height: they differ in their time only, so that every other check passes."""
        return {
            height: (
                Proposal(0, height, WALL_MS, (self.batch(height),)),
                Proposal(0, height, WALL_MS + 1, (self.batch(height),)),
            )
            for height in self.heights
        }

    @cached_property
    def proposals(self) -> dict[bytes, Proposal]:
        """Every proposal of the bounds by its digest, null blocks among them."""
        nulls = [Proposal(0, height, 0, ()) for height in self.heights]
        known = [*nulls, *(value for pair in self.values.values() for value in pair)]
        return {self.digest(proposal): proposal for proposal in known}

    def digest(self, proposal: Proposal) -> bytes:
        """A proposal's digest on this channel."""
        return proposal.digest(self.configs[0].channel)

    def endorsement(self, member: int, height: int) -> Message:
        """A member's verdict on the batch of a height: it passes."""
        verdict = verdict_of(self.batch(height).digest, CODES)
        return sign(self.configs[member], Kind.ENDORSEMENT, Endorsement(0, (verdict,)).encode())

    def started(self, member: int) -> tuple[Replica, list[Effect]]:
        """A replica that holds every batch, decided by all; as primary of view 0 it has proposed the first."""
        now = Instant(0, WALL_MS)
        replica = Replica(self.configs[member], Chain(), now)
        effects = replica.start(now)
        for height in self.heights:
            batch = self.batch(height)
            effects += replica.batch_arrived(batch.digest, batch.submitter, batch.stream, batch.number, 1, 1, now)
            effects += replica.verdict(batch.digest, CODES, now)
        for height in self.heights:
            for other in range(MEMBERS):
                if other != member:
                    effects += replica.receive(self.endorsement(other, height).encode(), now)
        return replica, effects
