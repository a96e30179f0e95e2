"""The member process: one loop around the protocol core, the contract and the ledger.

Each turn takes what is there from Kafka, feeds it to the core, makes all that the core wants remembered durable with
one sync, and only then sends. Packets and batches are taken in small portions, so that votes never wait long.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from confluent_kafka import Message

from carbon import alert as alerts
from carbon.packet import PacketError
from carbon.window import ForkError
from consensus import batch as batches
from consensus.batch import Batch, BatchError
from consensus.contract import Contract, Ruling, Undecidable
from consensus.core import effects as fx
from consensus.core.config import Instant
from consensus.core.replica import Replica
from consensus.ledger import Ledger
from consensus.log import evidence, note
from consensus.log.follower import LedgerError
from consensus.member.archive import Archive, DamagedArchive
from consensus.member.config import MemberConfig
from consensus.member.evidence import FOLDER, EvidenceFolder, Kept, dissent
from consensus.member.publisher import Publisher
from consensus.member.reading import Reading
from consensus.member.store import CopyCheck, LedgerFile, set_aside, suspect
from consensus.member.traces import BlockTraces
from consensus.member.votelog import VoteLog, of_epoch
from consensus.member.wire import Wire
from schemas import codec, topics
from schemas.metrics import (
    BLOCK_AGE,
    BLOCK_INTERVAL,
    DROPPED,
    EPOCH,
    EVIDENCE,
    EXECUTED,
    FSYNC,
    HEIGHT,
    LAG,
    PUBLISHED,
    QUEUE,
    RECORDS,
    REGISTRY_HEIGHT,
    VIEW,
    Figure,
)

LOG = structlog.get_logger(__name__)
ARCHIVE = "archive.sqlite"
LEDGER = "ledger.sqlite"
TURN_SECONDS = 0.005
"""How long a turn waits for votes when there is nothing else to do: so long, too, a batch may wait to be looked at."""
IDLE_SECONDS = 0.05
"""How long it waits for a batch, or anything else but votes, when nothing is under way that could be voted on."""
SOURCE_MESSAGES = 32
"""Packets, batches and blocks taken in one turn."""
JUDGED_RECORDS = 600
"""Records judged in one turn before votes are looked at again."""
LEFT_BEHIND_MS = 15_000
"""How long a member stands still below what is on the ledger topic before it takes that: others may have gone on to the
next epoch, and answer nobody in this one."""
LAGGING_BLOCKS = 16
"""Blocks on the ledger's topic that a member may lack and yet count as ready."""
WAITING_BATCHES = 512
"""Batches that may wait for their evidence; beyond it the newest are let go, their submitter proposes them again."""
_SEEN = "ledger.blocks seen"


def _now() -> Instant:
    return Instant(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class Member:
    """One member of the committee, running in one epoch: the next one has a member of its own."""

    def __init__(self, config: MemberConfig, file: LedgerFile) -> None:
        self._config, self._ledger_file = config, file
        genesis, folder = config.genesis, config.folder
        self._copy_check = CopyCheck(file, genesis)
        lateness_ms = 1000 * genesis.lateness_seconds
        self._ledger = Ledger(genesis, config.registry, file)
        self._archive = Archive(folder / ARCHIVE, self._ledger.registries, genesis.digest, lateness_ms)
        committees, epoch = self._ledger.committees, self._ledger.epoch
        keys = config.keys_in(committees[epoch])
        if keys is None:
            raise SystemExit(f"{config.name} holds no keys of a member of epoch {epoch}")
        self._core = config.core(committees[epoch], keys)
        self._votes = VoteLog(of_epoch(folder, epoch))
        self._committees = committees[: epoch + 1]
        self._contracts: dict[int, Contract] = {}
        """By registry height."""
        self._evidence = EvidenceFolder(folder / FOLDER, genesis)
        self._traces = BlockTraces()
        self._wire = Wire(config.kafka, config.name, genesis.partition)
        self._publisher = Publisher(
            genesis,
            lambda: self._ledger.committees,
            self._ledger_file.package,
            self._ledger_file.snapshot,
            self._produce,
        )
        self._replica = Replica.restore(self._core, self._ledger, self._votes.taken(), _now())
        self._timers: dict[str, int] = {}
        self._unjudged: dict[bytes, Batch] = {}
        self._proposal_offsets: dict[bytes, int] = {}
        self._stuck: set[str] = set()
        """Gateways whose next packets a waiting batch needs; looked at again when one arrives."""
        self._places: dict[tuple[str, int], int] = {}
        self.dropped: Counter[str] = Counter()
        self._settled = (self._ledger.kept.tree, b"")
        """The last block certified here: the tree before it, and its package."""
        self._persist: list[bytes] = []
        self._sends: list[fx.Send] = []
        self._reported_ms = 0
        self._top = 0
        """The greatest height of a certified block on the ledger topic."""
        self._stood: tuple[int, int] | None = None
        """The height below `_top` at which this member stands, and since when, ms; None while it is not behind."""
        self._observed = config.observed
        self._synced, self._interval = config.observed.timing(FSYNC), config.observed.timing(BLOCK_INTERVAL)
        self._block_at: float | None = None
        self._lags: Counter[str] = Counter()

    @property
    def _known(self) -> evidence.Known:
        return evidence.Known.of(self._config.genesis, self._ledger.kept.epochs)

    @property
    def is_over(self) -> bool:
        """Whether the last height of this epoch is kept here: the next one is for another member."""
        return self._ledger.kept.height == self._ledger.epoch_end

    def is_left_behind(self) -> bool:
        """Whether certified blocks have long stood on the topic that nobody hands to this member."""
        kept, now = self._ledger.kept.height, _now().ms
        if kept >= self._top:
            self._stood = None
        elif self._stood is None or self._stood[0] != kept:
            self._stood = (kept, now)
        return self._stood is not None and now - self._stood[1] > LEFT_BEHIND_MS

    def start(self) -> None:
        """Take up where the last life ended."""
        partition = self._config.genesis.partition
        for topic in self._handlers:
            known = self._archive.positions(topic)
            every = self._wire.partitions(topic) if topic == topics.METER_READINGS else [partition]
            self._places |= {(topic, p): known.get(p, 0) for p in every}
        self._adopt()
        self._publisher.resume_at(self._archive.positions(_SEEN).get(partition, 0))
        self._wire.start(self._places)
        for kept in self._evidence.at_start:
            self._alert(kept)
        self._carry_out(self._replica.start(_now()))
        self._finish()
        self._observed.shows("member", self.figures)
        self._observed.needs("member", self.reason)

    def turn(self) -> None:
        """Take what is there, decide, make it durable, send."""
        self._observed.turned()
        judged = self._judge()
        idle = self._replica.is_idle and not self._unjudged
        votes = self._wire.votes(0 if judged or idle else TURN_SECONDS)
        for message in votes:
            if message.key() in (None, b"", b"%d" % self._core.index):
                self._carry_out(self._replica.receive(message.value() or b"", _now()))
        self._take_sources(IDLE_SECONDS if idle and not votes else 0)
        if not judged and not votes:
            self._copy_check.step()
        self._fire_timers()
        self._finish()
        if self._adopt():
            self._wire.go_back(self._places)
        self._publish()
        self._report()

    def _take_sources(self, timeout: float) -> None:
        for message in self._wire.sources(SOURCE_MESSAGES, timeout):
            self._places[message.topic(), message.partition()] = message.offset() + 1
            self._handlers[message.topic()](self, message)

    def _on_packet(self, message: Message) -> None:
        try:
            packet = self._archive.add(message.value() or b"")
        except PacketError as error:
            self._archive.refused(error.reason, message.partition(), message.offset())
            self.dropped[f"packet: {error.reason}"] += 1
        except ForkError:
            self.dropped["packet: forked run"] += 1
        else:
            if packet is not None:
                self._stuck.discard(packet.gateway)

    def _on_proposal(self, message: Message) -> None:
        config = self._config
        most = config.genesis.block.records
        try:
            batch = batches.verify(message.value() or b"", self._ledger.registries, config.genesis.digest, most)
        except BatchError:
            self.dropped["batch: malformed or unsigned"] += 1
            return
        self._take_batch(batch, message.offset())
        if batch.digest in self._unjudged:
            self._traces.read(batch.digest, message)

    def _take_batch(self, batch: Batch, offset: int | None) -> None:
        known = batch.digest in self._unjudged or self._ledger.held(batch.digest) is not None
        if known or batch.number <= self._ledger.stream_head(batch.submitter, batch.stream):
            return
        if len(self._unjudged) >= WAITING_BATCHES:
            self.dropped["batch: too many wait"] += 1
            return
        self._unjudged[batch.digest] = batch
        if offset is not None:
            self._proposal_offsets[batch.digest] = offset

    def _on_block(self, message: Message) -> None:
        seen, ledger = self._publisher.saw(message.value() or b""), self._ledger
        if seen is None:
            return
        if seen.is_certified:
            self._top = max(self._top, seen.height)
        if seen.is_certified and seen.height == ledger.kept.height + 1 == ledger.epoch_end:
            # who is in the next epoch answers nobody in this one any more
            text, signatures = note.signatures(seen.checkpoint, ledger.committee.note_keys)
            self._carry_out(self._replica.certificate_seen(seen.height, text.encode(), tuple(signatures), _now()))

    def _on_request(self, message: Message) -> None:
        self._publisher.asked(message.value() or b"", self._core.index, self._ledger.kept.height, _now().ms)

    _handlers: dict[str, Callable[["Member", Message], None]] = {  # noqa: RUF012
        topics.METER_READINGS: _on_packet,
        topics.RECORDS_PROPOSED: _on_proposal,
        topics.LEDGER_BLOCKS: _on_block,
        topics.LEDGER_REQUESTS: _on_request,
    }

    def _judge(self) -> int:
        """Run the evidence half over some of the batches that wait; how many records were judged."""
        judged = 0
        for batch in list(self._unjudged.values()):
            if judged >= JUDGED_RECORDS:
                break
            if batch.number <= self._ledger.stream_head(batch.submitter, batch.stream):
                # recorded meanwhile: a member that lags took the certified block, and must not do the work twice
                self._let_go(batch.digest)
                continue
            if self._replica.lags:
                break
            if batch.stream in self._stuck or batch.registry_height not in self._ledger.registries:
                continue
            try:
                rulings = self._contract(batch.registry_height).judge(batch, self._archive.under(batch.registry_height))
            except Undecidable:
                self._stuck.add(batch.stream)
                continue
            judged += len(batch)
            self._judged(batch, rulings)
        return judged

    def _contract(self, height: int) -> Contract:
        """The evidence half under the registry of a height."""
        if height not in self._contracts:
            registry = self._ledger.registries[height]
            self._contracts[height] = Contract(self._config.genesis, registry, self._committees)
        return self._contracts[height]

    def _adopt(self) -> bool:
        """Have packets read again that a registry, new to the ledger, may know; whether there are any."""
        again = self._archive.adopt()
        if again is None:
            return False
        self._stuck.clear()
        self._places |= {(topics.METER_READINGS, part): offset for part, offset in again.items()}
        return bool(again)

    def _let_go(self, digest: bytes) -> None:
        self._ledger.release(digest)
        self._unjudged.pop(digest, None)
        self._proposal_offsets.pop(digest, None)
        self._traces.forget((digest,))

    def _judged(self, batch: Batch, rulings: list[Ruling]) -> None:
        del self._unjudged[batch.digest]
        self._ledger.hold(batch, rulings)
        self._traces.judged(batch.digest, len(batch))
        codes = np.array([ruling.refusal for ruling in rulings], ">u2").tobytes()
        name = (batch.submitter, batch.stream, batch.number)
        self._carry_out(self._replica.batch_arrived(batch.digest, *name, len(batch), len(batch.body), _now()))
        self._carry_out(self._replica.verdict(batch.digest, codes, _now()))

    def _carry_out(self, effects: Iterable[fx.Effect]) -> None:
        for effect in effects:
            match effect:
                case fx.Persist(entry):
                    self._persist.append(entry)
                case fx.Send():
                    self._sends.append(effect)
                case fx.SetTimer(name, delay_ms):
                    self._timers[name] = _now().ms + delay_ms
                case fx.CancelTimer(name):
                    self._timers.pop(name, None)
                case fx.Certified(height, _, _, signatures):
                    self._settled = (self._ledger.kept.tree, self._ledger.settle(height, signatures))
                    self._note_block(height)
                case _:
                    self._carry_out_rare(effect)

    def _note_block(self, height: int) -> None:
        self._traces.settled(height, self._settled[1])
        before, self._block_at = self._block_at, time.monotonic()
        if before is not None:
            self._interval(self._block_at - before)

    def _carry_out_rare(self, effect: fx.Effect) -> None:
        match effect:
            case fx.BatchDone(digests):
                for digest in digests:
                    self._let_go(digest)
            case fx.BatchRequested(member, digest):
                held = self._ledger.held(digest) or self._unjudged.get(digest)
                if held is not None:
                    self._carry_out(self._replica.send_batch(member, digest, held.body, _now()))
            case fx.BatchReceived(digest, body):
                self._take_body(digest, body)
            case fx.Evidence(_, member, message_a, message_b):
                if self._evidence.has_room(member, convicts=True):
                    self._keep_evidence(evidence.conflict(self._known, (message_a, message_b)))
            case fx.Dissent(_, batch, member, message):
                if self._evidence.has_room(member, convicts=False):
                    self._keep_evidence(dissent(self._known, *self._settled, batch, message))
            case fx.SetBack(_, bar):
                LOG.warning("the disk was set back: no vote before this height is certified", height=bar)
            case fx.Divergence(height, reason):
                raise SystemExit(f"{self._config.name} stops at height {height}: {reason}")
            case _:
                pass

    def _take_body(self, digest: bytes, body: bytes) -> None:
        """A batch that another member handed over: its digest was endorsed, its submitter signed it to that member."""
        try:
            batch = batches.decode(body)
        except (BatchError, codec.CodecError):
            self.dropped["batch: malformed or unsigned"] += 1
            return
        if batch.digest == digest:
            self._take_batch(batch, None)

    def _keep_evidence(self, file: dict[str, Any]) -> None:
        kept = self._evidence.keep(file)
        if kept is not None:
            self._alert(kept)

    def _alert(self, kept: Kept) -> None:
        alert = evidence.alert(kept.proven, kept.at_ms)
        headers = alerts.headers(alert, self._config.genesis.origin)
        self._wire.produce(topics.ALERTS, alert["id"].encode(), codec.encode("alert", alert), headers)

    def _produce(self, topic: str, key: bytes, value: bytes) -> None:
        headers = self._traces.of_block(key) if topic == topics.LEDGER_BLOCKS else ()
        self._wire.produce(topic, key, value, headers)

    def _fire_timers(self) -> None:
        now = _now()
        for name in [name for name, due in self._timers.items() if due <= now.ms]:
            del self._timers[name]
            self._carry_out(self._replica.timer(name, now))

    def _finish(self) -> None:
        """Persist before send: one sync for all that this turn wants remembered."""
        if self._persist:
            began = time.perf_counter()
            self._votes.append(self._persist)
            self._synced(time.perf_counter() - began)
            self._persist.clear()
        for send in self._sends:
            self._wire.send(send.message, send.to)
        self._sends.clear()
        self._wire.pump()
        if self._votes.is_long:
            self._votes.rewrite(self._replica.compacted())

    def _publish(self) -> None:
        rank = (self._core.index - self._replica.view) % self._core.n
        self._publisher.publish(self._ledger.kept.height, _now().ms, rank)

    def _report(self) -> None:
        """Once a second: positions made durable, and a small file for `status`."""
        now = _now()
        if now.ms - self._reported_ms < 1_000:
            return
        self._reported_ms = now.ms
        self._commit()
        kept = self._ledger.kept
        report = {
            "height": kept.height,
            "executed": self._ledger.height,
            "accepted": kept.accepted,
            "rejected": kept.rejected,
            "epoch": self._ledger.epoch,
            "registry": self._ledger.registry_height,
            "view": self._replica.view,
            "votes_from": self._replica.votes_from,
            "waiting": len(self._unjudged),
            "published": self._publisher.seen,
            "dropped": dict(self._replica.dropped + self.dropped),
            "evidence": len(self._evidence),
        }
        _replace(self._config.folder / "status.json", json.dumps(report))

    def _commit(self) -> None:
        partition, seen = self._config.genesis.partition, self._publisher.seen
        by_topic: dict[str, dict[int, int]] = {_SEEN: {partition: seen}}
        # a batch that is not applied yet is read again after a restart
        first = min(self._proposal_offsets.values(), default=self._places[topics.RECORDS_PROPOSED, partition])
        for (topic, part), offset in self._places.items():
            by_topic.setdefault(topic, {})[part] = first if topic == topics.RECORDS_PROPOSED else offset
        self._archive.commit(by_topic)
        self._observed.committed()
        self._wire.show_lag(self._places)
        self._lags = self._wire.lags(self._places)

    def figures(self) -> Iterator[Figure]:
        """How it stands, by what it knows anyhow."""
        kept, ledger = self._ledger.kept, self._ledger
        heights = {HEIGHT: kept.height, EXECUTED: ledger.height, PUBLISHED: self._publisher.seen}
        numbers = {VIEW: self._replica.view, EPOCH: ledger.epoch, REGISTRY_HEIGHT: ledger.registry_height}
        for metric, value in (heights | numbers).items():
            yield metric.of(value)
        yield RECORDS.of(kept.accepted, "accepted")
        yield RECORDS.of(kept.rejected, "rejected")
        yield QUEUE.of(len(self._unjudged), "batches")
        yield EVIDENCE.of(len(self._evidence))
        for reason, count in (self._replica.dropped + self.dropped).items():
            yield DROPPED.of(count, reason)
        if self._block_at is not None:
            yield BLOCK_AGE.of(time.monotonic() - self._block_at)
        for topic, count in self._lags.items():
            yield LAG.of(count, topic)

    def reason(self) -> str | None:
        """Why it takes no part in what the committee decides now; None when it does."""
        behind = self._top - self._ledger.kept.height
        if self._replica.lags or behind > LAGGING_BLOCKS:
            return f"it is {max(behind, 0)} blocks behind the ledger's topic and catches up"
        if self._replica.votes_from:
            return f"its disk was set back: it votes from height {self._replica.votes_from} on"
        return None

    def close(self) -> None:
        """Leave in good order."""
        self._observed.forget("member")
        self._finish()
        self._commit()
        self._wire.close()
        self._archive.close()
        self._votes.close()


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def run(config: MemberConfig, stopped: Callable[[], bool]) -> None:
    """Run a member until `stopped` says so, epoch after epoch. Raises SystemExit where only a new start helps.

    Outside the committee it is a reader: a newcomer until the epoch that names it, whoever left it for ever.
    """
    config.folder.mkdir(parents=True, exist_ok=True)
    file, damaged = LedgerFile.opened(config.folder / LEDGER, config.genesis)
    if damaged is not None:
        LOG.warning("the ledger's copy was damaged: blocks come from the other members", from_height=damaged)
    try:
        is_behind = False
        while Reading(config, file).until_member(stopped, is_behind=is_behind):
            member = Member(config, file)
            member.start()
            while not (stopped() or member.is_over or (is_behind := member.is_left_behind())):
                member.turn()
            member.close()
    except DamagedArchive as damage:
        set_aside(config.folder / ARCHIVE)
        raise SystemExit(f"the archive is damaged ({damage}): the next start reads all packets again") from damage
    except LedgerError as damage:
        suspect(config.folder / LEDGER)
        raise SystemExit(f"the ledger's copy is damaged ({damage}): the next start cuts it off there") from damage
    except Exception:
        # whatever it was: a damaged block of the copy may be behind it, and would be there again at the next start
        suspect(config.folder / LEDGER)
        raise
    finally:
        file.close()
