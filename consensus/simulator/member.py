"""A simulated member: the thin shell around a replica, with group commit, and the disk that survives it."""

from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

from consensus.core import effects as fx
from consensus.core.bodies import ProposedBatch
from consensus.core.config import Instant
from consensus.core.messages import Message
from consensus.core.replica import Replica
from consensus.member.votelog import DamagedVoteLog
from consensus.simulator.application import RECORD_BYTES, Ledger, certificate_of, codes_of_body
from consensus.simulator.checkers import Checkers, Violation
from consensus.simulator.membership import seated
from consensus.simulator.storage import VoteLogStore

if TYPE_CHECKING:
    from consensus.simulator.world import World

SYNC_MS = 3
"""Group commit: one sync for all that was written in this time."""
ALONE_MS = 1_500
"""How long a member stands still behind the ledger topic before it takes it that nobody answers any more."""
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
            self.checkers.recorded(self.epochs)
            self.checkers.applied(block.height, note, self.heads)
        return note

    def install(self, block: bytes) -> bool:
        """Take over from another member and show."""
        is_new = super().install(block)
        if is_new and self.checkers is not None:
            found = self.blocks[self.height]
            self.checkers.recorded(self.epochs)
            self.checkers.executed(found.block)
            self.checkers.applied(self.height, found.note, self.heads)
            self.checkers.certified(found.block, found.note, found.signatures)
        return is_new


class Member:
    """One member. Its shell hands events to the replica, and effects to disk and wire, persist before send.

    Its number is its own for the whole run, its index that of its seat in an epoch. Without a seat it only reads.
    """

    def __init__(self, world: "World", number: int, skew_ms: int) -> None:
        self.world, self.number, self.skew_ms = world, number, skew_ms
        self.config = seated(world.genesis, world.identities[number])
        self.store = VoteLogStore()
        self.durable: set[bytes] = set()
        self.bodies: dict[bytes, bytes] = {}
        self.ledger: Ledger = ObservedLedger(self.config, self.bodies, world.directory, (world.genesis,))
        self.life = 0
        self.is_up = False
        self.timers: dict[str, int] = {}
        self.outbox: list[tuple[int, fx.Effect]] = []
        self.is_syncing = self.is_set_back = self.is_leaving = False
        self.stood = (0, 0)
        """The last height certified here, and since when."""
        self.replica: Replica

    @property
    def is_seated(self) -> bool:
        """Whether it is of the committee of the epoch that it is in."""
        return bool(self.config.vote_seed)

    @property
    def certified(self) -> int:
        """Last height whose certificate it holds."""
        return self.replica.certified if self.is_seated else self.ledger.height

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
            self.store.read()
        except DamagedVoteLog:
            return
        self.life += 1
        self.is_up = True
        self.timers.clear()
        self.outbox.clear()
        self.is_syncing = False
        self._restart_ledger()
        self.enter()

    def _restart_ledger(self) -> None:
        """Take the ledger from the disk, as it is certified."""
        observed = ObservedLedger(self.config, self.bodies, self.world.directory, (self.world.genesis,))
        again = self.ledger.restarted()
        for name in ("blocks", "heads", "tree", "height", "time_ms", "epochs"):
            setattr(observed, name, getattr(again, name))
        if self.is_honest:
            observed.checkers = self.world.checkers
        self.ledger = observed

    def enter(self) -> None:
        """Begin in the epoch of the next height. Each has a vote log of its own: the one before is deleted now.

        Who finds the log of a later epoch has lost blocks of its ledger: without the log of this one, it only reads.
        """
        epoch = self.ledger.epoch_of(self.ledger.height + 1)
        self.is_leaving = False
        own = self.world.identities[self.number] if self.store.epoch <= epoch.epoch else []
        self.config = self.ledger.config = seated(epoch, own)
        if self.store.epoch < epoch.epoch:
            self.store = VoteLogStore(epoch.epoch)
        self.timers.clear()
        self.durable = set(self.store.entries)
        if self.is_seated:
            self.replica = Replica.restore(self.config, self.ledger, self.store.entries, self.now)
            self.do(self.replica.start(self.now))

    def leave(self) -> None:
        """The epoch's last height is kept: finish what waits for the disk, go on, offer and judge what is held."""
        self.sync()
        self.enter()
        for digest, body in list(self.bodies.items()):
            batch = self.world.published[digest]
            if self.is_seated and self.ledger.stream_head(batch.submitter, batch.stream) < batch.number:
                self.body(batch, body)

    def leave_if_over(self) -> None:
        """Go on to the next epoch a little later, if the last block of this one is on the disk."""
        kept = next(reversed(self.ledger.blocks), 0)
        if not self.is_leaving and self.ledger.epoch_of(kept + 1).epoch > self.config.epoch:
            self.is_leaving = True
            self.world.at_boundary(self)

    def follow(self) -> None:
        """Read the ledger topic: without a seat all of it, with one the certificate of what is applied here.

        Who has a seat and stands still behind the topic is alone in its epoch, and begins again with what is there.
        """
        if self.certified != self.stood[0]:
            self.stood = (self.certified, self.world.now)
        while (block := self.world.blocks.get(self.certified + 1)) is not None and not self.is_leaving:
            before = self.certified
            if not self.is_seated:
                self.ledger.install(block)
            elif self.ledger.height > before:
                self.do(self.replica.certificate_seen(before + 1, *certificate_of(block), self.now))
            elif self.world.now - self.stood[1] >= ALONE_MS:
                self._read_on()
                self.stood = (self.certified, self.world.now)
                break
            if self.certified == before:
                break
        self.leave_if_over()

    def _read_on(self) -> None:
        """Take what the topic has of this epoch: what was signed in the next one is for its members to say first."""
        self.sync()
        self._restart_ledger()
        while (block := self.world.blocks.get(self.ledger.height + 1)) is not None:
            if self.ledger.epoch_of(self.ledger.height + 1).epoch > self.config.epoch or not self.ledger.install(block):
                break
        self.leave()

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
        if self.is_seated:
            self.do(self.replica.receive(data, self.now))

    def body(self, batch: ProposedBatch, body: bytes) -> None:
        """A batch from the topic or another member: checked, kept, handed over; its verdict follows."""
        assert sha256(body).digest() == batch.digest
        if not body or len(body) % RECORD_BYTES:
            return
        self.bodies[batch.digest] = body
        records = len(body) // RECORD_BYTES
        if not self.is_seated:
            return
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
        if self.is_seated:
            self.do(self.replica.verdict(digest, codes, self.now))

    def fire(self, name: str, token: int) -> None:
        """A timer ran out, unless it was set anew or cancelled."""
        if self.timers.get(name) == token:
            del self.timers[name]
            self.do(self.replica.timer(name, self.now))
            if name == "status" and self.is_honest:
                self.world.checkers.bounded(self.replica.sizes(), self.replica.in_pool, self.config.n)

    def do(self, effects: list[fx.Effect]) -> None:
        """Take effects: entries to the disk at once, everything that others may see after the next sync."""
        if self.is_honest and self.is_seated:
            self.world.look(self)
        for effect in effects:
            self.world.trace(self.number, effect)
            if isinstance(effect, fx.Persist):
                self.store.append(effect.entry)
            elif isinstance(effect, fx.Send | fx.Certified):
                self.outbox.append((len(self.store.entries), effect))
            else:
                self._act(effect)
        if self.outbox and not self.is_syncing:
            self.is_syncing = True
            self.world.after(SYNC_MS, self, self.sync)
        if self.replica.is_over:
            self.leave_if_over()

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
            raise Violation(f"member {self.number} stopped at {effect.height}: {effect.reason}")
        elif isinstance(effect, fx.Evidence) and self._number_of(effect.member) not in self.world.liars:
            raise Violation(f"evidence against the honest member {effect.member}: {effect.kind}")
        elif isinstance(effect, fx.Dissent):
            self._check_dissent(effect)

    def _check_dissent(self, dissent: fx.Dissent) -> None:
        """Honest members differ on contested batches only; a dissent is no guilt."""
        member = self._number_of(dissent.member)
        if member not in self.world.liars and dissent.batch not in self.world.contested:
            raise Violation(f"the honest member {member} is shown as dissenting at {dissent.height}")

    def _number_of(self, index: int) -> int:
        """Whose seat this is in the epoch that this member is in."""
        return self.world.number_of(self.config.members[index])

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
                self.world.checkers.certified(effect.block, effect.note, effect.signatures)
                self.world.publish_block(self.ledger, effect.height)
            self.leave_if_over()
        elif isinstance(effect, fx.Send):
            if self.is_honest:
                self.world.checkers.transmitted(Message.decode(effect.message), self.durable)
            self.world.transmit(self, effect)
