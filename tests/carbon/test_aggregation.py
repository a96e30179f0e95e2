"""The pure aggregator: what it proposes is a function of the packets alone, and the real contract accepts it."""

import random
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import amendment, coding, record, validation
from carbon.aggregation import GatewayWindows, Missing, Offer, Place, Step
from carbon.aggregator import Aggregator, restored
from carbon.packet import Packet, PacketError
from carbon.proposing import OTHER_REGISTRY, Verdict
from carbon.refusal import Refusal
from carbon.validation import Reason
from carbon.window import analyse
from consensus.log.follower import Follower
from schemas import codec
from streams import confirmations
from tests import registrars
from tests.streams.committee import Committee
from tests.streams.world import AGGREGATOR, DAY, HOUR, MINUTE, START, Chain, World

GATEWAY = "gw"
POINTS = ["p-1", "p-2", "p-3"]


@pytest.fixture
def world() -> World:
    return World({GATEWAY: POINTS})


class Bench:
    """An aggregator with its packets at hand, as the agent drives it: offset is the place in `log`."""

    def __init__(self, world: World, gateway: str = GATEWAY) -> None:
        self.world = world
        self.aggregator = world.aggregator(gateway)
        self.log: list[Packet] = []
        self.steps: list[Step] = []
        self.read_again = 0

    @property
    def windows(self) -> GatewayWindows:
        return self.aggregator.windows

    def feed(self, packet: Packet) -> list[bytes]:
        """Proposals that a packet leads to."""
        self.log.append(packet)
        return self.replay(len(self.log) - 1)

    def replay(self, offset: int) -> list[bytes]:
        packet = self.log[offset]
        self.offered = self.windows.offer(analyse(packet, self.world.registry), offset)
        steps = list(self.advance())
        self.steps += steps
        batches = self.aggregator.stream.propose(d for step in steps for d in step.drafts)
        return [batch.message for batch in batches]

    def advance(self) -> Iterable[Step]:
        while True:
            while wanted := self.windows.wanted():
                self.read_again += len(wanted)
                for sequence in wanted:
                    packet = self.log[self.windows.places[sequence].offset]
                    self.windows.supply(analyse(packet, self.world.registry))
            step = self.windows.step()
            if step is None:
                return
            yield step

    def all(self, packets: Iterable[Packet]) -> list[bytes]:
        return [message for packet in packets for message in self.feed(packet)]

    def confirm(self, block: bytes, follower: Follower) -> list[bytes]:
        verified = follower.accept(block)
        assert verified is not None
        out = []
        for _, number, digest, verdicts in confirmations.batches(verified, AGGREGATOR):
            out += self.aggregator.confirm(number, digest, verdicts).batches
        return [batch.message for batch in out]

    def rows(self) -> dict[bytes, bytes]:
        """The rows of a restart, as complete as they can be."""
        a = self.aggregator
        rows = [a.packet_row(k) for k in a.windows.places] + [a.batch_row(n) for n in a.stream.pending]
        return {key: value for key, value in [*rows, a.state_row()] if value is not None}

    def restart(self) -> None:
        ((self.aggregator, left_over),) = restored(self.rows(), self.world.settings)
        assert left_over == []


def day(world: World, hours: int = 6) -> Chain:
    """Hours of readings with holes, repeats, conflicts, late ones and a lost packet; then silence closes windows."""
    chain = world.chain(GATEWAY)
    rng = random.Random(1)
    held: list[tuple[str, int, int]] = []
    for k in range(0, hours * 60, 10):
        rows = [(p, START + MINUTE * (k + i), rng.randrange(1000)) for i in range(10) for p in POINTS]
        held += [row for row in rows if rng.random() < 0.05]
        sent = [row for row in rows if row not in held and rng.random() < 0.97]
        late = [row for row in held if row[1] < START + MINUTE * k - 2 * HOUR]
        held = [row for row in held if row not in late]
        again = rng.sample(sent, 2)
        conflict = [(p, at, value + 1) for p, at, value in rng.sample(sent, 1)]
        chain.pack(sent + late + again + conflict, START + MINUTE * (k + 10), lost=int(k == 100))
    chain.pack(held, START + hours * HOUR + 10 * MINUTE)
    chain.pack([], START + hours * HOUR + HOUR)
    return chain


def judged(world: World, chain: Chain, proposals: list[bytes]) -> Committee:
    committee = Committee(world)
    committee.packets.add(chain.packets)
    committee.take(proposals)
    return committee


def test_the_contract_accepts_every_record_of_a_day_with_late_lost_repeated_and_conflicting_readings(
    world: World,
) -> None:
    chain, bench = day(world), Bench(world)
    committee = judged(world, chain, bench.all(chain.packets))
    assert {refusal for *_, refusal in committee.records} == {Refusal.PASS}
    first = [(point, start) for point, start, ruling, _ in committee.records if ruling.version == 1]
    assert sorted(first) == [(p, START + h * HOUR) for p in POINTS for h in range(6)]
    assert sum(ruling.version > 1 for _, _, ruling, _ in committee.records) > 5


def test_the_packets_kept_for_late_readings_are_bounded_for_all_gateways_together() -> None:
    """Each of 10,000 gateways keeps 50 readings beside those of its open windows: the last ten packets of five."""
    world = World({GATEWAY: ["p-1"]} | {f"gw-{i}": [f"other-{i}"] for i in range(9_999)})
    bench, chain = Bench(world), world.chain(GATEWAY)
    for k in range(0, 6 * 60, 5):
        chain.pack([("p-1", START + MINUTE * (k + i), 1) for i in range(5)], START + MINUTE * (k + 5))
    bench.all(chain.packets)
    opening = bench.windows._opening()
    assert [k for k in bench.windows._facts if k < opening] == list(range(opening - 10, opening))


def test_every_valid_reading_is_counted_once_or_reported(world: World) -> None:
    chain, bench = day(world), Bench(world)
    proposals = bench.all(chain.packets)
    versions: dict[tuple[str, int], int] = {}
    for batch in bench.aggregator.stream.pending.values():
        for link in batch.links:
            versions[link.point, link.window_start] = record.decode(link.payload)["count"]
    refused = [r for step in bench.steps for r in step.refused]
    assert len(proposals) == len(bench.aggregator.stream.pending)
    assert sum(versions.values()) + len(refused) == sum(len(packet) for packet in chain.packets)
    assert {r.reason for r in refused} == {Reason.DUPLICATE, Reason.CONFLICT}


@pytest.mark.parametrize("disorder", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_crashes_repeats_and_disorder_change_nothing(seed: int, disorder: bool) -> None:
    world, rng = World({GATEWAY: POINTS}), random.Random(seed)
    chain = day(world, hours=5)
    undisturbed = Bench(world).all(chain.packets)
    bench, proposals, order = Bench(world), list[bytes](), list(chain.packets)
    for i in range(len(order) - 3) if disorder else ():
        if rng.random() < 0.2:
            order.insert(i + rng.randrange(1, 4), order.pop(i))
    for packet in order:
        before = bench.rows() if bench.log else None
        made = bench.feed(packet)
        if rng.random() < 0.3 and before is not None:
            # the process dies somewhere between the first row and the state row: the packet comes again
            after = sorted(row for row in bench.rows().items() if not row[0].startswith(b"state"))
            written = dict(rng.sample(after, k=len(after) // 2))
            ((bench.aggregator, _),) = restored({**before, **written}, world.settings)
            assert bench.replay(len(bench.log) - 1) == made
        elif rng.random() < 0.3:
            # it dies between the state row and the acknowledgement
            bench.restart()
            assert bench.replay(len(bench.log) - 1) == []
        proposals += made
    assert _payloads(world, proposals) == _payloads(world, undisturbed)
    assert disorder or proposals == undisturbed


def _payloads(world: World, proposals: list[bytes]) -> list[bytes]:
    from consensus import batch

    return [p for m in proposals for p in batch.verify(m, {0: world.registry}, world.channel, 1000).payloads]


mixtures = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(POINTS), st.integers(-12, 1), st.integers(0, 4)), max_size=8),
        st.sampled_from([0, 10, 30, 90]),
        st.sampled_from([0, 0, 0, -45, 200]),
        st.sampled_from([0, 0, 0, 1]),
    ),
    min_size=2,
    max_size=9,
)
"""Packets: readings (point, slot of ten minutes from now, value), minutes since the last, the clock's shift, losses."""


@given(mixtures, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_a_mixture_of_late_early_repeated_and_shifted_input_ends_in_the_same_records(
    mixture: list[tuple[list[tuple[str, int, int]], int, int, int]], rng: random.Random
) -> None:
    world = World({GATEWAY: POINTS}, more={"p-3": {"rate": 5, "rising": True}})
    chain, now, last = world.chain(GATEWAY), START, START
    for readings, minutes, shift, lost in mixture:
        now += MINUTE * minutes
        rows = [(point, now + 10 * MINUTE * slot, 30 * value) for point, slot, value in readings]
        chain.pack(rows, now + MINUTE * shift, lost=lost)
        last = max(last, now + MINUTE * shift)
    chain.pack([], last + 2 * HOUR)
    undisturbed = Bench(world)
    proposals = undisturbed.all(chain.packets)
    _arrive_anyhow(world, chain, rng, _payloads(world, proposals), _told(undisturbed))
    assert {refusal for *_, refusal in judged(world, chain, proposals).records} == {Refusal.PASS}
    versions = _versions(world, proposals)
    for (point, start), records in versions.items():
        expected = _first_of_each_time(world, chain, point, start)
        assert (records[-1]["count"], records[-1]["quantity"]) == (len(expected), sum(expected.values()))
        assert [r["version"] for r in records] == list(range(1, len(records) + 1))
        for before, after in pairwise(records):
            assert after["replaces"] == {name: before[name] for name in ("version", "evidence_root", "emission_g")}
    closed = range(START, last + 2 * HOUR - HOUR - 1000 * world.lateness + 1, HOUR)
    assert set(versions) == {(point, start) for point in POINTS for start in closed}


def test_the_contract_refuses_what_an_aggregator_counts_against_a_points_rate(world: World) -> None:
    strict = World({GATEWAY: POINTS}, more={"p-2": {"rate": 5}})
    chain, bench = strict.chain(GATEWAY), Bench(strict)
    bench.world = world  # it analyses packets by a registry without the rate
    chain.pack([(p, START + MINUTE * k, 10 * (k == 3)) for k in range(6) for p in POINTS], START + 10 * MINUTE)
    chain.pack([], START + 2 * HOUR)
    committee = judged(strict, chain, bench.all(chain.packets))
    assert {p: refusal for p, _, _, refusal in committee.records} == {
        "p-1": Refusal.PASS,
        "p-2": Refusal.WRONG_COUNT,
        "p-3": Refusal.PASS,
    }


def _arrive_anyhow(world: World, chain: Chain, rng: random.Random, payloads: list[bytes], told: list[object]) -> None:
    bench, made = Bench(world), list[bytes]()
    arrivals = [*chain.packets, *rng.choices(chain.packets, k=3)]
    rng.shuffle(arrivals)
    for packet in arrivals:
        made += bench.feed(packet)
        if rng.random() < 0.2:
            bench.restart()
    assert _payloads(world, made) == payloads
    assert _told(bench) == told


def _told(bench: Bench) -> list[object]:
    return [(r.facts.packet.sequence, r.index, r.reason) for step in bench.steps for r in step.refused]


def _versions(world: World, proposals: list[bytes]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for payload in _payloads(world, proposals):
        fields = record.decode(payload)
        found.setdefault((fields["point"], fields["window_start"]), []).append(fields)
    return found


def _first_of_each_time(world: World, chain: Chain, point: str, start: int) -> dict[int, int]:
    """Time to value of what a window must count in the end: all packets in sequence order, whenever they were sent."""
    rate, seen = world.registry.points[point].rate, dict[int, int]()
    for packet in chain.packets:
        for place, reason in enumerate(validation.check(packet, world.registry)):
            at, value = int(packet.at[place]), int(packet.value[place])
            named = packet.points[packet.point[place]] == point and start <= at < start + HOUR
            if named and not reason and at not in seen:
                near = [max((t for t in seen if t < at), default=at), min((t for t in seen if t > at), default=at)]
                if all(rate is None or t == at or abs(value - seen[t]) <= rate * abs(at - t) // MINUTE for t in near):
                    seen[at] = value
    return seen


def test_windows_without_a_reading_are_closed_too_and_without_any_clock(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    bench.feed(packet_of(chain, [], START + 3 * HOUR + 10 * MINUTE))
    links = [link for batch in bench.aggregator.stream.pending.values() for link in batch.links]
    assert [(x.window_start, x.point) for x in links] == [(START + h * HOUR, p) for h in range(3) for p in POINTS]
    assert {record.decode(x.payload)["count"] for x in links} == {0}


def test_a_window_stays_open_until_the_watermark_passes_its_lateness(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    assert bench.feed(packet_of(chain, [], START + HOUR + 5 * MINUTE - 1)) == []
    assert len(bench.feed(packet_of(chain, [], START + HOUR + 5 * MINUTE))) == 1


def test_a_restored_aggregator_closes_the_windows_that_were_open(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    for message in chain.minutes(POINTS, 60):
        assert message
    bench.all(chain.packets)
    bench.restart()
    made = bench.feed(packet_of(chain, [], START + 2 * HOUR))
    committee = judged(world, chain, made)
    assert [ruling.refusal for _, _, ruling, _ in committee.records] == [Refusal.PASS] * 3
    assert bench.read_again == 6
    link = next(iter(bench.aggregator.stream.pending[1].links))
    assert record.decode(link.payload)["count"] == 60


def test_a_late_reading_needs_its_old_packets_and_reads_them_again_after_a_restart(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 59)
    chain.pack([], START + 30 * HOUR)
    proposals = bench.all(chain.packets)
    bench.restart()
    proposals += bench.feed(packet_of(chain, [("p-2", START + 59 * MINUTE, 5)], START + 31 * HOUR))
    committee = judged(world, chain, proposals)
    assert {refusal for *_, refusal in committee.records} == {Refusal.PASS}
    assert [(p, s, r.version) for p, s, r, _ in committee.records if r.version > 1] == [("p-2", START, 2)]
    assert bench.read_again > 0


def test_a_late_reading_past_the_horizon_is_refused(world: World) -> None:
    world = World({GATEWAY: POINTS}, horizon=86_400)
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 59)
    chain.pack([], START + 2 * DAY)
    bench.all(chain.packets)
    assert bench.feed(packet_of(chain, [("p-2", START + 59 * MINUTE, 5)], START + 2 * DAY)) == []
    assert [r.reason for r in bench.steps[-1].refused] == [Reason.TOO_LATE]


@pytest.mark.parametrize(("past", "made"), [(0, 1), (1, 0)])
def test_the_horizon_is_counted_from_the_windows_end_by_the_watermark(past: int, made: int) -> None:
    world = World({GATEWAY: POINTS}, horizon=86_400)
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 59)
    chain.pack([], START + HOUR + DAY + past)
    bench.all(chain.packets)
    assert len(bench.feed(packet_of(chain, [("p-2", START + 59 * MINUTE, 5)], START + HOUR + DAY + past))) == made


def test_a_late_repeat_corrects_nothing_but_stands_in_the_next_corrections_evidence(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 59)
    chain.pack([], START + 3 * HOUR)
    proposals = bench.all(chain.packets)
    value = int(chain.packets[0].value[0])
    assert bench.feed(packet_of(chain, [("p-1", START, value), ("p-1", START, value + 1)], START + 3 * HOUR)) == []
    assert [r.reason for r in bench.steps[-1].refused] == [Reason.DUPLICATE, Reason.CONFLICT]
    proposals += bench.feed(packet_of(chain, [("p-1", START + 59 * MINUTE, 5)], START + 3 * HOUR))
    committee = judged(world, chain, proposals)
    assert [refusal for *_, refusal in committee.records[-1:]] == [Refusal.PASS]
    ((link,),) = [batch.links for batch in list(bench.aggregator.stream.pending.values())[-1:]]
    assert [(r["first"], r["last"]) for r in record.decode(link.payload)["evidence"]] == [(1, 7), (8, 8), (9, 9)]


def test_a_batch_that_the_state_does_not_know_was_never_sent_and_is_dropped(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 60)
    bench.all(chain.packets)
    before = bench.rows()
    (made,) = bench.feed(packet_of(chain, [], START + 3 * HOUR))
    left = bench.aggregator.batch_row(1)
    assert left[1] is not None
    ((bench.aggregator, dropped),) = restored({**before, left[0]: left[1]}, world.settings)
    assert dropped == [(left[0], None)] and bench.aggregator.stream.pending == {}
    assert bench.feed(packet_of(chain, [], START + 4 * HOUR)) == [] and bench.replay(len(bench.log) - 2) != []
    assert made


def test_places_past_the_horizon_are_forgotten(world: World) -> None:
    world = World({GATEWAY: POINTS}, horizon=86_400)
    chain, bench = world.chain(GATEWAY), Bench(world)
    for hour in range(24 * 5):
        chain.pack([], START + hour * HOUR)
    bench.all(chain.packets)
    assert len(bench.windows.places) <= 28
    bench.restart()
    assert bench.feed(packet_of(chain, [], START + 6 * DAY))


def test_an_unreadable_packet_makes_what_is_late_for_it_too_late(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 59)
    chain.pack([], START + 3 * HOUR)
    bench.all(chain.packets)
    bench.windows.unreadable(3)
    assert bench.feed(packet_of(chain, [("p-2", START + 59 * MINUTE, 5)], START + 4 * HOUR))
    assert [r.reason for r in bench.steps[-1].refused] == [Reason.TOO_LATE]


def test_packets_wait_for_the_missing_one(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 120)
    missing, *rest = chain.packets
    assert bench.all(rest) == []
    assert bench.windows.waiting == 11
    bench.restart()
    made = bench.feed(missing)
    assert bench.windows.waiting == 0
    assert made == Bench(world).all(chain.packets)


def test_a_missing_packet_is_told_once_when_a_window_can_not_close_for_it(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 120)
    first, second, third, *rest = chain.packets

    def told(packets: Iterable[Packet]) -> list[Missing]:
        found = []
        for packet in packets:
            bench.feed(packet)
            found.append(bench.windows.missing())
        return [missing for missing in found if missing is not None]

    assert told([first, third, *rest[:3]]) == [], "they may just have come out of order"
    closing = rest[3]
    assert closing.sent_at >= START + HOUR + 5 * MINUTE
    assert told(rest[3:-2]) == [Missing(2, 5, closing.sent_at)]
    bench.restart()
    assert told(rest[-1:]) == [Missing(2, 9, rest[-1].sent_at)], "with the same name"
    assert bench.windows.found() is None
    assert told([second]) == [], "the second hour is not complete"
    assert bench.windows.found() == Missing(2, 9, rest[-1].sent_at)
    assert bench.windows.found() is None, "told once"
    chain.pack([], START + 2 * HOUR + 5 * MINUTE)
    assert told(chain.packets[-1:]) == [Missing(11, 2, START + 2 * HOUR + 5 * MINUTE)], "another stretch"
    assert told(rest[-2:-1]) == []


def test_more_than_the_bound_does_not_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carbon.aggregation.MOST_WAITING", 3)
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 60)
    bench.all(chain.packets[1:])
    assert (bench.offered, bench.windows.waiting) == (Offer.GAP_TOO_WIDE, 3)


def test_other_bytes_under_a_taken_sequence_stop_the_run(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 30)
    bench.all(chain.packets)
    other = world.chain(GATEWAY)
    other.pack([], START)
    bench.feed(other.packets[0])
    assert bench.offered is Offer.FORK and bench.windows.stopped
    bench.restart()
    bench.feed(packet_of(chain, [], START + 9 * HOUR))
    assert bench.offered is Offer.STOPPED and bench.windows.last == 3


def test_a_packet_with_another_past_stops_the_run(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 20)
    chain.head = sha256(b"another past").digest()
    chain.pack([], START + 9 * HOUR)
    bench.all(chain.packets)
    assert bench.steps[-1].fork and bench.windows.stopped
    assert bench.aggregator.stream.pending == {}


def test_a_repeat_is_nothing_new(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 120)
    bench.all(chain.packets)
    pending = dict(bench.aggregator.stream.pending)
    for packet in chain.packets:
        assert bench.feed(packet) == [] and bench.offered is Offer.REPEAT
    assert bench.aggregator.stream.pending == pending


def test_a_packet_that_was_stated_lost_is_refused(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.pack([], START)
    twin = Chain(GATEWAY, world.channel, sequence=chain.sequence, head=chain.head)
    chain.pack([], START + 1, lost=1)
    twin.pack([], START + 1)
    bench.all(chain.packets)
    assert bench.windows.last == 3
    bench.feed(twin.packets[0])
    assert bench.offered is Offer.STATED_LOST and not bench.windows.stopped


def packet_of(chain: Chain, rows: list[tuple[str, int, int]], sent_at: int) -> Packet:
    chain.pack(rows, sent_at)
    return chain.packets[-1]


# -- what the ledger says


def test_what_the_ledger_accepts_is_forgotten(world: World) -> None:
    chain, bench, committee = day(world), Bench(world), Committee(world)
    committee.packets.add(chain.packets)
    follower = Follower(world.genesis)
    for packet in chain.packets:
        for message in bench.feed(packet):
            block = committee.take([message])
            assert block is not None and bench.confirm(block, follower) == []
        bench.restart()
    assert bench.aggregator.stream.pending == {} and bench.aggregator.stream.unconfirmed == 0


def test_a_record_that_the_state_refuses_behind_the_accepted_head_is_not_proposed_for_ever(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 4 * 60)
    bench.all(chain.packets)
    stream = bench.aggregator.stream
    first = stream.pending[1]
    verdicts = [Verdict(link.point != "p-1", 40 * (link.point == "p-1"), link.commitment) for link in first.links]
    out = stream.confirm(1, first.digest, verdicts)
    assert [(r.point, r.version, r.reason) for r in out.refused] == [("p-1", 1, 40)] and out.batches == []


def test_a_refused_correction_is_left_out_and_what_followed_is_chained_again(world: World) -> None:
    chain, bench, committee = world.chain(GATEWAY), Bench(world), Committee(world)
    chain.minutes(POINTS, 119)
    chain.pack([], START + 4 * HOUR)
    chain.pack([("p-1", START + 119 * MINUTE, 9)], START + 4 * HOUR)
    chain.pack([], START + 8 * HOUR)
    proposals = bench.all(chain.packets)
    follower, stream = Follower(world.genesis), bench.aggregator.stream
    committee.packets.add(chain.packets)
    lying = committee.packets.late
    committee.packets.late = lambda *_: []  # type: ignore[method-assign]
    block = committee.take(proposals)
    committee.packets.late = lying  # type: ignore[method-assign]
    assert block is not None
    refusals = [refusal for *_, refusal in committee.records]
    assert Refusal.WRONG_RANGE in refusals and Refusal.WRONG_PREDECESSOR in refusals
    bench.restart()
    again = bench.confirm(block, follower)
    stream = bench.aggregator.stream
    assert again and stream.unconfirmed > 0
    committee.records.clear()
    block = committee.take(again)
    assert block is not None
    assert {refusal for *_, refusal in committee.records} == {Refusal.PASS}
    assert {point for point, *_ in committee.records} == {"p-1"}
    assert bench.confirm(block, follower) == [] and stream.unconfirmed == 0
    assert committee.state.heads["p-1"].window_end == START + 7 * HOUR


def test_a_point_whose_window_was_refused_is_halted_and_the_others_go_on(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 120)
    bench.all(chain.packets)
    stream = bench.aggregator.stream
    batch = stream.pending[1]
    verdicts = [Verdict(link.point != "p-1", 0 if link.point != "p-1" else 5, link.commitment) for link in batch.links]
    out = stream.confirm(1, batch.digest, verdicts)
    assert [(r.point, r.window_start, r.reason) for r in out.refused] == [("p-1", START, 5)] and out.batches == []
    bench.restart()
    bench.feed(packet_of(chain, [], START + 4 * HOUR))
    points = {link.point for b in bench.aggregator.stream.pending.values() for link in b.links}
    assert points == {"p-2", "p-3"}


def test_a_number_taken_by_another_batch_is_proposed_under_a_new_one(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 90)
    bench.all(chain.packets)
    stream = bench.aggregator.stream
    links = stream.pending[1].links
    accepted = [Verdict(True, 0, links[0].commitment)]
    out = stream.confirm(1, bytes(32), accepted)
    assert [batch.number for batch in out.batches] == [2]
    assert out.batches[0].links == links[1:]


def test_a_confirmation_twice_changes_nothing(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 90)
    bench.all(chain.packets)
    stream = bench.aggregator.stream
    batch = stream.pending[1]
    verdicts = [Verdict(True, 0, link.commitment) for link in batch.links]
    assert stream.confirm(1, batch.digest, verdicts).known
    state = stream.dump()
    assert not stream.confirm(1, batch.digest, verdicts).known and stream.dump() == state


def test_a_batch_holds_no_more_than_the_bound(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    proposals = bench.feed(packet_of(chain, [], START + 1000 * HOUR))
    sizes = [len(batch.links) for batch in bench.aggregator.stream.pending.values()]
    assert sizes == [1000, 1000, 997] and len(proposals) == 3
    bench.restart()
    assert [b.message for b in bench.aggregator.stream.pending.values()] == proposals


def test_a_coded_packet_is_read_back_as_it_was(world: World) -> None:
    message = world.chain(GATEWAY).pack([("p-1", START, 5), ("nobody", START, 1)], START)
    coded = coding.code(message, world.registry, world.channel)
    packet, leaves = coding.decode(coded.message)
    assert packet.body == coded.packet.body and leaves == coded.leaves
    assert [item["reason"] for item in coded.items] == ["unknown_point"]
    assert Place(1, packet.digest, packet.sent_at, 0).digest == sha256(packet.body).digest()


def test_a_coded_packet_that_names_another_packet_is_refused(world: World) -> None:
    coded = coding.code(world.chain(GATEWAY).pack([("p-1", START, 5)], START), world.registry, world.channel)
    fields = codec.decode("coded-packet", coded.message)
    for change in ({"sequence": 2}, {"gateway": "other"}, {"digest": bytes(32)}, {"leaves": b""}, {"reasons": b""}):
        with pytest.raises(PacketError):
            coding.decode(codec.encode("coded-packet", fields | change))


FIRST = 100


def amended(world: World, *put: registrars.Put) -> Any:
    """The settings under a registry that is in force from height FIRST on."""
    changed = amendment.amendment(world.registry, 1, 0, FIRST, put, [])
    registry = amendment.amended(world.registry, changed)
    more = {"registry": registry, "writer": record.PayloadWriter(registry), "registry_height": FIRST}
    return replace(world.settings, **more)


def outdate(bench: Bench) -> None:
    """The ledger refuses all that is pending, for the registry that it names, and the worker begins with the next."""
    for number, batch in list(bench.aggregator.stream.pending.items()):
        refused = [Verdict(False, OTHER_REGISTRY, link.commitment) for link in batch.links]
        out = bench.aggregator.confirm(number, batch.digest, refused)
        assert out.refused == []


def stated(aggregator: Aggregator) -> dict[tuple[str, int, int], tuple[int, int, list[int]]]:
    """Count, quantity and packets of each record that is pending, by point, start and version."""
    found = {}
    for batch in aggregator.stream.pending.values():
        assert codec.decode_bare("batch", codec.decode("proposal", batch.message)["body"])["registry_height"] == FIRST
        for link in batch.links:
            f = record.decode(link.payload)
            packets = [n for item in f["evidence"] for n in (item["first"], item["last"])]
            found[f["point"], f["window_start"], f["version"]] = (f["count"], f["quantity"], packets)
    return found


def test_what_was_proposed_under_a_registry_that_is_over_is_drafted_again_under_the_next(world: World) -> None:
    chain, bench = day(world), Bench(world)
    settings = amended(world, registrars.entry(world.registry, "points", "p-2", max=500))
    bench.all(chain.packets)
    outdate(bench)
    ((bench.aggregator, left_over),) = restored(bench.rows(), settings)
    assert left_over == []
    bench.world = SimpleNamespace(registry=settings.registry)  # type: ignore[assignment] all that is asked of it
    bench.feed(packet_of(chain, [], START + 8 * HOUR))
    again = stated(bench.aggregator)
    fresh = Bench(world)
    fresh.aggregator, fresh.world = Aggregator(GATEWAY, 0, settings), bench.world
    fresh.all(bench.log)
    assert again == stated(fresh.aggregator)
    assert sum(version > 1 for _, _, version in again) > 5
    counts = {p: sum(c for (q, _, v), (c, *_) in again.items() if (p, v) == (q, 1)) for p in POINTS}
    assert counts["p-2"] < 0.6 * counts["p-1"]


def test_the_reason_is_the_committees() -> None:
    assert OTHER_REGISTRY == Refusal.OTHER_REGISTRY


def test_the_next_run_goes_on_behind_what_the_ledger_has(world: World) -> None:
    chain, bench = world.chain(GATEWAY), Bench(world)
    chain.minutes(POINTS, 240)
    bench.all(chain.packets)
    stream = bench.aggregator.stream
    batch = stream.pending[1]
    stream.confirm(1, batch.digest, [Verdict(True, 0, link.commitment) for link in batch.links])
    outdate(bench)
    accepted = {(link.point, link.window_start) for link in batch.links}
    entry = registrars.rotation(world.registry, GATEWAY, "next key")
    ((aggregator, left_over),) = restored(bench.rows(), amended(world, entry))
    assert len([key for key, value in left_over if key.startswith(b"packet/") and value is None]) == len(chain.packets)
    assert aggregator.windows.number == 2 and aggregator.windows.last == 0
    kept = dict([aggregator.state_row(), *(aggregator.batch_row(number) for number in aggregator.stream.pending)])
    ((aggregator, _),) = restored({k: v for k, v in kept.items() if v}, amended(world, entry))
    due = dict(aggregator.windows.dump()["next"])
    assert due == dict(aggregator.windows.dump()["since"])
    assert due == {p: max(start for q, start in accepted if q == p) + HOUR for p in POINTS}
