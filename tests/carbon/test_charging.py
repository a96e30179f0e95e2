"""Substitution from packets to the ledger: the aggregator proposes, the real contract and state judge."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from carbon import record, signing
from carbon.aggregator import restored
from carbon.ledger.books import Books
from carbon.proposing import OTHER_REGISTRY, Verdict
from carbon.record import PayloadWriter
from carbon.refusal import Refusal
from consensus import batch as batches
from consensus.contract import Ruling
from consensus.core.bodies import ProposedBatch
from consensus.core.effects import OrderedBlock
from consensus.ledger import Ledger
from consensus.log.follower import Follower, OpenedLeaf, Position, VerifiedBlock
from consensus.log.reader import OpenedBlock
from consensus.state import Chain as StateChain
from consensus.state import Registered, State
from infra.verification import Verification
from schemas import codec
from streams.accounts import post_block
from tests.carbon.test_aggregation import Bench
from tests.small import HORIZON_MS
from tests.streams.committee import Committee
from tests.streams.world import AGGREGATOR, HOUR, START, World, seed

GATEWAY = "gw"
TIERS = {
    "substitution": [{"start": START + 2 * HOUR, "tiers": "part75", "potential": 900_000}],
    "substitution_after": 24,
}
HOURS = 60
HEIGHT = 1_000


def world() -> World:
    return World({GATEWAY: ["blind", "plain"]}, step=900, lateness=600, more={"blind": TIERS})


class Scene:
    """Hours of quarters of two points; those of `missing` lack all but `left` readings of `blind`."""

    def __init__(
        self,
        missing: Iterable[int],
        late: dict[int, tuple[int, int]] | None = None,
        left: int = 2,
        world: Callable[[], World] = world,
        stops: dict[int, int] | None = None,
        flag: str = "F",
    ) -> None:
        """`late`: hour to (hour at which it comes, how many of its quarters come then); `stops`: hour to the one at
        which it is said that the plant stood still in what it lacks."""
        self.world, self.bench = world(), Bench(world())
        self.chain, held = self.world.chain(GATEWAY), set(missing)
        for hour in range(HOURS + 1):
            rows = [
                r for r in self._rows(hour) if not (r[0] == "blind" and hour in held and r[1] % HOUR >= left * 900_000)
            ]
            for other, (at, count) in (late or {}).items():
                if at == hour:
                    lacking = [r for r in self._rows(other) if r[0] == "blind" and r[1] % HOUR >= left * 900_000]
                    rows = lacking[:count] + rows
            for other in (other for other, at in (stops or {}).items() if at == hour):
                lacking = [r for r in self._rows(other) if r[0] == "blind" and r[1] % HOUR >= left * 900_000]
                self.chain.pack([(p, at, 0) for p, at, _ in lacking], START + (hour + 1) * HOUR, flag=flag)
            self.chain.pack(rows if hour < HOURS else [], START + (hour + 1) * HOUR)
        self.proposals = self.bench.all(self.chain.packets)
        self.committee = Committee(self.world)
        self.committee.packets.add(self.chain.packets)

    def _rows(self, hour: int) -> list[tuple[str, int, int]]:
        return [(p, START + HOUR * hour + 900_000 * k, 100 + hour) for k in range(4) for p in ("blind", "plain")]

    @property
    def links(self) -> list[Any]:
        return [link for batch in self.bench.aggregator.stream.pending.values() for link in batch.links]

    def fields(self, cause: str) -> list[dict[str, Any]]:
        every = [record.decode(link.payload) for link in self.links]
        return [fields for fields in every if fields["cause"] == cause]

    def judged(self) -> set[Refusal]:
        self.committee.take(self.proposals)
        return {refusal for *_, refusal in self.committee.records}


def test_a_missing_hour_is_charged_after_its_time_and_the_ledger_takes_it() -> None:
    scene = Scene({10, 11, 30})
    assert scene.judged() == {Refusal.PASS}
    first, second, third = scene.fields("SUBSTITUTED")
    assert [f["window_start"] for f in (first, second, third)] == [START + h * HOUR for h in (10, 11, 30)]
    # 47 of 49 hours up to the gap's last are 80 to 90 %: the greatest of the 8 before it; 30 of 35 for the third
    assert [f["quantity"] for f in (first, second, third)] == [4 * 109, 4 * 109, 4 * 129]
    assert first["rule"].endswith(" · tier part75.sub.pma_80_90") and "potential" not in first["rule"]
    assert (first["count"], first["version"], first["expected"]) == (2, 2, 4)
    assert first["replaces"]["emission_g"] == record.posted_g(first | {"replaces": None}) - record.posted_g(first)
    order = [
        (f["window_start"], f["cause"])
        for link in scene.links
        if (f := record.decode(link.payload))["point"] == "blind"
    ]
    assert order.index((START + 10 * HOUR, "SUBSTITUTED")) == order.index((START + 34 * HOUR, "WINDOW")) + 1
    balance = scene.committee.state.balances["plant"]
    assert balance == sum(record.posted_g(record.decode(link.payload)) for link in scene.links)
    assert balance > Scene(set()).committee.state.balances.get("plant", 0)


def stack() -> World:
    """`blind` is a concentration in g/Nm3, whose flow is `plain`: of hour h a quarter is (100 + h)² · 250 mg."""
    rule = {"rule": "cems_mass", "basis": "dry", "flow": "plain", "flow_basis": "dry"}
    points = {
        "blind": TIERS | {"unit": "g/Nm3", "emission": rule},
        "plain": {"unit": "Nm3/h", "emission": {"rule": "none"}},
    }
    return World({GATEWAY: [*points]}, step=900, lateness=600, more=points)


def test_a_missing_hour_of_a_stack_is_charged_the_masses_before_it() -> None:
    scene = Scene({10, 11}, world=stack)
    assert scene.judged() == {Refusal.PASS}
    charged = scene.fields("SUBSTITUTED")
    assert [(f["count"], f["quantity"], f["emission_g"]) for f in charged] == [(2, 4 * 109**2 * 250, 109**2)] * 2
    masses = [(100 + hour) ** 2 for hour in range(HOURS) if hour not in (10, 11)]
    assert scene.committee.state.balances["plant"] == sum(masses) + 2 * 109**2


def test_an_hour_of_a_stack_with_three_quarters_is_a_whole_one() -> None:
    scene = Scene({10}, left=3, world=stack)
    assert scene.judged() == {Refusal.PASS}
    assert scene.fields("SUBSTITUTED") == []
    (hour,) = [f for f in scene.fields("WINDOW") if (f["point"], f["window_start"]) == ("blind", START + 10 * HOUR)]
    assert (hour["count"], hour["quantity"], hour["emission_g"]) == (3, 3 * 110**2 * 250, 110**2)


def test_hours_before_the_first_date_and_points_without_tiers_are_left_alone() -> None:
    scene = Scene({0, 1, 5})
    assert scene.judged() == {Refusal.PASS}
    assert [f["window_start"] for f in scene.fields("SUBSTITUTED")] == [START + 5 * HOUR]
    plain = [f for f in scene.fields("WINDOW") if f["point"] == "plain"]
    assert {f["rule"] for f in plain} == {"purchased electricity: grid_factors.CN.national.2022"}
    assert set(scene.committee.state.substitutions.hours) == {"blind"}


def test_readings_that_come_in_time_leave_nothing_to_charge() -> None:
    scene = Scene({10}, late={10: (20, 2)})
    assert scene.judged() == {Refusal.PASS}
    assert len(scene.fields("LATE")) == 1 and scene.fields("SUBSTITUTED") == []
    assert scene.committee.state.substitutions.hours == scene_hours(Scene(set()))


def scene_hours(scene: Scene) -> Any:
    assert scene.judged() == {Refusal.PASS}
    return scene.committee.state.substitutions.hours


def test_readings_that_come_after_the_charge_replace_it() -> None:
    scene = Scene({10}, late={10: (50, 2)})
    assert scene.judged() == {Refusal.PASS}
    (charged,), (measured,) = scene.fields("SUBSTITUTED"), scene.fields("MEASURED")
    assert (measured["version"], measured["count"], measured["quantity"]) == (3, 4, 4 * 110)
    assert measured["replaces"]["emission_g"] == charged["emission_g"]
    substitutions = scene.committee.state.substitutions
    assert substitutions.charged == {}
    settled = replace(scene_hours(Scene(set()))["blind"], settled=substitutions.hours["blind"].settled)
    assert substitutions.hours == {"blind": settled}
    whole = Scene(set())
    assert whole.judged() == {Refusal.PASS}
    assert scene.committee.state.balances == whole.committee.state.balances


def test_while_too_few_have_come_the_charge_stays() -> None:
    scene = Scene({10, 12}, late={10: (50, 1), 12: (20, 1)}, left=1)
    assert scene.judged() == {Refusal.PASS}
    assert scene.fields("MEASURED") == []
    late, charged = scene.fields("LATE"), scene.fields("SUBSTITUTED")
    assert [f["window_start"] for f in late] == [START + 12 * HOUR]
    assert [(f["count"], f["version"]) for f in charged] == [(1, 2), (2, 3)]
    assert len(charged[1]["evidence"]) == 2


def test_what_a_charge_rested_on_may_change_and_it_stays() -> None:
    """Hours 9 and 10 are missing; 9 comes after 10 was charged."""
    scene = Scene({9, 10}, late={9: (50, 2)})
    assert scene.judged() == {Refusal.PASS}
    assert [f["window_start"] for f in scene.fields("MEASURED")] == [START + 9 * HOUR]
    assert [f["window_start"] for f in scene.fields("SUBSTITUTED")] == [START + 9 * HOUR, START + 10 * HOUR]


# -- a plant that stands still


def stopped(scene: Scene) -> list[tuple[int, str, int, int]]:
    """Hour, cause, count and version of the records that say so, in their order."""
    every = [record.decode(link.payload) for link in scene.links]
    told = [f for f in every if f["rule"].endswith(" · stopped")]
    return [((f["window_start"] - START) // HOUR, f["cause"], f["count"], f["version"]) for f in told]


@pytest.mark.parametrize("left", [0, 2])
def test_a_plant_that_stood_still_is_charged_what_was_measured(left: int) -> None:
    scene = Scene({10, 11, 30}, left=left, stops={10: 10, 11: 11})
    assert scene.judged() == {Refusal.PASS}
    assert stopped(scene) == [(10, "WINDOW", left, 1), (11, "WINDOW", left, 1)]
    (charged,) = scene.fields("SUBSTITUTED")
    # 32 of 33 operating hours are 95 % and more: the mean of the hours around
    assert (charged["window_start"], charged["quantity"]) == (START + 30 * HOUR, 4 * 130)
    failed = Scene({10, 11, 30}, left=left)
    assert failed.judged() == {Refusal.PASS} and len(failed.fields("SUBSTITUTED")) == 3
    assert scene.committee.state.balances["plant"] < failed.committee.state.balances["plant"]


@pytest.mark.parametrize("flag", "MSDCBX")
def test_whatever_else_a_flag_says_the_hour_is_missing(flag: str) -> None:
    scene = Scene({10}, left=0, stops={10: 10}, flag=flag)
    assert scene.judged() == {Refusal.PASS}
    assert stopped(scene) == [] and len(scene.fields("SUBSTITUTED")) == 1


def test_a_stop_that_is_told_late_is_a_correction_although_nothing_more_counts() -> None:
    scene = Scene({10}, left=0, stops={10: 20})
    assert scene.judged() == {Refusal.PASS}
    assert stopped(scene) == [(10, "LATE", 0, 2)]
    assert scene.fields("SUBSTITUTED") == []
    now = scene_hours(Scene({10}, left=0, stops={10: 10}))
    assert scene.committee.state.substitutions.hours == now


def test_a_stop_that_is_told_after_the_charge_replaces_it() -> None:
    scene = Scene({10}, left=0, stops={10: 50})
    assert scene.judged() == {Refusal.PASS}
    assert stopped(scene) == [(10, "MEASURED", 0, 3)]
    (charged,), (measured,) = scene.fields("SUBSTITUTED"), scene.fields("MEASURED")
    assert record.posted_g(measured) == -charged["replaces"]["emission_g"] + -record.posted_g(charged)
    assert scene.committee.state.substitutions.charged == {}


def test_readings_of_an_hour_that_stood_still_count_and_end_the_stop() -> None:
    scene = Scene({10}, late={10: (20, 4)}, left=0, stops={10: 10})
    assert scene.judged() == {Refusal.PASS}
    (late,) = scene.fields("LATE")
    assert (late["count"], late["rule"].endswith(" · stopped")) == (4, False)
    assert scene.committee.state.substitutions.hours == scene_hours(Scene(set()))


def test_a_quarter_that_is_both_measured_and_said_to_stand_still_is_measured() -> None:
    both = Scene(set(), left=3, stops={10: 10})
    assert both.judged() == {Refusal.PASS}
    assert stopped(both) == [] and both.fields("SUBSTITUTED") == []


def test_no_aggregator_makes_a_stop_of_a_failure_or_hides_one() -> None:
    still, failed = Scene({10}, left=0, stops={10: 10}), Scene({10}, left=0)
    (true,) = [f for f in still.fields("WINDOW") if f["rule"].endswith(" · stopped")]
    rule = true["rule"].removesuffix(" · stopped")
    for scene, wrong in ((still, rule), (failed, f"{rule} · stopped")):
        (link,) = [one for one in scene.links if (one.point, one.window_start) == ("blind", START + 10 * HOUR)][:1]
        payload = codec.encode_bare("record", record.decode(link.payload) | {"rule": wrong})
        (ruling,) = judge(scene, "blind", START + 10 * HOUR, payload)
        assert ruling.refusal is Refusal.WRONG_SUBSTITUTION


def test_who_has_the_payloads_alone_sees_the_plant_stand_still() -> None:
    scene = Scene({10, 11}, left=0, stops={10: 10, 11: 50})
    copy, alerts = recorded(scene), list[str]()

    def seen(block: VerifiedBlock, payloads: list[bytes]) -> None:
        opened = [OpenedLeaf(leaf, b"", payload) for leaf, payload in zip(block.leaves, payloads, strict=True)]
        posted = post_block(
            Books(), OpenedBlock(b"", block, opened, verification.follower.position), scene.world.registry
        )
        alerts.extend(alert["text"] for alert in posted[1])

    verification = Verification(scene.world.genesis, seen)
    for package in copy.packages:
        verification.package(package)
    assert copy.after is not None and State.load(copy.after[1], HORIZON_MS).text() == copy.after[1]
    hour = (START + 10 * HOUR) // HOUR
    (line,) = [line for line in copy.after[1].decode().splitlines() if line.startswith("hours blind")]
    assert line.endswith(f" {hour}-{hour + 2}")
    assert alerts[0] == "blind: 0 of 4 readings in the window, the plant stood still"


@pytest.mark.parametrize("seed_", range(2))
def test_a_stop_is_the_same_in_whatever_order_and_over_crashes(seed_: int) -> None:
    wanted = Scene({10, 11, 12}, left=0, stops={10: 10, 11: 20, 12: 50})
    rng, bench = random.Random(seed_), _Kept(world())
    made: list[bytes] = []
    for packet in wanted.chain.packets:
        made += bench.feed(packet)
        bench.keep()
        if rng.random() < 0.3:
            bench.crash()
    assert made == wanted.proposals


@pytest.mark.parametrize("seed_", range(2))
def test_the_order_of_arrival_changes_no_record(seed_: int) -> None:
    wanted, bench = late_and_later(), Bench(world())
    packets = list(wanted.chain.packets)
    random.Random(seed_).shuffle(packets)
    for packet in packets:
        bench.feed(packet)
    found = [link.payload for batch in bench.aggregator.stream.pending.values() for link in batch.links]
    assert found == [link.payload for link in wanted.links]


@pytest.mark.parametrize(
    ("fed", "accepted", "crashes"),
    [(44, 8, False), (44, 20, False), (44, 35, True), (55, 20, True), (55, 34, False), (55, 38, False)],
)
def test_windows_that_are_drafted_again_make_the_same_hours_due(fed: int, accepted: int, crashes: bool) -> None:
    """Behind so many batches the ledger refuses all, for the registry that they name; of 55, what replaced a charge."""
    wanted, bench = late_and_later(), _Kept(world())
    committee = Committee(bench.world)
    committee.packets.add(wanted.chain.packets)
    proposals = bench.all(wanted.chain.packets[:fed])
    committee.take(proposals[:accepted])
    pending = list(bench.aggregator.stream.pending.items())
    for place, (number, batch) in enumerate(pending):
        is_accepted = place < accepted
        verdicts = [Verdict(is_accepted, 0 if is_accepted else OTHER_REGISTRY, one.commitment) for one in batch.links]
        out = bench.aggregator.confirm(number, batch.digest, verdicts)
        assert out.refused == []
        bench.keep_confirmed(number)
        if crashes:
            bench.crash()
    proposals = [batch.message for batch in bench.aggregator.stream.pending.values()]
    for packet in wanted.chain.packets[fed:]:
        proposals += bench.feed(packet)
        bench.keep()
        if crashes:
            bench.crash()
    committee.state.streams[AGGREGATOR, GATEWAY] = len(pending)
    committee.take(proposals)
    assert {refusal for *_, refusal in committee.records} == {Refusal.PASS}
    assert wanted.judged() <= {Refusal.PASS}
    assert _settled(committee) == _settled(wanted.committee)
    assert committee.state.substitutions.charged == wanted.committee.state.substitutions.charged
    assert committee.state.balances == wanted.committee.state.balances


def _settled(committee: Committee) -> Any:
    return replace(committee.state.substitutions.hours["blind"], settled=0)


@pytest.mark.parametrize("decided_at", [range(27, HOURS + 1), range(56, HOURS + 1)])
def test_what_the_ledger_refuses_leaves_the_hours_as_the_ledger_has_them(decided_at: range) -> None:
    """A registry closes the point at hour 26, while 10 and 20 wait; readings of 20 come at 28."""
    scene = Scene({10, 20, 31}, late={20: (28, 2)})
    bench, committee, follower = Bench(world()), Committee(world()), Follower(scene.world.genesis)
    committee.packets.add(scene.chain.packets)
    proposals: list[bytes] = []
    for hour, packet in enumerate(scene.chain.packets):
        if hour == 26:
            committee.state.closing = ("blind",)
            committee.state.registries[HEIGHT] = Registered(1, bytes(32))
            committee.state.begin(HEIGHT)
        proposals += bench.feed(packet)
        while (hour < 26 or hour in decided_at) and (block := committee.take(proposals)) is not None:
            proposals = bench.confirm(block, follower)
    refused = [(start, ruling.version, refusal) for _, start, ruling, refusal in committee.records if refusal]
    expected = {(START + 10 * HOUR, 2, Refusal.WRONG_SUBSTITUTION), (START + 20 * HOUR, 2, Refusal.CLOSED)}
    assert expected <= set(refused)
    assert committee.state.heads["blind"].window_end == committee.state.heads["plain"].window_end
    assert list(committee.state.substitutions.charged["blind"]) == [START + 31 * HOUR]
    assert {hour["start"] for hour in bench.windows.charging.dump()["open"]} == set()


def test_a_crash_anywhere_changes_no_proposal() -> None:
    wanted = late_and_later()
    for chance in range(2):
        rng, bench = random.Random(chance), _Kept(world())
        proposals: list[bytes] = []
        for packet in wanted.chain.packets:
            made = bench.feed(packet)
            if rng.random() < 0.3:
                bench.crash()
                made = bench.replay(len(bench.log) - 1)
            bench.keep()
            if rng.random() < 0.3:
                bench.crash()
            proposals += made
        assert proposals == wanted.proposals


class _Kept(Bench):
    """A bench with the table of its rows: a crash before `keep` leaves all rows of a packet but the state row."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.table: dict[bytes, bytes | None] = {}
        self.keep()

    def replay(self, offset: int) -> list[bytes]:
        made = super().replay(offset)
        a = self.aggregator
        rows = [a.packet_row(k) for k in a.windows.places] + [a.batch_row(n) for n in a.stream.pending]
        self.table |= dict([*rows, *a.hours_rows()])
        return made

    def keep_confirmed(self, number: int) -> None:
        a = self.aggregator
        self.table |= dict([*map(a.batch_row, [*a.stream.pending, number]), *a.hours_rows()])
        self.keep()

    def keep(self) -> None:
        self.table |= dict([self.aggregator.state_row()])

    def crash(self) -> None:
        rows = {key: value for key, value in self.table.items() if value is not None}
        ((self.aggregator, left_over),) = restored(rows, self.world.settings)
        self.table |= dict(left_over)


@cache
def late_and_later() -> Scene:
    """Three hours are missing: one comes after it was charged, one in time, one never."""
    return Scene({10, 11, 30}, late={10: (50, 2), 11: (20, 1)})


@cache
def blind() -> Scene:
    """Hour 10 is missing."""
    return Scene({10})


# -- what is kept and replayed


class _Copy:
    """A member's copy of the ledger, in memory."""

    def __init__(self) -> None:
        self.packages: list[bytes] = []
        self.after: tuple[Position, bytes] | None = None

    def resume(self) -> tuple[Position, bytes] | None:
        return self.after

    def keep(self, package: bytes, position: Position, state: bytes) -> None:
        self.packages.append(package)
        self.after = position, state

    def package(self, height: int) -> bytes | None:
        return self.packages[height - 1]


def recorded(scene: Scene) -> _Copy:
    """The ledger of a scene, a batch a block, by a member that begins again from its copy now and then."""
    copy, world = _Copy(), scene.world
    for height, message in enumerate(scene.proposals, 1):
        if height % 7 == 1:
            ledger = Ledger(world.genesis, world.registry, copy)
        batch = batches.verify(message, {0: world.registry}, world.channel, 1_000)
        ledger.hold(batch, scene.committee.contract.judge(batch, scene.committee.packets))
        ordered = ProposedBatch(batch.submitter, batch.stream, batch.number, batch.digest, bytes(2 * len(batch)))
        text = ledger.execute(OrderedBlock(0, height, height, (ordered,), ()))
        assert text is not None
        ledger.settle(height, [(m, signing.sign_raw(seed(f"note {m}"), text)) for m in range(3)])
    return copy


def test_who_has_the_payloads_alone_finds_the_same_state() -> None:
    scene = late_and_later()
    copy = recorded(scene)
    books, schemas, alerts = Books(), set(), []

    def seen(block: VerifiedBlock, payloads: list[bytes]) -> None:
        opened = [OpenedLeaf(leaf, b"", payload) for leaf, payload in zip(block.leaves, payloads, strict=True)]
        position = verification.follower.position
        alerts.extend(post_block(books, OpenedBlock(b"", block, opened, position), scene.world.registry)[1])
        schemas.update(
            (record.read(one.payload)["cause"], codec.schema_name(one.leaf.leaf.schema_id)) for one in opened
        )

    verification = Verification(scene.world.genesis, seen)
    for package in copy.packages:
        verification.package(package)
    assert copy.after is not None
    state = State.load(copy.after[1], HORIZON_MS)
    assert state.text() == copy.after[1] and b"\nhours blind " in copy.after[1]
    assert sum(one.balance for one in books if one.kind == "emissions") == state.balances["plant"]
    texts = [alert["text"] for alert in alerts if alert["kind"] == "substituted"]
    grams = [fields["emission_g"] for fields in scene.fields("SUBSTITUTED")]
    assert (
        texts[0]
        == f"blind: 2 of 4 readings in the window, no valid hour; charged {grams[0]} g by tier part75.sub.pma_80_90"
    )
    assert len(texts) == 2 and [alert["resolved"] for alert in alerts].count(False) == 6
    assert [alert["key"] for alert in alerts if alert["resolved"]] == ["coverage/blind"]
    assert schemas == {("WINDOW", "record@1"), ("LATE", "record@1"), ("SUBSTITUTED", "record"), ("MEASURED", "record")}


def test_a_state_without_substitution_says_nothing_of_hours() -> None:
    state = State(HORIZON_MS, balances={"plant": 1})
    assert state.text() == b"emissions plant 1\n"


# -- what an aggregator could lie about


def altered(scene: Scene, kind: str, /, **changes: Any) -> Refusal:
    """The verdict on a record with other fields, at its place of an honest chain."""
    state, writer = State(HORIZON_MS), PayloadWriter(scene.world.registry)
    heads: dict[str, bytes] = {}
    for link in scene.links:
        fields = record.decode(link.payload)
        if link.point != "blind":
            continue
        draft = record.draft_of(fields, link.salt)
        is_target = fields["cause"] == kind
        payload = writer.payload(draft, heads.get(link.point, bytes(32)))
        if is_target:
            payload = codec.encode_bare("record", record.decode(payload) | changes)
        (ruling,) = judge(scene, link.point, link.window_start, payload)
        refusal = ruling.refusal or state.apply(
            StateChain.of(scene.world.registry.points[link.point]), link.window_start, ruling
        )
        if is_target:
            return refusal
        assert refusal is Refusal.PASS
        heads[link.point] = ruling.commitment
    raise AssertionError("no such record")


def judge(scene: Scene, point: str, start: int, payload: bytes) -> list[Ruling]:
    ranges: dict[tuple[str, int], Any] = {}
    return [scene.committee.contract._record(point, start, payload, scene.committee.packets, ranges)]


ROW = "purchased electricity: grid_factors.CN.national.2022 · missing hours after 24 h: "
REGIME = f"part75 from {START + 2 * HOUR} up to 900000 · tier "


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, Refusal.PASS),
        ({"count": 1}, Refusal.WRONG_COUNT),
        ({"quantity": 4 * 109 + 1}, Refusal.WRONG_SUM),
        ({"quantity": 4 * 108}, Refusal.WRONG_EMISSION),
        ({"quantity": 0, "emission_g": 0}, Refusal.WRONG_SUBSTITUTION),
        ({"emission_g": 0}, Refusal.WRONG_EMISSION),
        ({"boundary": bytes(32)}, Refusal.WRONG_SUBSTITUTION),
        ({"rule": f"{ROW}{REGIME}part75.sub.pma_lt80"}, Refusal.WRONG_SUBSTITUTION),
        ({"rule": f"{ROW}{REGIME}part75.sub.pma_80_90"}, Refusal.PASS),
        ({"rule": f"{ROW}{REGIME}part75.sub.pma_80_90".replace("900000", "9")}, Refusal.MALFORMED),
        ({"cause": "LATE"}, Refusal.WRONG_RANGE),
        ({"cause": "MEASURED"}, Refusal.WRONG_RANGE),
        ({"version": 3}, Refusal.WRONG_CORRECTION),
        ({"evidence_root": bytes(32)}, Refusal.WRONG_EVIDENCE_ROOT),
        ({"replaces": None}, Refusal.WRONG_CORRECTION),
    ],
)
def test_a_substituted_hour_is_what_the_members_find(changes: dict[str, Any], refusal: Refusal) -> None:
    assert altered(blind(), "SUBSTITUTED", **changes) is refusal


def applied(scene: Scene, links: list[Any]) -> list[Refusal]:
    """The verdicts on records of `blind`, each behind the last accepted one."""
    state, writer, head, found = State(HORIZON_MS), PayloadWriter(scene.world.registry), bytes(32), []
    for link in links:
        payload = writer.payload(record.draft_of(record.decode(link.payload), link.salt), head)
        (ruling,) = judge(scene, "blind", link.window_start, payload)
        chain = StateChain.of(scene.world.registry.points["blind"])
        found.append(ruling.refusal or state.apply(chain, link.window_start, ruling))
        head = head if found[-1] else ruling.commitment
    return found


def test_no_charge_is_left_out_put_off_brought_forward_or_repeated() -> None:
    scene = blind()
    links = [link for link in scene.links if link.point == "blind"]
    place = next(i for i, link in enumerate(links) if record.decode(link.payload)["cause"] == "SUBSTITUTED")
    before, charge, behind = links[:place], links[place], links[place + 1 :]
    assert set(applied(scene, links)) == {Refusal.PASS}
    left_out = applied(scene, [*before, *behind])
    assert left_out[:place] == [Refusal.PASS] * place and set(left_out[place:]) != {Refusal.PASS}
    assert left_out[place] is Refusal.SUBSTITUTION_DUE
    put_off = applied(scene, [*before, behind[0], charge, *behind])
    assert put_off[place] is Refusal.SUBSTITUTION_DUE and set(put_off[place + 1 :]) == {Refusal.PASS}
    early = applied(scene, [*before[:-1], charge, before[-1], charge])
    assert early[place - 1] is Refusal.WRONG_SUBSTITUTION and set(early[place:]) == {Refusal.PASS}
    assert applied(scene, [*before, charge, charge])[-1] is Refusal.WRONG_SUBSTITUTION


def test_a_measured_hour_replaces_what_was_charged() -> None:
    scene = Scene({10}, late={10: (50, 2)})
    (true,) = scene.fields("MEASURED")
    assert altered(scene, "MEASURED") is Refusal.PASS
    for wrong in ({"emission_g": 0}, {"version": 1}, {"evidence_root": bytes(32)}):
        assert altered(scene, "MEASURED", replaces=true["replaces"] | wrong) is not Refusal.PASS
    assert altered(scene, "MEASURED", cause="LATE") is Refusal.WRONG_CORRECTION
    late = Scene({10}, late={10: (20, 2)})
    assert altered(late, "LATE") is Refusal.PASS
    assert altered(late, "LATE", cause="MEASURED") is Refusal.WRONG_SUBSTITUTION


def test_a_charge_that_skips_a_late_reading_is_refused() -> None:
    scene = Scene({10}, late={10: (20, 1)}, left=1)
    (true,) = scene.fields("SUBSTITUTED")
    assert altered(scene, "SUBSTITUTED") is Refusal.PASS
    first = {"version": 2, "replaces": true["replaces"] | {"version": 1}}
    assert altered(scene, "SUBSTITUTED", **first) is Refusal.WRONG_CORRECTION
