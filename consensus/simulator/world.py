"""A whole committee in one process: virtual time, one seeded scheduler, faults, and a client that keeps proposing."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random

from carbon.merkle import leaf_hash
from consensus.core import effects as fx
from consensus.core import messages
from consensus.core.bodies import ProposedBatch
from consensus.core.config import MemberKeys
from consensus.core.replica import RULES
from consensus.simulator.application import MEMBERS, Ledger, change_body, leaves, name_of
from consensus.simulator.byzantine import Liar
from consensus.simulator.checkers import Checkers, Violation, require
from consensus.simulator.liars import LIARS, Ghost
from consensus.simulator.member import Member
from consensus.simulator.membership import CHANGES, Seat, genesis_of, identity, planned
from consensus.simulator.network import Network
from consensus.simulator.submitters import ROGUE, ROGUES, Offer, Rogue

HEAL_BOUND_MS = 60_000
"""After the network has healed, everything that was proposed is certified everywhere within this virtual time."""

READ_MS = 150
"""How often a member reads the ledger topic."""
LOOK_MS = 20
"""How often it is seen whether all is done."""


@dataclass(frozen=True)
class Scenario:
    """What a run is made of. Times in ms of virtual time."""

    seed: int
    members: int = 4
    batches: int = 8
    faults_until: int = 5_000
    loss: float = 0.0
    repetition: float = 0.0
    straggling: float = 0.0
    partitions: int = 0
    crashes: int = 0
    liars: tuple[type[Liar], ...] = ()
    """Behaviour of the first members: member 0 is the primary of view 0."""
    silenced: tuple[int, ...] = ()
    """Members that are down from the start and for ever."""
    jumps: int = 0
    """Times that some member's wall clock jumps, within what the committee's bound on block time lets pass."""
    backups: int = 0
    """Members, the last of all, whose disk is set back once to what it was some time before."""
    contested: int = 0
    """Batches on which honest members disagree by three to two (seven members)."""
    two_faced: int = 0
    """Batches of gateways that signed two packets for one place: who sees which changes with each start of a member."""
    rogues: tuple[Rogue, ...] = ()
    """Submitters that lie, each in its way."""
    damaged_logs: int = 0
    """Members, the last of all, in whose synced vote log a bit changes: they must not start, and get an empty disk."""
    damaged_copies: int = 0
    """Members, the last of all, in whose copy of the ledger a bit changes, once."""
    changes: tuple[str, ...] = ()
    """Changes of the committee, one after the other: see `membership.CHANGES`."""
    cached: bool = True
    """Whether verified signatures are remembered."""


def drawn(seed: int) -> Scenario:
    """The scenario of a seed: everything about a run follows from this number."""
    rng = Random(f"scenario {seed}")  # noqa: S311 a run must be repeatable
    members = 7 if rng.random() < 0.08 else 4
    f = (members - 1) // 3
    liars = tuple(rng.choice(LIARS) for _ in range(rng.randint(0, f)))
    spare = f - len(liars)
    silenced = (members - 1,) if spare and rng.random() < 0.3 else ()
    is_spare = spare and not silenced
    disk = rng.choice(("", "backups", "damaged_logs", "damaged_copies")) if is_spare and rng.random() < 0.6 else ""
    drawn_changes = Random(f"changes {seed}")  # noqa: S311 as above
    changes: tuple[str, ...] = ()
    if drawn_changes.random() < 0.05:
        changes = tuple(drawn_changes.choice(CHANGES) for _ in range(drawn_changes.choice((1, 1, 2))))
        liars = tuple(Ghost if drawn_changes.random() < 0.5 else liar for liar in liars)
    return Scenario(
        seed=seed,
        members=members,
        batches=rng.randint(2, 6),
        faults_until=rng.choice((400, 600, 1_000, 1_500, 2_000)),
        loss=rng.choice((0.0, 0.0, 0.02, 0.1, 0.25)),
        repetition=rng.choice((0.0, 0.05, 0.2)),
        straggling=rng.choice((0.0, 0.02, 0.1)),
        partitions=rng.choice((0, 0, 1, 3)),
        crashes=rng.choice((0, 0, 1, 3, 6)),
        jumps=rng.choice((0, 0, 0, 2)),
        liars=liars,
        silenced=silenced,
        contested=1 if members == 7 and rng.random() < 0.5 else 0,
        two_faced=rng.choice((0, 0, 0, 0, 1, 2)),
        rogues=(rng.choice(ROGUES),) if rng.random() < 0.15 else (),
        changes=changes,
        cached=rng.random() > 0.03,
        **({disk: 1} if disk else {}),
    )


def short(seed: int) -> Scenario:
    """A scenario of four members that is soon over, so that thousands fit into the tests. All that is drawn stands."""
    long = drawn(seed)
    rest = replace(long, liars=long.liars[:1], contested=0, silenced=(3,) if long.silenced else ())
    if rest.liars:
        rest = replace(rest, silenced=(), backups=0, damaged_logs=0, damaged_copies=0)
    return replace(rest, members=4, batches=1 + seed % 3, faults_until=min(rest.faults_until, 400))


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `trace` is the digest of every effect of every member in order."""

    seed: int
    height: int
    views: int
    now: int
    events: int
    trace: str
    failure: str = ""


class World:
    """One run."""

    def __init__(self, scenario: Scenario, show: Callable[[str], None] | None = None) -> None:
        self.scenario, self._show = scenario, show
        self.rng = Random(f"run {scenario.seed}")  # noqa: S311 a run must be repeatable
        self.now = 0
        self.events = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._tokens = 0
        self._trace = sha256()
        self.network = Network(self.rng, scenario.loss, scenario.repetition, scenario.straggling)
        self.published: dict[bytes, ProposedBatch] = {}
        self.topic: dict[bytes, bytes] = {}
        self.contested: dict[bytes, frozenset[int]] = {}
        self.two_faced: set[bytes] = set()
        self.blocks: dict[int, bytes] = {}
        """The ledger topic: what honest members published, some time after."""
        self.is_changed = not scenario.changes
        self._submitted = 0
        self._plan()
        self.members = self._committee()
        self.liars = {member.number for member in self.members if not member.is_honest}
        self.checkers = Checkers(self.genesis)

    def _plan(self) -> None:
        """Who is to be in the committee of each epoch, and with which keys."""
        scenario, n = self.scenario, self.scenario.members
        rng = Random(f"committees {scenario.seed}")  # noqa: S311 a run must be repeatable
        forgetful = range(n - max(scenario.backups, scenario.damaged_logs), n)
        faulty = {*range(len(scenario.liars)), *scenario.silenced, *forgetful}
        leaving = {i for i, liar in enumerate(scenario.liars) if liar is Ghost}
        self.committees = planned(rng, n, scenario.changes, faulty, leaving)
        seats = sorted({seat for committee in self.committees for seat in committee})
        self.identities = [
            [identity(scenario.seed, n, seat) for seat in seats if seat.member == number]
            for number in range(1 + max(seat.member for seat in seats))
        ]
        self._numbers = {own.keys: number for number, all_own in enumerate(self.identities) for own in all_own}
        self.directory = {name_of(keys): keys for keys in self._numbers}
        self.genesis = genesis_of(tuple(map(self._keys_of, self.committees[0])))

    def _keys_of(self, seat: Seat) -> MemberKeys:
        return identity(self.scenario.seed, self.scenario.members, seat).keys

    def _committee(self) -> list[Member]:
        kinds = [*self.scenario.liars, *[Member] * len(self.identities)]
        return [kinds[number](self, number, self.rng.randint(-200, 200)) for number in range(len(self.identities))]

    def number_of(self, keys: MemberKeys) -> int:
        """Whose keys these are."""
        return self._numbers[keys]

    # ---- time

    def token(self) -> int:
        """A number that was never given before."""
        self._tokens += 1
        return self._tokens

    def at(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Let something happen after a delay."""
        heapq.heappush(self._queue, (self.now + delay_ms, self.token(), act))

    def after(self, delay_ms: int, member: Member, act: Callable[[], None]) -> None:
        """Let something happen to a member after a delay, unless it has crashed by then."""
        life = member.life
        self.at(delay_ms, lambda: act() if member.is_up and member.life == life else None)

    def step(self) -> None:
        """The next thing that happens."""
        self.now, _, act = heapq.heappop(self._queue)
        self.events += 1
        act()

    def trace(self, member: int, effect: fx.Effect) -> None:
        """Take an effect into the digest of the run."""
        if isinstance(effect, fx.Send):
            content = effect.message
        else:
            content = effect.entry if isinstance(effect, fx.Persist) else repr(effect).encode()
        self._trace.update(b"%d %d " % (self.now, member) + content)
        if self._show is not None:
            self._show(f"{self.now} ms, member {member}: {told(effect)}")

    # ---- wire and topic

    def transmit(self, sender: Member, send: fx.Send) -> None:
        """Put a message on the wire; one to a single member is to a seat of the sender's epoch."""
        to = None if send.to is None else self.number_of(sender.config.members[send.to])
        for member in self.members:
            if member.number != sender.number and to in (None, member.number):
                for delay in self.network.deliveries(sender.number, member.number):
                    self.at(delay, lambda member=member: self._deliver(member, send.message))  # type: ignore[misc]

    @staticmethod
    def _deliver(member: Member, data: bytes) -> None:
        if member.is_up:
            member.receive(data)

    def publish_block(self, ledger: Ledger, height: int) -> None:
        """A certified block goes to the ledger topic, if somebody may need it there."""
        if self.scenario.changes:
            block = ledger.certified(height) or b""
            self.at(self.rng.randint(1, 300), lambda: self.blocks.update({height: block}))

    def _read_topic(self) -> None:
        for member in self.members:
            if member.is_up:
                member.follow()
        self.at(READ_MS, self._read_topic)

    def _change(self) -> None:
        """Submit the next change of the committee, and again one that was recorded while another was pending."""
        ledger = max((member.ledger for member in self.members if member.is_honest), key=lambda found: found.height)
        done, head = len(ledger.epochs) - 1, ledger.stream_head(*MEMBERS)
        if done == len(self.scenario.changes):
            self._schedule_batch(("after", "a"), 1)
            self.is_changed = True
            return
        if head == self._submitted:
            self._submitted += 1
            keys = map(self._keys_of, self.committees[done + 1])
            body = change_body(keys, 2 * self.genesis.window + self.rng.randint(0, 4), self._submitted)
            batch = ProposedBatch(*MEMBERS, self._submitted, sha256(body).digest(), b"")
            self.publish(batch, body)
        self.at(self.rng.randint(50, 500), self._change)

    def publish(self, batch: ProposedBatch, body: bytes) -> None:
        """A submitter puts a batch on the topic; it does so again until it is applied somewhere honest."""
        self.published[batch.digest] = batch
        self.topic[batch.digest] = body
        self._put(batch, body, 0.9)
        if self.now < self.scenario.faults_until or not self._is_applied(batch):
            self.at(1_000, lambda: self.publish(batch, body))

    def _put(self, batch: ProposedBatch, body: bytes, share: float, *, again: bool = False) -> None:
        for member in self.members:
            if member.is_up and (again or batch.digest not in member.bodies) and self.rng.random() < share:
                self._hand_over(member, batch, body)

    def _offer(self, offer: Offer) -> None:
        """A submitter that lies shows a batch, and an old one of anybody once more."""
        batch = ProposedBatch(ROGUE, "a", offer.number, sha256(offer.body).digest(), b"")
        self.published[batch.digest] = batch
        self.topic[batch.digest] = offer.body
        self._put(batch, offer.body, offer.share, again=True)
        old = self.rng.choice(list(self.topic))
        self._put(self.published[old], self.topic[old], 0.5, again=True)

    def sees_other(self, digest: bytes, member: Member) -> bool:
        """Whether a member holds the other one of two packets that a gateway signed for one place."""
        turn = member.life if digest in self.two_faced else 0
        return (member.number + turn) % self.scenario.members in self.contested.get(digest, ())

    def _hand_over(self, member: Member, batch: ProposedBatch, body: bytes) -> None:
        self.after(self.rng.randint(1, 60), member, lambda: member.body(batch, body))

    def _is_applied(self, batch: ProposedBatch) -> bool:
        return all(
            member.ledger.stream_head(batch.submitter, batch.stream) >= batch.number for member in self.honest(up=True)
        )

    def honest(self, *, up: bool = False) -> list[Member]:
        """The honest members; with `up`, those that run."""
        return [member for member in self.members if member.is_honest and (member.is_up or not up)]

    def _seated(self) -> list[Member]:
        """The honest members that run and have a seat in the epoch that they are in."""
        return [member for member in self.honest(up=True) if member.is_seated]

    # ---- the run

    def play(self) -> None:
        """The whole run: start, faults, healing, and progress for all within a bound. Raises Violation."""
        self._schedule()
        while self.now < self.scenario.faults_until:
            self.step()
        self._heal()
        end = self.now + HEAL_BOUND_MS
        while not self._is_finished():
            if self.now >= end:
                raise Violation(f"no progress {HEAL_BOUND_MS} ms after healing: {self._standing()}")
            until = self.now + LOOK_MS
            while self.now < until:
                self.step()
        self._finish()

    def _schedule(self) -> None:
        scenario, rng = self.scenario, self.rng
        for member in self.members:
            if member.number not in scenario.silenced:
                self.at(rng.randint(0, 50), lambda member=member: self._restart(member))  # type: ignore[misc]
        self._schedule_batches()
        if scenario.changes:
            self.at(rng.randint(0, scenario.faults_until), self._change)
            self.at(READ_MS, self._read_topic)
        for _ in range(scenario.partitions):
            # strictly before the end of all faults: a split after healing would be for ever
            self.at(rng.randrange(scenario.faults_until), lambda: self.network.split(len(self.members)))
            self.at(rng.randrange(scenario.faults_until), self.network.mend)
        for _ in range(scenario.crashes):
            self.at(rng.randint(0, scenario.faults_until), self._crash_one)
        for _ in range(scenario.jumps):
            self.at(rng.randint(0, scenario.faults_until), self._jump)
        for fault, count in (
            (self._back_up, scenario.backups),
            (self._damage_log, scenario.damaged_logs),
            (self._damage_copy, scenario.damaged_copies),
        ):
            for member in self.members[scenario.members - count : scenario.members]:
                self.at(rng.randrange(scenario.faults_until), lambda fault=fault, member=member: fault(member))  # type: ignore[misc]

    def _schedule_batches(self) -> None:
        streams = [("power", "a"), ("power", "b"), ("steel", "a")]
        numbers = dict.fromkeys(streams, 0)
        for _ in range(self.scenario.batches):
            stream = self.rng.choice(streams)
            numbers[stream] += 1
            self._schedule_batch(stream, numbers[stream])
        for i in range(self.scenario.contested):
            digest = self._schedule_batch((f"contested {i}", "a"), 1)
            liars = len(self.scenario.liars)
            self.contested[digest] = frozenset(range(liars, liars + 2))
        for i in range(self.scenario.two_faced):
            digest = self._schedule_batch((f"two-faced {i}", "a"), 1)
            members = range(self.scenario.members)
            self.contested[digest] = frozenset(self.rng.sample(members, self.rng.randrange(1, len(members))))
            self.two_faced.add(digest)
        for rogue in self.scenario.rogues:
            for offer in rogue(self.rng):
                self.at(self.rng.randint(0, self.scenario.faults_until), lambda offer=offer: self._offer(offer))  # type: ignore[misc]

    def _schedule_batch(self, stream: tuple[str, str], number: int) -> bytes:
        body = self.rng.randbytes(8 * self.rng.randint(1, 5))
        batch = ProposedBatch(*stream, number, sha256(body).digest(), b"")
        self.at(self.rng.randint(0, self.scenario.faults_until), lambda: self.publish(batch, body))
        return batch.digest

    def at_boundary(self, member: Member) -> None:
        """A member has the last block of an epoch: it goes on a little later, or crashes there."""
        self.after(self.rng.randint(1, 20), member, member.leave)
        if self.scenario.crashes and self.rng.random() < 0.1:
            self.after(self.rng.randint(1, 20), member, lambda: self._crash(member))

    def _crash_one(self) -> None:
        self._crash(self.rng.choice(self.members))

    def _crash(self, member: Member) -> None:
        if member.is_up:
            member.crash()
            self.at(self.rng.randint(1, 1_500), lambda: self._restart(member))

    def _jump(self) -> None:
        self.rng.choice(self.members).skew_ms = self.rng.randint(-4_000, 4_000)

    def _back_up(self, member: Member) -> None:
        """Copy a member's disk; a little later it crashes and comes back with the copy."""
        store, ledger = member.store.copied(), member.ledger.restarted()

        def set_back() -> None:
            if member.is_up:
                member.crash()
            self.liars.add(member.number)
            self._restart(member, lambda: member.set_back(store, ledger))

        self.at(self.rng.randint(100, 1_000), set_back)

    def _damage_log(self, member: Member) -> None:
        """Change a bit of a member's vote log. It must not start; later its operator gives it an empty disk."""
        if member.is_up:
            member.crash()
        if not member.store.spoil(self.rng):
            return self._restart(member)
        self._restart(member)
        require(not member.is_up, "a member started with a damaged vote log")
        self.liars.add(member.number)
        return self.at(self.rng.randint(50, 500), lambda: self._restart(member, member.wiped))

    def _damage_copy(self, member: Member) -> None:
        """Change a bit of a member's copy of the ledger: from there on it is thrown away, and comes from the others."""
        if member.is_up:
            member.crash()
        member.spoil_copy(self.rng)
        self._restart(member)

    def _restart(self, member: Member, start: Callable[[], None] | None = None) -> None:
        if not member.is_up:
            (start or member.start)()
            for digest, body in self.topic.items():
                if member.is_up and digest not in member.bodies:
                    self._hand_over(member, self.published[digest], body)

    def _heal(self) -> None:
        self.network.calm()
        for member in self.members:
            if not member.is_up and member.number not in self.scenario.silenced:
                self._restart(member)

    def look(self, member: Member) -> None:
        """Compare what an honest member has decided on contested batches with what others have."""
        for digest in self.contested:
            codes = member.replica.decided(digest)
            if codes is not None:
                self.checkers.decided(member.config.epoch, digest, codes)

    def _is_finished(self) -> bool:
        honest = self.honest(up=True)
        if len({h for member in honest for h in (member.certified, member.ledger.height)}) != 1:
            return False
        if not self.is_changed or {member.config.epoch for member in honest} != {len(self.scenario.changes)}:
            return False
        # all stand at one height, and what they applied there is the same: one of them speaks for all
        return all(
            honest[0].ledger.stream_head(batch.submitter, batch.stream) >= batch.number
            for batch in self.published.values()
            if batch.digest not in self.contested and batch.submitter != ROGUE
        )

    def _standing(self) -> str:
        return "; ".join(
            f"{member.number}: epoch {member.config.epoch} view {member.replica.view}"
            f"{'?' if member.replica.is_changing else ''} certified {member.replica.certified}"
            f" executed {member.replica.executed} pool {member.replica.in_pool}"
            if member.is_seated
            else f"{member.number}: reads, epoch {member.config.epoch} height {member.ledger.height}"
            for member in self.honest(up=True)
        )

    def _finish(self) -> None:
        longest = max(self.honest(up=True), key=lambda member: member.ledger.height)
        hashes = [
            leaf_hash(leaf)
            for _, (_, _, batches) in sorted(self.checkers.blocks.items())
            for batch in batches
            for leaf in leaves(self.topic[batch.digest], batch.codes)
        ]
        require(len(hashes) >= longest.ledger.tree.size, "a record that nobody was seen to apply")
        self.checkers.grown(hashes)

    def outcome(self, failure: str = "") -> Outcome:
        """What came of it so far."""
        up = [member.replica for member in self._seated()]
        height = max((replica.certified for replica in up), default=0)
        views = max((replica.view for replica in up), default=0)
        trace = self._trace.hexdigest()
        return Outcome(self.scenario.seed, height, views, self.now, self.events, trace, failure)


def told(effect: fx.Effect) -> str:
    """An effect in a line of a trace."""
    if isinstance(effect, fx.Send):
        message = messages.Message.decode(effect.message)
        body = RULES[message.kind].body.decode(message.body)
        return f"sends {message.kind} to {'all' if effect.to is None else effect.to}: {repr(body)[:160]}"
    return repr(effect)[:160]


def play(scenario: Scenario, show: Callable[[str], None] | None = None) -> Outcome:
    """Run a scenario to its end; a property that breaks stands in the outcome, anything else that raises too.

    `show` is given each effect of each member as a line.
    """
    limit, messages.signatures.limit = messages.signatures.limit, messages.signatures.limit if scenario.cached else 0
    world = World(scenario, show)
    try:
        world.play()
    except Exception as error:
        # a core that raises is as much a failure as a broken property: the seed says which run it was
        return world.outcome(f"{type(error).__name__}: {error}")
    finally:
        messages.signatures.limit = limit
    return world.outcome()


def run(seed: int) -> Outcome:
    """The run of a seed: the same seed gives the same trace."""
    return play(drawn(seed))
