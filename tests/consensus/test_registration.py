"""Changes of the registry: who must have signed one, when it acts, and that the genesis alone still suffices."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from carbon import amendment, drafting, signing, window
from carbon import record as records
from carbon.factors.succession import entry_of
from carbon.packet import PacketError, verify
from carbon.refusal import Refusal
from carbon.registry import Registry
from consensus import batch as batches
from consensus import registration
from consensus.batch import Batch, BatchError
from consensus.contract import Contract, Ruling
from consensus.core.bodies import ProposedBatch
from consensus.core.effects import OrderedBlock
from consensus.ledger import Ledger
from consensus.log import leaf
from consensus.log import package as packages
from consensus.log.committee import AHEAD, FURTHEST
from infra.verification import verify as verify_all
from schemas import codec
from tests import registrars
from tests.consensus.aggregator import Aggregator, Evidence
from tests.consensus.test_ledger import SIGNERS, MemoryStore, endorsement
from tests.registrars import REGISTRARS, entry, record, rotation
from tests.small import HOUR, QUARTER, START, World, seed

POINT = "plant-0-1"
FIRST = 1 + AHEAD


class Scene:
    """A ledger driven by hand over changes of its registry, and one gateway's packets and aggregator beside it."""

    time_ms = 1_000

    def __init__(self, **changes: Any) -> None:
        self.world = World.make(registrars=REGISTRARS, **changes)
        self.store = MemoryStore()
        self.ledger = Ledger(self.world.genesis, self.world.registry, self.store)
        self.messages = [self.world.pack(START + h * HOUR, self.world.day(2, h - 2)) for h in (2, 4, 6)]
        self.heads: dict[str, bytes] = {}
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """Make records under the registry in force."""
        self.world.registry = self.ledger.registry
        self.evidence = Evidence(self.world)
        for message in self.messages:
            self.evidence.add(message)
        self.aggregator = Aggregator(self.world, self.evidence)
        self.aggregator.heads, self.aggregator.number = self.heads, self.number

    def windows(self, first: int, count: int, registry_height: int = 0) -> Batch:
        self.number += 1
        self.aggregator.number = self.number - 1
        message = self.aggregator.message(self.aggregator.hours(first, count), registry_height=registry_height)
        return batches.verify(message, self.ledger.registries, self.world.channel, 2_000)

    def judge(self, batch: Batch) -> list[Ruling]:
        registry = self.ledger.registries[batch.registry_height]
        return Contract(self.world.genesis, registry).judge(batch, self.evidence)

    def order(self, *batches_: Batch) -> list[tuple[Refusal, int]]:
        """Verdict and registry height of each leaf of the next block, certified."""
        ordered, votes = [], []
        for batch in batches_:
            rulings = self.judge(batch)
            self.ledger.hold(batch, rulings)
            codes = np.array([r.refusal for r in rulings], ">u2").tobytes()
            ordered.append(ProposedBatch(batch.submitter, batch.stream, batch.number, batch.digest, codes))
            votes += [endorsement(self, member, batch.digest, codes) for member in SIGNERS]  # type: ignore[arg-type]
        height = self.ledger.height + 1
        text = self.ledger.execute(OrderedBlock(0, height, self.time_ms, tuple(ordered), tuple(votes)))
        assert text is not None
        package = self.ledger.settle(height, [(m, signing.sign_raw(seed(f"note-{m}"), text)) for m in SIGNERS])
        block = codec.decode("block", codec.decode_bare("block-package", package)["block"])
        return [(Refusal(one.reason), one.registry_height) for one in map(leaf.decode, leaf.split(block["leaves"]))]

    def change(
        self, *put: registrars.Put, first: int | None = None, number: int = 1, of: tuple[int, Registry] | None = None
    ) -> Refusal:
        height = self.ledger.height + 1
        base, now = of or (self.ledger._state.registry_at(height), self.now)
        payload = record(self.world, now, first or height + AHEAD, *put, number=number, base=base)
        ((refusal, _),) = self.order(registrars.batch(payload))
        return refusal

    def until(self, height: int) -> None:
        while self.ledger.height < height:
            self.order()

    @property
    def now(self) -> Registry:
        return self.ledger.registry


NARROW = {"max": 1_004}
"""In every two hours of `World.day` the values rise from 1000 to 1007: of the second hour this leaves one in four."""
BEGINS = 2 + AHEAD


def narrowed(scene: Scene) -> Scene:
    """Two hours recorded at height 1, at height 2 the range of a point narrowed: in force from the next height on."""
    scene.order(scene.windows(0, 2))
    assert scene.change(entry(scene.now, "points", POINT, **NARROW)) is Refusal.PASS
    scene.until(BEGINS - 2)
    assert scene.now.points[POINT].max == 10**9
    scene.until(BEGINS - 1)
    assert scene.now.points[POINT].max == 1_004
    return scene


@pytest.fixture(scope="module")
def whole() -> Scene:
    """A ledger with records under two registries."""
    scene = narrowed(Scene())
    scene.begin()
    assert set(scene.order(scene.windows(2, 2, BEGINS))) == {(Refusal.PASS, BEGINS)}
    return scene


NEW = "plant-0-9"


def with_a_new_point() -> Scene:
    """Two hours recorded, a new point of a new subject, and two more hours of all points under the next registry."""
    scene = Scene()
    scene.order(scene.windows(0, 2))
    subject = {"id": "boiler", "name": "Boiler", "kind": "plant", "parent": "plant"}
    more = {"id": NEW, "object": "9" * 24, "subject": "boiler", "start": START + 2 * HOUR}
    section, point = entry(scene.now, "points", POINT)
    assert scene.change(("subjects", subject), (section, point | more)) is Refusal.PASS
    scene.until(BEGINS - 1)
    scene.begin()
    assert set(scene.order(scene.windows(2, 2, BEGINS))) == {(Refusal.PASS, BEGINS)}
    return scene


def with_another_run() -> tuple[Scene, list[bytes]]:
    """Two hours recorded, a new key of the gateway, two hours from its next run; and the packets of both runs."""
    scene = Scene()
    scene.order(scene.windows(0, 2))
    assert scene.change(rotation(scene.now, "gw-0", "gw-0b")) is Refusal.PASS
    scene.until(BEGINS - 1)
    days = [(START + h * HOUR, scene.world.day(2, h - 2)) for h in (4, 6)]
    signer = replace(scene.world, gateway="gw-0b", sequence=0, previous=bytes(32))
    before, scene.messages = scene.messages, [signer.pack(at, day, gateway="gw-0", run=1) for at, day in days]
    scene.begin()
    assert set(scene.order(scene.windows(2, 2, BEGINS))) == {(Refusal.PASS, BEGINS)}
    return scene, before + scene.messages


def counts(scene: Scene) -> list[int]:
    """Readings counted for POINT, window after window."""
    return [each["count"] for each in fields_of_point(scene)]


def test_from_its_height_on_a_threshold_counts_otherwise_and_not_before(whole: Scene) -> None:
    assert counts(whole) == [4, 4, 4, 1]


LESS = registrars.changed_tables(b"coal_oxidation_rate,99", b"coal_oxidation_rate,98")


def fields_of_point(scene: Scene) -> list[dict[str, Any]]:
    """The records of POINT, window after window."""
    payloads = [p for package in scene.store.kept for p in packages.read(package).payloads]
    fields = [records.decode(p) for p in payloads if POINT.encode() in p and b"registr" not in p]
    return [each for each in fields if each["point"] == POINT]


def with_another_factor_set() -> Scene:
    """Two hours recorded, another factor set, and two more hours under it."""
    scene = Scene()
    scene.order(scene.windows(0, 2))
    assert scene.change(("factors", entry_of("2027-1", date(2027, 1, 1), LESS))) is Refusal.PASS
    scene.until(BEGINS - 1)
    # drafted by the set before, in a batch that names the registry in force
    heads = dict(scene.heads)
    assert {one.refusal for one in scene.judge(scene.windows(2, 1, BEGINS))} == {Refusal.WRONG_FACTORS}
    scene.heads, scene.number = heads, scene.number - 1
    scene.begin()
    assert set(scene.order(scene.windows(2, 2, BEGINS))) == {(Refusal.PASS, BEGINS)}
    return scene


def test_from_its_height_on_a_factor_set_counts_and_its_records_name_it() -> None:
    scene = with_another_factor_set()
    found, (shipped, now) = fields_of_point(scene), scene.now.sets
    assert (shipped.version, now.version, scene.now.factors) == ("2026-1", "2027-1", now)
    assert [each["factors"] for each in found] == [shipped.digest] * 2 + [now.digest] * 2
    assert found[2]["emission_g"] == round(Fraction(98 * found[0]["emission_g"], 99))
    report = verify_all(scene.world.genesis, scene.store.kept)
    assert (report.refused, report.balances) == ("", scene.ledger.balances)


def test_a_factor_set_closes_the_points_that_it_counts_otherwise() -> None:
    scene = with_a_late_reading(Scene())
    scene.order(scene.windows(0, 2))
    assert scene.change(("factors", entry_of("2027-1", date(2027, 1, 1), LESS))) is Refusal.PASS
    scene.until(BEGINS - 1)
    scene.begin()
    assert scene.order(late(scene)) == [(Refusal.CLOSED, BEGINS)]


def test_under_a_factor_set_that_changes_no_coefficient_a_window_is_still_corrected() -> None:
    scene = with_a_late_reading(Scene())
    scene.order(scene.windows(0, 2))
    tables = registrars.changed_tables(b"per_heat_2021,0.03356", b"per_heat_2021,0.03357")
    assert scene.change(("factors", entry_of("2027-1", date(2027, 1, 1), tables))) is Refusal.PASS
    scene.until(BEGINS - 1)
    scene.begin()
    assert scene.order(late(scene)) == [(Refusal.PASS, BEGINS)]


def test_a_change_that_hides_what_a_factor_set_closes_is_refused() -> None:
    scene = Scene()
    good = amendment.amendment(scene.now, 1, 0, FIRST, [("factors", entry_of("2027-1", date(2027, 1, 1), LESS))], [])
    assert good.closed == tuple(sorted(scene.now.points))
    wrong = registration.signed(
        replace(good, closed=()), registrars.REGISTRAR, seed(registrars.REGISTRAR), scene.world.channel
    )
    assert judged(scene, wrong) is Refusal.WRONG_REGISTRY


def test_what_names_a_registry_that_is_not_in_force_is_refused() -> None:
    scene = Scene()
    early = scene.windows(0, 1)
    scene.change(entry(scene.now, "points", POINT, **NARROW), first=BEGINS - 1)
    scene.until(BEGINS - 2)
    scene.heads.clear()
    assert set(scene.order(early)) == {(Refusal.OTHER_REGISTRY, 0)}
    assert scene.ledger.balances == {}
    scene.begin()
    assert set(scene.order(scene.windows(0, 2, BEGINS - 1))) == {(Refusal.PASS, BEGINS - 1)}
    again = Scene()
    again.change(entry(again.now, "points", POINT, **NARROW), first=BEGINS - 1)
    again.world.registry = again.ledger.registries[BEGINS - 1]
    assert set(again.order(again.windows(0, 1, BEGINS - 1))) == {(Refusal.OTHER_REGISTRY, BEGINS - 1)}


def test_a_batch_of_a_registry_that_nobody_knows_is_no_batch() -> None:
    with pytest.raises(BatchError, match="no registry is known"):
        Scene().windows(0, 1, 7)


def late(scene: Scene) -> Batch:
    """The correction of the first hour of POINT, by a reading that came behind all others."""
    base = scene.ledger._state.registry_at(scene.ledger.height + 1)
    evidence, world = scene.evidence, scene.world
    unusable, sequence = evidence.late("gw-0", 0, (POINT, START))
    assert unusable < sequence
    point, span = world.registry.points[POINT], evidence.run("gw-0", 0)
    closing = window.closing_span(span, START, START + HOUR, HOUR, 0)
    assert closing is not None
    facts = [evidence.facts("gw-0", 0, k) for k in range(closing.first, closing.last + 1)]
    range_ = drafting.range_of(world.channel, closing, [f for f in facts if f is not None])
    last = evidence.facts("gw-0", 0, sequence)
    assert last is not None
    draft = drafting.correction(point, START, 2, world.channel, range_, [last])
    scene.number += 1
    scene.aggregator.number = scene.number - 1
    message = scene.aggregator.message([scene.aggregator.record(draft)], registry_height=base)
    return batches.verify(message, scene.ledger.registries, world.channel, 2_000)


def with_a_late_reading(scene: Scene) -> Scene:
    """The second quarter of the first hour comes last, and before it once out of its range."""
    world = World.make(registrars=REGISTRARS)
    days = [[r for r in world.day(2, h - 2) if r[:2] != (POINT, START + QUARTER)] for h in (2, 4, 6)]
    scene.messages = [world.pack(START + h * HOUR, day) for h, day in zip((2, 4, 6), days, strict=True)]
    for value in (2 * 10**9, 1_000):
        scene.messages.append(world.pack(START + 7 * HOUR, [(POINT, START + QUARTER, value)]))
    scene.begin()
    return scene


def test_a_window_recorded_before_its_point_was_changed_is_corrected_no_more() -> None:
    scene = narrowed(with_a_late_reading(Scene()))
    scene.begin()
    (verdict,) = scene.order(late(scene))
    assert verdict == (Refusal.CLOSED, BEGINS)


def test_and_one_of_another_point_is() -> None:
    scene = with_a_late_reading(Scene())
    scene.order(scene.windows(0, 2))
    scene.change(entry(scene.now, "points", "plant-0-0", **NARROW))
    scene.until(BEGINS - 1)
    scene.begin()
    (verdict,) = scene.order(late(scene))
    assert verdict == (Refusal.PASS, BEGINS)


def test_one_change_at_a_time_and_not_too_soon_nor_too_far() -> None:
    scene = Scene()
    put = entry(scene.now, "points", POINT, **NARROW)
    for number, first in enumerate((AHEAD, FURTHEST + 3), 1):
        assert scene.change(put, first=first, number=number) is Refusal.WRONG_FIRST_HEIGHT
    assert scene.change(put, number=3) is Refusal.PASS
    assert scene.change(put, number=4) is Refusal.CHANGE_PENDING
    scene.until(3 + AHEAD - 1)
    assert scene.change(entry(scene.now, "points", POINT, max=5), number=5) is Refusal.PASS
    assert [r.recorded for r in scene.ledger._state.registries.values()] == [3, 3 + AHEAD]


def test_a_change_of_a_registry_that_is_not_in_force_is_refused() -> None:
    scene = Scene()
    was = scene.now
    scene.change(entry(was, "points", POINT, **NARROW))
    scene.until(AHEAD)
    assert scene.change(entry(was, "points", POINT, max=5), number=2, of=(0, was)) is Refusal.OTHER_REGISTRY


def test_who_signs_a_change() -> None:
    scene = Scene()
    put = entry(scene.now, "points", POINT, **NARROW)
    for signer in ("aggregator", "gw-0", "vote-0"):
        payload = record(scene.world, scene.now, FIRST, put, signer=signer)
        with pytest.raises(BatchError, match="no registrar signed"):
            batches.verify(registration.proposal(payload), scene.ledger.registries, scene.world.channel, 1)
        assert judged(scene, payload) is Refusal.NOT_SIGNED
    assert judged(scene, record(scene.world, scene.now, FIRST, put)) is Refusal.PASS
    nobodys = World.make()
    assert judged(scene, record(nobodys, scene.now, FIRST, put)) is Refusal.NOT_SIGNED


def judged(scene: Scene, payload: bytes, number: int = 1, base: int = 0) -> Refusal:
    return registration.refusal(payload, number, base, scene.world.channel, scene.now)


def test_a_change_is_of_the_number_and_the_registry_of_its_batch() -> None:
    scene = Scene()
    payload = record(scene.world, scene.now, FIRST, entry(scene.now, "points", POINT, **NARROW))
    assert (judged(scene, payload, 2), judged(scene, payload, 1, 5)) == (Refusal.MALFORMED, Refusal.MALFORMED)
    assert judged(scene, b"nonsense") is Refusal.MALFORMED


def test_a_change_that_may_not_be_made_is_refused_though_a_registrar_signed_it() -> None:
    scene = Scene()
    good = amendment.amendment(scene.now, 1, 0, FIRST, [entry(scene.now, "points", POINT, **NARROW)], [])
    for wrong in (replace(good, digest=bytes(32)), replace(good, closed=()), replace(good, put=())):
        payload = registration.signed(wrong, registrars.REGISTRAR, seed(registrars.REGISTRAR), scene.world.channel)
        assert judged(scene, payload) is Refusal.WRONG_REGISTRY


def test_a_registry_without_a_registrar_stays_as_it_is() -> None:
    world, scene = World.make(), Scene()
    payload = record(world, world.registry, FIRST, entry(world.registry, "points", POINT, **NARROW))
    assert registration.refusal(payload, 1, 0, world.channel, world.registry) is Refusal.NOT_SIGNED
    assert (
        judged(scene, record(scene.world, scene.now, FIRST, entry(scene.now, "points", POINT, max=1))) is Refusal.PASS
    )


def test_a_revoked_key_counts_no_more_and_the_next_run_does() -> None:
    scene = Scene()
    scene.order(scene.windows(0, 2))
    stands = dict(scene.ledger.balances)
    assert scene.change(entry(scene.now, "gateways", "gw-0", revoked=True)) is Refusal.PASS
    scene.until(BEGINS - 1)
    refused = scene.messages[0]
    with pytest.raises(PacketError, match="revoked_key"):
        verify(refused, scene.now, scene.world.channel)
    scene.aggregator.heads = scene.heads
    assert {refusal for refusal, _ in scene.order(scene.windows(2, 1, BEGINS))} == {Refusal.REVOKED_KEY}
    assert scene.ledger.balances == stands
    scene.change(rotation(scene.now, "gw-0", "gw-0b"), number=2)
    scene.until(scene.ledger.height + AHEAD - 1)
    assert (scene.now.gateways["gw-0"].run, scene.now.gateways["gw-0"].revoked) == (1, False)
    with pytest.raises(PacketError, match="revoked_key"):
        verify(refused, scene.now, scene.world.channel)


def test_the_genesis_alone_verifies_over_a_change_and_so_does_a_member_that_starts_again(whole: Scene) -> None:
    report = verify_all(whole.world.genesis, whole.store.kept)
    assert (report.refused, report.height, report.balances) == ("", BEGINS, whole.ledger.balances)
    first = World.make(registrars=REGISTRARS)
    again = Ledger(first.genesis, first.registry, whole.store)
    assert (again.registry.digest, again.height) == (whole.now.digest, BEGINS)
    lagging = Ledger(first.genesis, first.registry, MemoryStore())
    for package in whole.store.kept:
        assert lagging.install(package)
    assert (lagging.registry.digest, lagging.balances) == (whole.now.digest, whole.ledger.balances)


def test_the_state_digest_covers_the_registry(whole: Scene) -> None:
    states = [set(text.decode().splitlines()) for text in whole.store.states]
    line = f"registry {BEGINS} 2 {whole.now.digest.hex()}"
    assert [line in text for text in states] == [False, *[True] * (BEGINS - 1)]
    assert [f"closing {POINT}" in text for text in states] == [False, *[True] * (BEGINS - 2), False]
    assert f"closed {POINT} {START + 2 * HOUR}" in states[-1]
