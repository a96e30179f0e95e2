"""The evidence half: an aggregator that lies gets nothing past it, and what can't be checked yet gets no verdict."""

from fractions import Fraction
from typing import Any

import pytest

from carbon import drafting
from carbon import record as records
from carbon.record import EvidenceRange
from carbon.refusal import Refusal
from carbon.window import Span
from consensus.batch import BatchError
from consensus.contract import Contract, Undecidable
from tests.consensus.aggregator import Aggregator, Evidence, early, with_fields
from tests.small import HOUR, QUARTER, START, World

POINT = "plant-0-1"


class Scene:
    def __init__(self, **changes: Any) -> None:
        self.world = World.make(**changes)
        self.evidence = Evidence(self.world)
        self.aggregator = Aggregator(self.world, self.evidence)
        self.contract = Contract(self.world.genesis, self.world.registry)

    def send(self, hours: int, readings=None) -> None:
        self.evidence.add(
            self.world.pack(START + hours * HOUR, self.world.day(2, hours - 2) if readings is None else readings)
        )

    def judge(self, records) -> list[Refusal]:
        return [ruling.refusal for ruling in self.contract.judge(self.aggregator.batch(records), self.evidence)]


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    for hours in (2, 4, 6):
        scene.send(hours)
    return scene


def test_honest_records_pass(scene):
    assert scene.judge(scene.aggregator.hours(0, 5)) == [Refusal.PASS] * 15


LIES = {
    Refusal.WRONG_SUM: with_fields(quantity=1),
    Refusal.WRONG_COUNT: with_fields(count=3),
    Refusal.WRONG_EVIDENCE_ROOT: with_fields(evidence_root=bytes(32)),
    Refusal.WRONG_EMISSION: with_fields(emission_g=1),
    Refusal.WRONG_FACTORS: with_fields(factors=bytes(32)),
    Refusal.MALFORMED: with_fields(subject="region"),
    Refusal.WRONG_CORRECTION: with_fields(replaces={"version": 1, "evidence_root": bytes(32), "emission_g": 0}),
}


@pytest.mark.parametrize("refusal", LIES)
def test_a_lie_is_named(scene, refusal):
    draft = scene.aggregator.draft(POINT, START)
    assert scene.judge([scene.aggregator.record(draft, LIES[refusal])]) == [refusal]


@pytest.mark.parametrize("field", ["scale", "window_seconds", "expected", "unit", "rule", "boundary", "cause"])
def test_no_field_is_the_aggregators_to_choose(scene, field):
    wrong = {"unit": "kWh", "rule": "none", "boundary": b"\1" * 32, "cause": "FACTOR"}.get(field, 7)
    draft = scene.aggregator.draft(POINT, START)
    assert scene.judge([scene.aggregator.record(draft, with_fields(**{field: wrong}))]) != [Refusal.PASS]


def test_a_window_closed_early_is_a_wrong_range(scene):
    first = scene.evidence.facts("gw-0", 0, 1)
    draft = early(scene.aggregator.draft(POINT, START), EvidenceRange("gw-0", 0, 1, 1, first.packet.digest))
    assert scene.judge([scene.aggregator.record(draft)]) == [Refusal.PASS]  # hour 0 does close with packet 1
    draft = early(scene.aggregator.draft(POINT, START + HOUR), EvidenceRange("gw-0", 0, 1, 1, first.packet.digest))
    assert scene.judge([scene.aggregator.record(draft)]) == [Refusal.WRONG_RANGE]


def test_a_packet_left_out_is_a_wrong_range(scene):
    second = scene.evidence.facts("gw-0", 0, 2)
    draft = early(scene.aggregator.draft(POINT, START + HOUR), EvidenceRange("gw-0", 0, 2, 2, second.packet.digest))
    assert scene.judge([scene.aggregator.record(draft)]) == [Refusal.WRONG_RANGE]


def test_what_has_not_arrived_is_not_voted_on(scene):
    records = scene.aggregator.hours(0, 5)
    behind = Scene()
    for hours in (2, 4):
        behind.send(hours)
    with pytest.raises(Undecidable):
        scene.contract.judge(scene.aggregator.batch(records), behind.evidence)


def test_a_window_that_no_held_packet_closes_is_refused_at_once(scene):
    third = scene.evidence.facts("gw-0", 0, 3)
    draft = scene.aggregator.draft(POINT, START + 4 * HOUR)
    claim = early(draft, EvidenceRange("gw-0", 0, 3, 3, third.packet.digest))
    record = scene.aggregator.record(claim, with_fields(window_start=START + 5 * HOUR))
    assert scene.judge([(POINT, START + 5 * HOUR, record[2])]) == [Refusal.WRONG_RANGE]


def test_unknown_points_windows_off_the_grid_and_garbage(scene):
    _, _, payload = scene.aggregator.record(scene.aggregator.draft(POINT, START))
    assert scene.judge([("nobody", START, payload)]) == [Refusal.UNKNOWN_POINT]
    assert scene.judge([(POINT, START + 1, payload)]) == [Refusal.UNKNOWN_POINT]
    assert scene.judge([(POINT, START - HOUR, payload)]) == [Refusal.UNKNOWN_POINT]
    assert scene.judge([(POINT, START, b"garbage")]) == [Refusal.MALFORMED]
    assert scene.judge([("plant-0-0", START, payload)]) == [Refusal.MALFORMED]


def test_an_empty_window_is_recorded_with_no_coverage():
    scene = Scene()
    scene.send(2, [])
    scene.send(4, [])
    draft = scene.aggregator.draft(POINT, START)
    assert draft.window.count == 0
    assert scene.judge([scene.aggregator.record(draft)]) == [Refusal.PASS]


GAS = {"rule": "fuel", "fuel": "fuel_defaults.ndrc_other.natural_gas", "per": "Nm3"}
CLINKER = "process_emissions.cement_clinker_mee_2024"
OTHER_RULES = {
    POINT: {"unit": "Nm3", "scale": 2, "emission": GAS},
    "plant-0-2": {"unit": "kg", "emission": {"rule": "process", "factor": CLINKER}, "allowed": [CLINKER]},
}


def test_fuel_and_processes_are_recomputed_in_their_units() -> None:
    scene = Scene(more=OTHER_RULES)
    scene.send(2)
    scene.send(4)
    drafts = [scene.aggregator.draft(point, START) for point in OTHER_RULES]
    honest = [records.decode(scene.aggregator.record(draft)[2]) for draft in drafts]
    # 0.01 Nm3 · 2162.18880899… g/Nm3 (389.31 · 15.3 · 0.99 · 44/12 / 10); 1 kg · 535 g/kg
    per_unit = Fraction("589.687857") * 44 / 12 / 100, Fraction(535)
    assert [one["emission_g"] for one in honest] == [
        round(each * one["quantity"]) for each, one in zip(per_unit, honest, strict=True)
    ]
    assert honest[1]["rule"] == f"process: {CLINKER} · 1 · confidence D: {CLINKER}"
    assert scene.judge([scene.aggregator.record(draft) for draft in drafts]) == [Refusal.PASS] * 2
    unmarked = with_fields(rule=f"process: {CLINKER} · 1")
    assert scene.judge([scene.aggregator.record(drafts[1], unmarked)]) == [Refusal.MALFORMED]


def late_scene() -> tuple[Scene, list]:
    """The third quarter of hour 0 of one point comes two packets late."""
    scene = Scene()
    late = (POINT, START + 2 * QUARTER, 5)
    on_time = [r for r in scene.world.day(2) if r[:2] != late[:2]]
    scene.send(2, on_time)
    scene.send(4)
    scene.send(6, [late])
    return scene, [scene.evidence.facts("gw-0", 0, k) for k in (1, 3)]


def corrected(scene: Scene, packets: list, version: int = 2):
    point, first = scene.world.registry.points[POINT], packets[0].packet.sequence
    range_ = drafting.range_of(scene.world.channel, Span(first, first), packets[:1])
    return drafting.correction(point, START, version, scene.world.channel, range_, packets[1:])


def test_a_late_reading_makes_a_correction_that_passes():
    scene, packets = late_scene()
    first = scene.aggregator.draft(POINT, START)
    draft = corrected(scene, packets)
    assert (first.window.count, draft.window.count, draft.window.quantity) == (3, 4, first.window.quantity + 5)
    assert draft.replaces.emission_g == first.emission_g
    rulings = scene.contract.judge(scene.aggregator.batch([scene.aggregator.record(draft)]), scene.evidence)
    assert [r.refusal for r in rulings] == [Refusal.PASS]
    assert rulings[0].posted_g == draft.emission_g - first.emission_g


def test_a_correction_that_changes_nothing_is_refused():
    scene = Scene()
    scene.send(2)
    scene.send(4)
    scene.send(6, [(POINT, START, 1_000)])
    packets = [scene.evidence.facts("gw-0", 0, k) for k in (1, 3)]
    assert scene.judge([scene.aggregator.record(corrected(scene, packets))]) == [Refusal.WRONG_CORRECTION]


def test_a_first_correction_that_skips_an_earlier_late_reading_is_refused():
    """It would state that the skipped one was posted before, and take its grams out of the balance."""
    scene = Scene()
    on_time = [r for r in scene.world.day(2) if r[0] != POINT or r[1] not in (START, START + QUARTER)]
    scene.send(2, on_time)
    for hours, quarter in ((4, 0), (6, 1)):
        scene.send(hours, [(POINT, START + quarter * QUARTER, 5)])
    held = [scene.evidence.facts("gw-0", 0, k) for k in (1, 2, 3)]
    assert scene.judge([scene.aggregator.record(corrected(scene, held[:2]))]) == [Refusal.PASS]
    assert scene.judge([scene.aggregator.record(corrected(scene, held))]) == [Refusal.WRONG_CORRECTION]
    assert scene.judge([scene.aggregator.record(corrected(scene, held, version=3))]) == [Refusal.PASS]


def test_a_correction_without_its_late_packet_is_refused():
    scene, packets = late_scene()
    second = scene.evidence.facts("gw-0", 0, 2)
    draft = corrected(scene, packets)
    named = (draft.evidence[0], EvidenceRange("gw-0", 0, 2, 2, second.packet.digest))
    lie = with_fields(evidence=[item._asdict() for item in named])
    assert scene.judge([scene.aggregator.record(draft, lie)]) == [Refusal.WRONG_RANGE]


def test_a_batch_of_another_signer_is_no_batch(scene):
    records = scene.aggregator.hours(0, 1)
    for changes in ({"signer": "gw-0"}, {"submitter": "nobody"}, {"kind": 2}, {"registry_height": 1}, {"number": 0}):
        with pytest.raises(BatchError):
            scene.aggregator.batch(records, **changes)
