"""A member that lies: `python -m tests.scenarios.lying run member-0`; which lie, `lies.json` in the data folder says.

Everything is the product's but what the lie replaces; each kind of lie is printed when it is first told.
"""

import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Message as Kafka

from carbon.refusal import Refusal
from consensus.batch import Batch
from consensus.contract import Contract, Evidence, Ruling
from consensus.core.bodies import Justified, Proposal, Vote, vote_body
from consensus.core.effects import Send
from consensus.core.messages import Kind, Message, sign
from consensus.member import process
from consensus.member.process import Member
from consensus.member.wire import Wire
from infra.cli import main
from schemas import topics, tracing

FILE = "lies.json"
EVERY = 5
"""A misjudging member fails every record of this number."""
LOST, REPEATED, CUT, HELD, NOISE = 0.03, 0.03, 0.02, 0.05, 0.02
"""Shares of the messages that a lying wire treats so, in each direction."""

_told: set[str] = set()


def told(lie: str) -> None:
    """Print a kind of lie, once."""
    if lie not in _told:
        _told.add(lie)
        print(f"lie: {lie}", flush=True)


class Misjudging(Contract):
    """Fails good records."""

    def judge(self, batch: Batch, evidence: Evidence) -> list[Ruling]:
        rulings = super().judge(batch, evidence)
        told("good records failed")
        return [replace(r, refusal=Refusal.WRONG_SUM) if n % EVERY == 0 else r for n, r in enumerate(rulings)]


class Equivocating(Member):
    """As primary, proposes one block to some members and another to the others; the second differs in its time."""

    def _finish(self) -> None:
        self._sends = [lie for send in self._sends for lie in self._lies(send)]
        super()._finish()

    def _lies(self, send: Send) -> list[Send]:
        message = Message.decode(send.message)
        if message.kind is not Kind.PRE_PREPARE or not message.attachment:
            return [send]
        told("two pre-prepares")
        members = self._core.n
        second = self._second(message).encode()
        receivers = range(members) if send.to is None else [send.to]
        return [Send(second if 2 * to >= members else send.message, to) for to in receivers]

    def _second(self, message: Message) -> Message:
        core = self._core
        vote, justified = Vote.decode(message.body), Justified.decode(message.attachment)
        first = Proposal.decode(justified.proposal)
        second = replace(first, time=first.time + 1)
        body = vote_body(vote.epoch, vote.view, vote.height, second.digest(core.channel))
        return sign(core, Kind.PRE_PREPARE, body, Justified(second.encode(), justified.endorsements).encode())


class Silent(Member):
    """Hears everything and says nothing."""

    def _finish(self) -> None:
        told("silence")
        self._sends.clear()
        super()._finish()

    def _publish(self) -> None:
        pass


class Arrived:
    """A message as a lying wire hands it over, behind the interface of Kafka's."""

    def __init__(self, message: Kafka, value: bytes) -> None:
        self.topic, self.partition, self.offset = message.topic, message.partition, message.offset
        self.key = message.key
        self.value = lambda: value


class LyingWire(Wire):
    """Between the member and the broker: loses, repeats, reorders, cuts and makes up messages.

    Packets are repeated, reordered and made up, but not lost: a member reads them from the broker's log alone.
    """

    def __init__(self, kafka: dict[str, str], member: str, partition: int) -> None:
        super().__init__(kafka, member, partition)
        self._dice = random.Random(f"{_lie()['seed']} {member}")
        self._late: list[tuple[str, bytes, bytes, tracing.Headers]] = []

    def produce(self, topic: str, key: bytes, value: bytes, headers: tracing.Headers = ()) -> None:
        for garbled in self._garbled(value):
            if self._dice.random() < HELD:
                told("held")
                self._late.append((topic, key, garbled, headers))
            else:
                super().produce(topic, key, garbled, headers)

    def pump(self) -> None:
        if self._late and self._dice.random() < 0.1:
            self._dice.shuffle(self._late)
            for late in self._late:
                super().produce(*late)
            self._late.clear()
        super().pump()

    def votes(self, timeout: float) -> list[Kafka]:
        return self._garble(super().votes(timeout))

    def sources(self, count: int, timeout: float) -> list[Kafka]:
        found = super().sources(count, timeout)
        packets = [message for message in found if message.topic() == topics.METER_READINGS]
        others = [message for message in found if message.topic() != topics.METER_READINGS]
        return [*self._garble(others), *self._garble(packets), *packets]

    def _garble(self, messages: Sequence[Kafka]) -> list[Kafka]:
        arrived = [Arrived(message, value) for message in messages for value in self._garbled(message.value() or b"")]
        self._dice.shuffle(arrived)
        return arrived

    def _garbled(self, value: bytes) -> list[bytes]:
        """What becomes of one message."""
        die = self._dice.random()
        for share, lie, values in (
            (LOST, "lost", []),
            (REPEATED, "repeated", [value, value]),
            (CUT, "cut", [value[: self._dice.randrange(len(value) + 1)]]),
            (NOISE, "made up", [value, self._dice.randbytes(self._dice.randrange(400))]),
        ):
            if die < share:
                told(lie)
                return values
            die -= share
        return [value]


def _lie() -> dict[str, str]:
    lies: dict[str, dict[str, str]] = json.loads((Path(os.environ["CARBONLEDGER_DATA"]) / FILE).read_text())
    return lies[sys.argv[-1]]


LIES: dict[str, Callable[[], None]] = {
    "misjudges": lambda: setattr(process, "Contract", Misjudging),
    "equivocates": lambda: setattr(process, "Member", Equivocating),
    "is silent": lambda: setattr(process, "Member", Silent),
    "has a lying wire": lambda: setattr(process, "Wire", LyingWire),
}

if __name__ == "__main__":
    LIES[_lie()["lie"]]()
    main()
