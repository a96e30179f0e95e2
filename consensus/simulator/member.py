"""A simulated member: the thin shell around a replica, with group commit, and the disk that survives it."""

from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

from consensus.core import effects as fx
from consensus.core.bodies import ProposedBatch
from consensus.core.config import Config, Instant
from consensus.core.messages import Message
from consensus.core.replica import Replica
from consensus.member.votelog import DamagedVoteLog
from consensus.simulator.application import RECORD_BYTES, Ledger, codes_of_body
from consensus.simulator.checkers import Checkers, Violation
from consensus.simulator.storage import VoteLogStore

if TYPE_CHECKING:
    from consensus.simulator.world import World

SYNC_MS = 3
"""Group commit: one sync for all that was written in this time."""
ROTATE = 200
"""Entries after which the vote log is rewritten in its compacted form."""


class ObservedLedger(Ledger):
    """A ledger that shows every block that it applies to the checkers."""

    checkers: Checkers | None = None

    def execute(self, block: fx.OrderedBlock) -> bytes:
        """Apply and show."""
        if self.checkers is not None:
            self.checkers.executed(block)
        note = super().execute(block)
        if self.checkers is not None:
            self.checkers.applied(block.height, note, self.heads)
        return note

    def install(self, block: bytes) -> bool:
        """Take over from another member and show."""
        is_new = super().install(block)
        if is_new and self.checkers is not None:
            found = self.blocks[self.height]
            self.checkers.executed(found.block)
            self.checkers.applied(self.height, found.note, self.heads)
        return is_new


class Member:
    """One member. Its shell hands events to the replica, and effects to disk and wire, persist before send."""

    def __init__(self, world: "World", config: Config, skew_ms: int) -> None:
        self.world, self.config, self.skew_ms = world, config, skew_ms
        self.store = VoteLogStore()
        self.durable: set[bytes] = set()
        self.bodies: dict[bytes, bytes] = {}
        self.ledger: Ledger = ObservedLedger(config, self.bodies)
        self.life = 0
        self.is_up = False
        self.timers: dict[str, int] = {}
        self.outbox: list[tuple[int, fx.Effect]] = []
        self.is_syncing = self.is_set_back = False
        self.replica: Replica

    @property
    def is_honest(self) -> bool:
        """Whether the checkers hold it to the protocol."""
        return not self.is_set_back

    @property
    def now(self) -> Instant:
        """Its clocks: the same monotone time, a skewed wall."""
        return Instant(self.world.now, 1_700_000_000_000 + self.world.now + self.skew_ms)

    def start(self) -> None:
        """Start, or start again after a crash, from what the disk holds; not at all if its vote log is damaged."""
        try:
            entries = self.store.read()
        except DamagedVoteLog:
            return
        self.life += 1
        self.is_up = True
        self.timers.clear()
        self.outbox.clear()
        self.is_syncing = False
        self.durable = set(entries)
        observed = ObservedLedger(self.config, self.bodies)
        again = self.ledger.restarted()
        for name in ("blocks", "heads", "tree", "height", "time_ms"):
            setattr(observed, name, getattr(again, name))
        if self.is_honest:
            observed.checkers = self.world.checkers
        self.ledger = observed
        self.replica = Replica.restore(self.config, self.ledger, entries, self.now)
        self.do(self.replica.start(self.now))

    def crash(self) -> None:
        """Lose what is in memory, and some of what was not synced."""
        self.is_up = False
        self.store.crash(self.world.rng)
        self.bodies_lost()

    def set_back(self, store: VoteLogStore, ledger: Ledger) -> None:
        """Start from a backup: what was signed since is forgotten, and this member counts among the faulty."""
        self.is_set_back = True
        self.store, self.ledger = store, ledger
        self.start()

    def wiped(self) -> None:
        """Start with an empty disk."""
        self.ledger.blocks, self.bodies = {}, {}
        self.set_back(VoteLogStore(), self.ledger.restarted())

    def spoil_copy(self, rng: Random) -> None:
        """Change a bit of a certified block on the disk: one that doesn't hold any more goes, and all above it."""
        if not self.ledger.blocks:
            return
        height = rng.choice(sorted(self.ledger.blocks))
        damaged = bytearray(self.ledger.certified(height) or b"")
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        kept = self.ledger.blocks
        self.ledger.blocks = {below: block for below, block in kept.items() if below < height}
        if self.ledger.restarted().install(bytes(damaged)):
            self.ledger.blocks = kept

    def bodies_lost(self) -> None:
        """Keep only bodies of certified batches: the rest is read from the topic again."""
        kept = {batch.digest for found in self.ledger.blocks.values() for batch in found.block.batches}
        for digest in [digest for digest in self.bodies if digest not in kept]:
            del self.bodies[digest]

    def forget(self, digests: tuple[bytes, ...]) -> None:
        """Let go of bodies that were refused; those that were applied are the ledger's."""
        for digest in digests:
            batch = self.world.published[digest]
            if self.ledger.stream_head(batch.submitter, batch.stream) < batch.number:
                self.bodies.pop(digest, None)

    def receive(self, data: bytes) -> None:
        """A message from the wire."""
        self.do(self.replica.receive(data, self.now))

    def body(self, batch: ProposedBatch, body: bytes) -> None:
        """A batch from the topic or another member: checked, kept, handed over; its verdict follows."""
        assert sha256(body).digest() == batch.digest
        if not body or len(body) % RECORD_BYTES:
            return
        self.bodies[batch.digest] = body
        records = len(body) // RECORD_BYTES
        self.do(self.replica.batch_arrived(*self._facts(batch), records, len(body), self.now))
        self.world.after(self.world.rng.randint(1, 30), self, lambda: self.judge(batch.digest, body))

    @staticmethod
    def _facts(batch: ProposedBatch) -> tuple[bytes, str, str, int]:
        return batch.digest, batch.submitter, batch.stream, batch.number

    def judge(self, digest: bytes, body: bytes) -> None:
        """The contract's result; contested batches are those on which honest members differ, by their first record."""
        codes = codes_of_body(body)
        if self.world.sees_other(digest, self):
            codes = b"\0\x09" + codes[2:]
        self.do(self.replica.verdict(digest, codes, self.now))

    def fire(self, name: str, token: int) -> None:
        """A timer ran out, unless it was set anew or cancelled."""
        if self.timers.get(name) == token:
            del self.timers[name]
            self.do(self.replica.timer(name, self.now))
            if name == "status" and self.is_honest:
                self.world.checkers.bounded(self.replica.sizes(), self.replica.in_pool)

    def do(self, effects: list[fx.Effect]) -> None:
        """Take effects: entries to the disk at once, everything that others may see after the next sync."""
        for effect in effects:
            self.world.trace(self.config.index, effect)
            if isinstance(effect, fx.Persist):
                self.store.append(effect.entry)
            elif isinstance(effect, fx.Send | fx.Certified):
                self.outbox.append((len(self.store.entries), effect))
            else:
                self._act(effect)
        if self.outbox and not self.is_syncing:
            self.is_syncing = True
            self.world.after(SYNC_MS, self, self.sync)

    def _act(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.SetTimer):
            token = self.world.token()
            self.timers[effect.name] = token
            self.world.after(effect.delay_ms, self, lambda: self.fire(effect.name, token))
        elif isinstance(effect, fx.CancelTimer):
            self.timers.pop(effect.name, None)
        elif isinstance(effect, fx.BatchDone):
            self.forget(effect.digests)
        elif isinstance(effect, fx.BatchRequested):
            body = self.bodies.get(effect.digest)
            if body is not None:
                self.do(self.replica.send_batch(effect.member, effect.digest, body, self.now))
        elif isinstance(effect, fx.BatchReceived):
            batch = self.world.published.get(effect.digest)
            if batch is not None and sha256(effect.body).digest() == effect.digest:
                self.body(batch, effect.body)
        elif isinstance(effect, fx.Divergence) and self.is_honest:
            raise Violation(f"member {self.config.index} stopped at {effect.height}: {effect.reason}")
        elif isinstance(effect, fx.Evidence) and effect.member not in self.world.liars:
            raise Violation(f"evidence against the honest member {effect.member}: {effect.kind}")
        elif isinstance(effect, fx.Dissent):
            self._check_dissent(effect)

    def _check_dissent(self, dissent: fx.Dissent) -> None:
        """Honest members differ on contested batches only; a dissent is no guilt."""
        if dissent.member not in self.world.liars and dissent.batch not in self.world.contested:
            raise Violation(f"the honest member {dissent.member} is shown as dissenting at {dissent.height}")

    def sync(self) -> None:
        """One sync for all that waits, then transmit what waited for it."""
        self.is_syncing = False
        self.durable.update(self.store.entries[self.store.synced :])
        self.store.sync(len(self.store.entries))
        waiting, self.outbox = self.outbox, []
        for _, effect in waiting:
            self.release(effect)
        if len(self.store.entries) > ROTATE and not self.outbox:
            self.store.rotate(self.replica.compacted())

    def release(self, effect: fx.Effect) -> None:
        """What others see, or what rests on a durable log."""
        if isinstance(effect, fx.Certified):
            self.ledger.keep(effect.block, effect.note, effect.signatures)
            if self.is_honest:
                self.world.checkers.certified(effect)
        elif isinstance(effect, fx.Send):
            if self.is_honest:
                self.world.checkers.transmitted(Message.decode(effect.message), self.durable)
            self.world.transmit(self.config.index, effect)
