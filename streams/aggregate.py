"""streams.aggregate: the agent that turns coded packets into proposed records, and sees them onto the ledger.

For each packet: dead letters and alerts are delivered, then the rows of the state, then the new proposals, then the
packet is acknowledged. Proposals come after the state because the state is their outbox: what is pending is sent again
until the ledger shows it, and a number that was ever sent is known after any crash, so it never names two batches.

The state is a Faust table whose changelog is written here, row by row and awaited: a gateway's rows lie on its
packets' partition in the order in which they must survive, the state row last.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from carbon import alert as alerts
from carbon import coding
from carbon.aggregation import MOST_WAITING, Offer, Refused, Rules, Step
from carbon.aggregator import Aggregator, Row, Settings, alert_id, restored
from carbon.packet import Packet, PacketError
from carbon.proposing import Pending, Refusal, Verdict
from carbon.record import PayloadWriter
from carbon.refusal import label
from carbon.registry import InForce
from carbon.window import PacketFacts, analyse
from consensus.log.genesis import Genesis
from schemas import codec, topics, tracing
from schemas.metrics import QUEUE, REGISTRY_HEIGHT, Figure
from schemas.observed import Observed
from streams import confirmations, faust_app, flow
from streams.batch_traces import BatchTraces
from streams.dead_letter import Original, letters
from streams.faust_app import Health, Kafka, Output
from streams.guard import guarded
from streams.reread import TopicReader

APP_ID = flow.AGGREGATE
TABLE = "gateways"
LONGEST_AGAIN = 600.0
"""Seconds between two proposals of one batch at most."""
REPORT_EVERY = 1.0
LOG = structlog.get_logger(__name__)

_SENTENCES = {
    Offer.FORK: "the gateway signed two different packets for one place in its run",
    Offer.STOPPED: "the run is stopped until a registry record says which branch counts",
    Offer.STATED_LOST: "the gateway stated this packet as lost",
    Offer.TOO_LATE: "the packet is past the evidence horizon",
    Offer.GAP_TOO_WIDE: "too many packets wait for one that is missing",
}


@dataclass(frozen=True)
class AggregateConfig:
    """What the worker needs. `seed` is the key of `submitter`; `again_after` in seconds."""

    kafka: Kafka
    genesis: Genesis
    in_force: InForce
    """The registry in force now, with its height."""
    submitter: str
    seed: bytes
    data_dir: Path
    again_after: float = 20.0
    """Seconds after which a batch that the ledger doesn't show is proposed again; twice as long each time that nothing
    is confirmed meanwhile, up to LONGEST_AGAIN: a committee that stands must not fill its topic."""
    most_unconfirmed: int = 30_000
    """Records under way to the ledger beyond which no further packet is taken."""
    log_level: str = "WARNING"
    observed: Observed = field(default_factory=Observed)

    def settings(self) -> Settings:
        """The pure part of it."""
        genesis = self.genesis
        rules = Rules(1000 * genesis.lateness_seconds, 1000 * genesis.evidence_horizon_seconds)
        height, registry = self.in_force()
        writer = PayloadWriter(registry)
        return Settings(registry, genesis.digest, rules, self.submitter, self.seed, writer, height)


class Aggregate:
    """The agent, the follower of the ledger and the timer that proposes again, around the aggregators of gateways."""

    def __init__(self, app: Any, config: AggregateConfig) -> None:
        self._app, self._config, self._settings = app, config, config.settings()
        options = {"key_type": bytes, "value_type": bytes, "partitions": topics.METER_PARTITIONS}
        self._table = app.Table(TABLE, on_recover=self.recovered, **options)
        self._rejected = app.topic(topics.READINGS_REJECTED)
        self._alerts = app.topic(topics.ALERTS)
        self._proposed = app.topic(topics.RECORDS_PROPOSED)
        self._health = Health(config.data_dir / "aggregate.health.json", self.state, config.observed)
        self._reader = TopicReader(config.kafka, topics.READINGS_CODED, APP_ID)
        self._guard = guarded(app, topics.READINGS_CODED, self._reader, self._health)
        self._gateways: dict[str, Aggregator] = {}
        self._sent: dict[tuple[str, int], float] = {}
        self._since: dict[tuple[str, int], float] = {}
        """When a pending batch was sent first in this life; as `_sent`, by a clock that only goes forward."""
        self._traces = BatchTraces()
        self._again_after = config.again_after
        self._unconfirmed: dict[str, int] = {}
        """Each gateway's records under way."""
        self._full: set[str] = set()
        """Gateways of which many packets wait until batches under another registry are decided."""
        self._lock = asyncio.Lock()
        self._room = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    # -- packets

    async def run(self, stream: Any) -> None:
        """Take every message of the stream, one after the other."""
        async for handed in self._guard.messages(stream):
            await self._room.wait()
            async with self._lock:
                with tracing.span("aggregate", tracing.parent_of(handed.message)):
                    await self._take(handed.message)
            handed.ack()
            self._health.progress()

    async def _take(self, message: Any) -> None:
        """One message, completely. Raises nothing but cancellation, whatever the bytes are."""
        value = message.value or b""
        original = Original("aggregate", message.topic, message.partition, message.offset, message.key, value)
        try:
            packet, leaves = await self._decode(value)
            self._traces.took(packet.gateway)
            aggregator = self._aggregator(packet.gateway, message.partition)
            await self._feed(aggregator, original, analyse(packet, self._settings.registry, leaves))
        except PacketError as error:
            await self._refuse(original, coding.whole(error.reason, error.detail))
        except Exception as error:
            LOG.exception("a message that breaks the agent goes to the dead letters", offset=message.offset)
            self._load()
            await self._refuse(original, coding.whole("internal_error", repr(error)))

    async def _decode(self, value: bytes) -> tuple[Packet, list[bytes]]:
        packet, leaves = coding.decode(value)
        if not self._knows(packet):
            await self._go_over()
        if not self._knows(packet):
            raise PacketError("wrong_run", f"run {packet.run} of {packet.gateway!r} is not the registered one")
        return packet, leaves

    def _knows(self, packet: Packet) -> bool:
        gateway = self._settings.registry.gateways.get(packet.gateway)
        return gateway is not None and gateway.run == packet.run

    async def _go_over(self) -> None:
        """Go on under the registry in force, if that is another now: all gateways as after a restart."""
        settings = await asyncio.to_thread(self._config.settings)
        if settings.registry_height == self._settings.registry_height:
            return
        self._settings = settings
        for aggregator, left_over in self._load():
            await self._keep(aggregator, left_over)

    def _aggregator(self, gateway: str, partition: int) -> Aggregator:
        if gateway not in self._gateways:
            self._gateways[gateway] = Aggregator(gateway, partition, self._settings)
        return self._gateways[gateway]

    async def _feed(self, aggregator: Aggregator, original: Original, facts: PacketFacts) -> None:
        windows, packet = aggregator.windows, facts.packet
        offer = windows.offer(facts, original.offset)
        outputs = self._on_offer(offer, original, packet)
        taken = [packet.sequence] if offer is Offer.TAKEN else []
        if not await self._go_on(aggregator, outputs, taken) and offer is not Offer.REPEAT:
            await self._keep(aggregator, map(aggregator.packet_row, taken))

    async def _go_on(self, aggregator: Aggregator, outputs: Sequence[Output] = (), taken: Sequence[int] = ()) -> bool:
        """Deliver outputs, and give all packets their turn that can have it; whether there were any, and all was kept.

        While batches under another registry are pending, packets wait: which windows are closed is not known.
        """
        steps = [] if aggregator.stream.is_settling else await self._advance(aggregator)
        outputs = [*outputs, *(output for step in steps for output in self._on_step(step, aggregator))]
        outputs += [] if aggregator.stream.is_settling else self._on_missing(aggregator)
        batches = aggregator.stream.propose(draft for step in steps for draft in step.drafts)
        await faust_app.deliver(outputs, self._health)
        if steps:
            sequences = [*taken, *(k for step in steps for k in step.forgotten)]
            rows = [aggregator.packet_row(k) for k in sequences] + [aggregator.batch_row(b.number) for b in batches]
            await self._keep(aggregator, rows)
        await self._propose(aggregator, batches)
        return bool(steps)

    async def _advance(self, aggregator: Aggregator) -> list[Step]:
        steps: list[Step] = []
        while True:
            while wanted := aggregator.windows.wanted():
                await self._read_again(aggregator, wanted)
            step = aggregator.windows.step()
            if step is None:
                return steps
            steps.append(step)

    async def _read_again(self, aggregator: Aggregator, wanted: list[int]) -> None:
        windows = aggregator.windows
        offsets = {windows.places[k].offset: k for k in wanted}
        attempt = partial(self._reader.read, aggregator.partition, offsets)
        found = await faust_app.persist(attempt, self._health, "read packets again")
        for offset, sequence in offsets.items():
            if offset in found:
                packet, leaves = coding.decode(found[offset])
                windows.supply(analyse(packet, self._settings.registry, leaves))
            else:
                windows.unreadable(sequence)

    # -- what a packet leads to

    def _on_offer(self, offer: Offer, original: Original, packet: Packet) -> list[Output]:
        if offer in (Offer.TAKEN, Offer.REPEAT):
            return []
        sentence = f"{_SENTENCES[offer]}: {packet.gateway} run {packet.run} packet {packet.sequence}"
        name = "equivocation" if offer is Offer.FORK else offer.value
        outputs = self._letters(original, [coding.whole(name, sentence)], packet)
        if offer is Offer.FORK:
            outputs.append(self._equivocation(packet, sentence))
        return outputs

    def _on_step(self, step: Step, aggregator: Aggregator) -> list[Output]:
        outputs = []
        by_packet: dict[int, list[Refused]] = {}
        for refused in step.refused:
            by_packet.setdefault(refused.facts.packet.sequence, []).append(refused)
        for part in by_packet.values():
            outputs += self._refused_readings(aggregator.partition, part)
        if step.fork is not None:
            outputs.append(self._fork(aggregator, step))
        return outputs

    def _refused_readings(self, partition: int, refused: Sequence[Refused]) -> list[Output]:
        facts, offset = refused[0].facts, refused[0].offset
        packet, registry = facts.packet, self._settings.registry
        items = [coding.item(packet, r.index, facts.leaves[r.index], r.reason, registry) for r in refused]
        place = (topics.READINGS_CODED, partition, offset)
        return self._letters(Original("aggregate", *place, packet.gateway.encode(), packet.body), items, packet)

    def _fork(self, aggregator: Aggregator, step: Step) -> Output:
        place = aggregator.windows.places[step.sequence]
        identity = ("equivocation", aggregator.gateway, aggregator.windows.number, step.sequence, place.digest.hex())
        return self._alert(identity, "equivocation", "critical", place.sent_at, step.fork or "")

    def _on_missing(self, aggregator: Aggregator) -> list[Output]:
        windows, outputs = aggregator.windows, list[Output]()
        key, kind = f"packets_missing/{aggregator.gateway}/{windows.number}", "packets_missing"
        about, said = (kind, aggregator.gateway, windows.number), f"{aggregator.gateway} run {windows.number}"
        if (found := windows.found()) is not None:
            text, identity = f"{said}: packet {found.sequence} has come", (*about, found.sequence, "found")
            outputs.append(self._alert(identity, kind, "info", found.at, text, key=key, resolved=True))
        if (missing := windows.missing()) is not None:
            text = f"{said}: packet {missing.sequence} is missing, {missing.waiting} wait for it"
            more = {"key": key, "figures": {"sequence": missing.sequence, "waiting": missing.waiting}}
            outputs.append(self._alert((*about, missing.sequence), kind, "warning", missing.at, text, **more))
        return outputs

    def _equivocation(self, packet: Packet, sentence: str) -> Output:
        identity = ("equivocation", packet.gateway, packet.run, packet.sequence, packet.digest.hex())
        return self._alert(identity, "equivocation", "critical", packet.sent_at, sentence)

    def _alert(self, identity: Sequence[object], kind: str, severity: str, at: int, text: str, **more: Any) -> Output:
        told = alerts.alert(alert_id(*identity), kind, severity, at, text, **more)
        headers = alerts.headers(told, self._config.genesis.origin)
        return Output(self._alerts, told["id"].encode(), codec.encode("alert", told), headers)

    def _letters(self, original: Original, items: list[coding.Item], packet: Packet | None = None) -> list[Output]:
        return faust_app.rejected(self._rejected, letters(original, items, packet), self._config.observed)

    async def _refuse(self, original: Original, item: coding.Item) -> None:
        await faust_app.deliver(self._letters(original, [item]), self._health)

    # -- state and proposals

    async def _keep(self, aggregator: Aggregator, rows: Iterable[Row]) -> None:
        """Write rows and then the state row, delivered before anything else happens."""
        every = [*rows, *aggregator.hours_rows(), aggregator.state_row()]
        topic, partition = self._table.changelog_topic, aggregator.partition
        await faust_app.deliver([Output(topic, key, value, partition=partition) for key, value in every], self._health)
        for key, value in every:
            if value is None:
                self._table.data.pop(key, None)
            else:
                self._table.data[key] = value
        self._count(aggregator)

    def _count(self, *changed: Aggregator) -> None:
        """Let packets in, or not, by the records under way; of these gateways they may be others than before."""
        for aggregator in changed:
            self._unconfirmed[aggregator.gateway] = aggregator.stream.unconfirmed
            is_full = aggregator.stream.is_settling and aggregator.windows.waiting >= MOST_WAITING // 2
            (self._full.add if is_full else self._full.discard)(aggregator.gateway)
        if not self._full and sum(self._unconfirmed.values()) < self._config.most_unconfirmed:
            self._room.set()
        else:
            self._room.clear()

    async def _propose(self, aggregator: Aggregator, batches: Sequence[Pending]) -> None:
        key = aggregator.gateway.encode()
        outputs = [
            Output(self._proposed, key, b.message, self._traces.headers(aggregator.gateway, b.number)) for b in batches
        ]
        await faust_app.deliver(outputs, self._health)
        for batch in batches:
            place = aggregator.gateway, batch.number
            self._sent[place] = time.monotonic()
            self._since.setdefault(place, self._sent[place])

    # -- the ledger

    async def confirm(self, gateway: str, number: int, digest: bytes, verdicts: list[Verdict]) -> None:
        """Take what the ledger says of a batch."""
        async with self._lock:
            aggregator = self._gateways.get(gateway)
            if aggregator is None:
                return
            confirmed = aggregator.confirm(number, digest, verdicts)
            if not confirmed.known:
                return
            self._again_after = self._config.again_after
            outputs = [self._record_refused(gateway, refusal) for refusal in confirmed.refused]
            await faust_app.deliver(outputs, self._health)
            await self._keep(aggregator, [aggregator.batch_row(batch.number) for batch in confirmed.batches])
            await self._forget(aggregator, number)
            await self._propose(aggregator, confirmed.batches)
            if confirmed.is_outdated:
                await self._go_over()
            if gateway in self._gateways:
                await self._go_on(self._gateways[gateway])

    async def _forget(self, aggregator: Aggregator, number: int) -> None:
        """Delete a confirmed batch's row, only after the state that has its verdicts."""
        key, _ = aggregator.batch_row(number)
        output = Output(self._table.changelog_topic, key, None, partition=aggregator.partition)
        await faust_app.deliver([output], self._health)
        self._table.data.pop(key, None)
        self._sent.pop((aggregator.gateway, number), None)
        self._since.pop((aggregator.gateway, number), None)
        self._traces.forget(aggregator.gateway, number)

    def _record_refused(self, gateway: str, refusal: Refusal) -> Output:
        identity = ("record_refused", refusal.point, refusal.window_start, refusal.version, refusal.reason)
        text = (
            f"the committee refused version {refusal.version} of a window of {refusal.point}: {label(refusal.reason)}"
        )
        subject = self._settings.registry.points[refusal.point].subject
        more = {"point": refusal.point, "subject": subject}
        return self._alert(identity, "record_refused", "critical", refusal.window_start, text, **more)

    async def propose_again(self) -> None:
        """Send once more what the ledger has not shown in time."""
        async with self._lock:
            due, sent = time.monotonic() - self._again_after, 0
            for aggregator in self._gateways.values():
                pending = aggregator.stream.pending.values()
                old = [b for b in pending if self._sent.get((aggregator.gateway, b.number), 0.0) <= due]
                await self._propose(aggregator, old)
                sent += len(old)
            if sent:
                self._again_after = min(2 * self._again_after, max(LONGEST_AGAIN, self._config.again_after))

    def state(self) -> dict[str, Any]:
        """What waits for the committee: batches, their records, the oldest's age in seconds; whether that is too much.
        And the height of the registry that it works under.

        Ages are counted from this life's first sending.
        """
        oldest = min(self._since.values(), default=None)
        return {
            "unconfirmed_batches": sum(len(aggregator.stream.pending) for aggregator in self._gateways.values()),
            "unconfirmed_records": sum(self._unconfirmed.values()),
            "oldest_seconds": 0.0 if oldest is None else round(time.monotonic() - oldest, 1),
            "held": not self._room.is_set(),
            "registry": self._settings.registry_height,
        }

    async def report(self) -> None:
        """Say how it stands, also while it waits."""
        self._health.report(held=not self._room.is_set())

    def figures(self) -> Iterator[Figure]:
        """How it stands, by what it counts anyhow."""
        yield QUEUE.of(len(self._since), "unconfirmed batches")
        yield QUEUE.of(sum(self._unconfirmed.copy().values()), "unconfirmed records")
        waiting = (aggregator.windows.waiting for aggregator in self._gateways.copy().values())
        yield QUEUE.of(sum(waiting), "packets")
        yield REGISTRY_HEIGHT.of(self._settings.registry_height)

    # -- start, and every rebalance

    async def recovered(self) -> None:
        """The table is complete for the partitions that this worker has now: begin with it."""
        async with self._lock:
            for aggregator, left_over in self._load():
                await self._keep(aggregator, left_over)
        if self._following is not None:
            self._following.cancel()
        config = self._config
        follow = confirmations.follow(config.kafka, config.genesis, config.submitter, self.confirm, self._health)
        self._following = asyncio.create_task(follow)

    def _load(self) -> list[tuple[Aggregator, list[Row]]]:
        """The aggregators of this worker's partitions, from the table."""
        mine = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == topics.READINGS_CODED}
        loaded = [
            pair for pair in restored(dict(self._table.data.items()), self._settings) if pair[0].partition in mine
        ]
        self._gateways = {aggregator.gateway: aggregator for aggregator, _ in loaded}
        self._sent.clear()
        self._since.clear()
        self._unconfirmed.clear()
        self._full.clear()
        self._count(*self._gateways.values())
        return loaded

    async def stop(self) -> None:
        """Stop what runs beside the agent."""
        if self._following is not None:
            self._following.cancel()
        await self._reader.close()


def create_app(config: AggregateConfig) -> Any:
    """The Faust app of the worker."""
    app = faust_app.new_app(APP_ID, config.kafka, config.data_dir, config.observed)
    aggregate = Aggregate(app, config)
    config.observed.shows("aggregate", aggregate.figures)
    app.agent(app.topic(topics.READINGS_CODED), name=APP_ID, concurrency=1)(aggregate.run)
    app.timer(interval=max(0.5, config.again_after / 4))(aggregate.propose_again)
    app.timer(interval=REPORT_EVERY)(aggregate.report)
    app.on_before_shutdown.connect(lambda *_, **__: aggregate.stop(), weak=False)
    return app


def main(config: AggregateConfig) -> None:
    """Run the worker in the foreground until SIGTERM."""
    faust_app.run(create_app(config), config.log_level)
