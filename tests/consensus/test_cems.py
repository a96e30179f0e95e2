"""The evidence half on CEMS masses: recomputed from the packets; who adds up concentrations, or leaves out the hour's
mean, gets nothing past it."""

import pytest

from carbon import drafting, record
from carbon.drafting import Range
from carbon.refusal import Refusal
from carbon.window import Span
from consensus.contract import Contract
from tests.cems import CO2, MASS, RULE, minute, minutes, stack
from tests.consensus.aggregator import Aggregator, Evidence, with_fields
from tests.small import HOUR, START

WHOLE_G = 123_931_627
"""60 minutes of `tests.cems.MASS`."""


class Scene:
    def __init__(self, **changes) -> None:
        self.world = stack(**changes)
        self.evidence = Evidence(self.world)
        self.aggregator = Aggregator(self.world, self.evidence)
        self.contract = Contract(self.world.genesis, self.world.registry)

    def send(self, hours: int, readings) -> None:
        self.evidence.add(self.world.pack(START + hours * HOUR, readings))

    @property
    def range(self) -> Range:
        """The packets of the first hour, which packet 2 closes."""
        packets = [self.evidence.facts("gw-0", 0, k) for k in (1, 2)]
        return drafting.range_of(self.world.channel, Span(1, 2), packets)

    def first(self) -> record.Draft:
        """The honest first record of the first hour."""
        return drafting.first_version(self.world.registry.points[CO2], START, self.range)

    def judge(self, records) -> list[Refusal]:
        return [ruling.refusal for ruling in self.contract.judge(self.aggregator.batch(records), self.evidence)]


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.send(1, minutes(0, 50))
    scene.send(2, [])
    return scene


def test_members_come_to_the_same_mass(scene):
    draft = scene.first()
    assert (draft.window.count, draft.window.quantity, draft.emission_g) == (50, 50 * MASS, WHOLE_G)
    _, _, payload = scene.aggregator.record(draft)
    fields = record.decode(payload)
    assert (fields["unit"], fields["scale"]) == ("gCO2", 3)
    assert scene.judge([(CO2, START, payload)]) == [Refusal.PASS]


@pytest.mark.parametrize(
    ("lie", "refusal"),
    [
        ({"quantity": 50 * 200_000}, Refusal.WRONG_SUM),
        ({"quantity": 50 * MASS - 1}, Refusal.WRONG_SUM),
        ({"emission_g": round(50 * MASS / 1000)}, Refusal.WRONG_EMISSION),
        ({"unit": "mg/Nm3"}, Refusal.MALFORMED),
        ({"scale": 0}, Refusal.MALFORMED),
    ],
)
def test_a_lie_is_named(scene, lie, refusal):
    assert scene.judge([scene.aggregator.record(scene.first(), with_fields(**lie))]) == [refusal]


@pytest.mark.parametrize(("known", "emits"), [(30, round(30 * MASS / 1000)), (50, WHOLE_G)])
def test_a_late_packet_fills_an_hour(known, emits):
    scene = Scene()
    scene.send(1, minutes(0, known))
    scene.send(2, [])
    scene.send(3, minutes(known, 60))
    first = scene.first()
    assert first.emission_g == emits
    late = [scene.evidence.facts("gw-0", 0, 3)]
    point = scene.world.registry.points[CO2]
    again = drafting.correction(point, START, 2, scene.world.channel, scene.range, late)
    assert (again.emission_g, again.replaces.emission_g) == (WHOLE_G, first.emission_g)
    records = [scene.aggregator.record(first), scene.aggregator.record(again)]
    assert scene.judge(records) == [Refusal.PASS] * 2


def test_members_come_to_the_same_methane():
    """50 ppm in the worked example's gas: a minute is 369,835 mg of CH4, a whole hour by AR5 (28) 621,323 g CO2e."""
    methane = {"unit": "ppm", "max": 1_000, "emission": RULE | {"rule": "cems_methane", "assessment": "AR5"}}
    scene = Scene(p0=methane)
    scene.send(1, [reading for at in range(50) for reading in minute(at, p0=50)])
    scene.send(2, [])
    draft = scene.first()
    assert (draft.window.count, draft.window.quantity) == (50, 50 * 369_835)
    assert draft.emission_g == round(60 * 369_835 * 28 / 1000) == 621_323
    payload = scene.aggregator.record(draft)
    fields = record.decode(payload[2])
    assert (fields["unit"], fields["rule"].partition(":")[0]) == ("g", "cems methane")
    assert scene.judge([payload]) == [Refusal.PASS]
    lie = scene.aggregator.record(draft, with_fields(emission_g=draft.emission_g - 1))
    assert scene.judge([lie]) == [Refusal.WRONG_EMISSION]
