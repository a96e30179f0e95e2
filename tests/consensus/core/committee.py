"""A committee on a perfect wire, for tests that follow the protocol step by step: what is sent is delivered when a test
says so, to whom it says so; timers run when a test moves the time."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from carbon.signing import public_key
from consensus.core import effects as fx
from consensus.core.config import Config, Instant, MemberKeys
from consensus.core.messages import Kind, Message
from consensus.core.replica import Replica
from consensus.simulator.application import MEMBERS, Ledger, change_body, codes_of_body, name_of

CHANNEL = sha256(b"a channel of tests").digest()
WALL = 1_700_000_000_000
Hears = Callable[[int, int, Message], bool]


WINDOWS = 8
"""Heights of two windows: an epoch ends so far above its change at least."""


def seed(name: str) -> bytes:
    return sha256(name.encode()).digest()


def keys_of(i: int) -> MemberKeys:
    return MemberKeys(public_key(seed(f"vote {i}")), public_key(seed(f"note {i}")))


def config_of(index: int, n: int = 4, **settings: Any) -> Config:
    keys = tuple(keys_of(i) for i in range(n))
    return Config(CHANNEL, keys, index, seed(f"vote {index}"), seed(f"note {index}"), **settings)


def after(config: Config, members: Sequence[int], place: int, base: int) -> Config:
    """The facts of the next epoch for the one at `place` of `members`, each with its keys."""
    who = members[place]
    keys = tuple(map(keys_of, members))
    seeds = {"vote_seed": seed(f"vote {who}"), "note_seed": seed(f"note {who}")}
    return replace(config, epoch=config.epoch + 1, base=base, members=keys, index=place, **seeds)


def body_of(name: str, records: int = 2) -> bytes:
    """A batch of records that all pass."""
    return b"".join(b"\xff" + sha256(f"{name} {i}".encode()).digest()[:7] for i in range(records))


class Committee:
    def __init__(self, n: int = 4, **settings: Any) -> None:
        settings = {"endorse_delay_ms": 0} | settings
        self.n = n
        self.ms = self.skew_ms = 0
        self.bodies: dict[bytes, bytes] = {}
        self.configs = [config_of(i, n, **settings) for i in range(n)]
        directory = {name_of(keys_of(who)): keys_of(who) for who in range(12)}
        self.ledgers = [Ledger(config, self.bodies, directory) for config in self.configs]
        self.replicas = [Replica(c, ledger, self.now) for c, ledger in zip(self.configs, self.ledgers, strict=True)]
        self.wire: deque[tuple[int, int, bytes]] = deque()
        self.logs: list[list[bytes]] = [[] for _ in range(n)]
        self.done: list[list[fx.Effect]] = [[] for _ in range(n)]
        self.timers: list[dict[str, int]] = [{} for _ in range(n)]
        self.down: set[int] = set()
        for i in range(n):
            self.do(i, self.replicas[i].start(self.now))

    @property
    def now(self) -> Instant:
        return Instant(self.ms, WALL + self.ms + self.skew_ms)

    def do(self, i: int, effects: Iterable[fx.Effect]) -> None:
        for effect in effects:
            self.done[i].append(effect)
            if isinstance(effect, fx.Persist):
                self.logs[i].append(effect.entry)
            elif isinstance(effect, fx.Certified):
                self.ledgers[i].keep(effect.block, effect.note, effect.signatures)
            elif isinstance(effect, fx.SetTimer):
                self.timers[i][effect.name] = self.ms + effect.delay_ms
            elif isinstance(effect, fx.CancelTimer):
                self.timers[i].pop(effect.name, None)
            elif isinstance(effect, fx.Send):
                receivers = range(self.n) if effect.to is None else [effect.to]
                self.wire.extend((i, to, effect.message) for to in receivers if to != i)

    def settle(self, hears: Hears = lambda sender, to, message: True) -> None:
        """Deliver until the wire is empty; what `hears` refuses is lost."""
        while self.wire:
            sender, to, data = self.wire.popleft()
            if self.down & {sender, to} or not hears(sender, to, Message.decode(data)):
                continue
            self.do(to, self.replicas[to].receive(data, self.now))

    def give(self, i: int, message: Message) -> None:
        self.do(i, self.replicas[i].receive(message.encode(), self.now))

    def offer(self, i: int, body: bytes, number: int = 1, submitter: str = "power", stream: str = "a") -> bytes:
        """A batch arrives at one member."""
        digest = sha256(body).digest()
        self.bodies[digest] = body
        records = len(body) // 8
        arrived = self.replicas[i].batch_arrived(digest, submitter, stream, number, records, len(body), self.now)
        self.do(i, arrived)
        return digest

    def judge(self, i: int, digest: bytes, codes: bytes | None = None) -> None:
        codes = codes_of_body(self.bodies[digest]) if codes is None else codes
        self.do(i, self.replicas[i].verdict(digest, codes, self.now))

    def propose(self, body: bytes, number: int = 1, submitter: str = "power", stream: str = "a") -> bytes:
        """A batch arrives at every member that is up, and each judges it; nothing is delivered yet."""
        up = [i for i in range(self.n) if i not in self.down]
        for i in up:
            self.judge(i, self.offer(i, body, number, submitter, stream))
        return sha256(body).digest()

    def pass_time(self, ms: int, hears: Hears = lambda sender, to, message: True, step: int = 10) -> None:
        """Move the time, run timers as they fall due, deliver what they cause."""
        for _ in range(0, ms, step):
            self.ms += step
            for i in range(self.n):
                self._fire(i)
            self.settle(hears)

    def _fire(self, i: int) -> None:
        due = [name for name, at in self.timers[i].items() if at <= self.ms]
        for name in due:
            del self.timers[i][name]
            if i not in self.down:
                self.do(i, self.replicas[i].timer(name, self.now))

    def restart(self, i: int, entries: list[bytes] | None = None) -> None:
        """Stop a member and start it from its log and the certified part of its ledger."""
        self.down.discard(i)
        self.ledgers[i] = self.ledgers[i].restarted()
        self.timers[i].clear()
        log = self.logs[i] if entries is None else entries
        self.logs[i] = list(log)
        self.replicas[i] = Replica.restore(self.configs[i], self.ledgers[i], log, self.now)
        self.do(i, self.replicas[i].start(self.now))

    def change(self, members: Sequence[int], heights: int = WINDOWS, number: int = 1) -> None:
        """Propose that the committee is `members` from so many heights above."""
        self.propose(change_body(map(keys_of, members), heights), number, *MEMBERS)

    def enter(self, i: int, config: Config) -> None:
        """A member goes on to the next epoch, with a new vote log."""
        self.configs[i] = self.ledgers[i].config = config
        self.restart(i, [])

    def found(self, i: int, kind: type) -> list[Any]:
        return [effect for effect in self.done[i] if isinstance(effect, kind)]

    def sent(self, i: int, kind: Kind) -> list[Message]:
        messages = [Message.decode(effect.message) for effect in self.found(i, fx.Send)]
        return [message for message in messages if message.kind is kind]

    def heights(self) -> list[int]:
        return [replica.certified for replica in self.replicas]


def unless(kind: Kind) -> Hears:
    """A wire that loses one kind of message."""
    return lambda sender, to, message: message.kind is not kind
