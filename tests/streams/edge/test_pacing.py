"""Pacing: one read serves several points, and the soonest due decides."""

from decimal import Decimal

from streams.edge.pacing import Pacing
from streams.edge.sampling import Bounds, Rule
from streams.edge.sources import RawReading

STEP = 1_000
BOUNDS = Bounds(STEP, 8 * STEP)
RULE = Rule(STEP, BOUNDS, BOUNDS)


class Read:
    """Reads of points at the instants at which they are due."""

    def __init__(self, **registers: bool) -> None:
        self.full = False
        self.at = 1_600_000_000_000
        self.rules = dict.fromkeys(registers, RULE)
        self._pacing = Pacing(self.rules, registers, lambda: self.full)

    def __call__(self, flag: str = "N", **values: float | None) -> int:
        readings = [
            RawReading(point, self.at, None if value is None else Decimal(value), flag)
            for point, value in values.items()
        ]
        due = self._pacing.due(self.at, readings)
        interval, self.at = due - self.at, due
        return interval


def test_intervals_grow_to_the_slowest_and_fall_at_once() -> None:
    read = Read(flow=False)
    assert [read(flow=100) for _ in range(6)] == [STEP, STEP, 2 * STEP, 4 * STEP, 8 * STEP, 8 * STEP]
    assert read(flow=150) == STEP


def test_the_point_that_can_not_be_foreseen_decides() -> None:
    read = Read(flow=False, power=False)
    intervals = [read(flow=100, power=n % 7 * 100) for n in range(60)]
    assert max(intervals[-30:]) <= 2 * STEP


def test_a_register_is_judged_by_its_rise() -> None:
    read = Read(energy=True)
    start = read.at
    for _ in range(12):
        interval = read(energy=5_000_000 + (read.at - start) // STEP * 3)
    assert interval == 8 * STEP, "a steady rise is what was foreseen"
    last = 5_000_000 + (read.at - start) // STEP * 3
    assert read(energy=last) == 8 * STEP
    assert read(energy=last + 8 * 30) == STEP, "ten times the rise is not, small as it is beside the register"


def test_a_reset_of_a_register_is_a_surprise() -> None:
    read = Read(energy=True)
    start = read.at
    for _ in range(12):
        read(energy=5_000_000 + (read.at - start) // STEP * 3)
    assert read(energy=17) == STEP


def test_what_gave_no_number_is_asked_for_at_the_next_step() -> None:
    read = Read(flow=False)
    for _ in range(6):
        read(flow=100)
    assert [read(flow=None), read("B", flow=0), read(flow=float("nan"))] == [STEP] * 3
    assert read(flow=100) == 8 * STEP, "and is no surprise for what comes behind it"


def test_a_full_store_slows_all_down() -> None:
    read = Read(flow=False, power=False)
    read(flow=1, power=1)
    read.full = True
    assert read(flow=9_000, power=-5) == 8 * STEP


def test_bounds_that_were_set_hold_from_the_next_reading() -> None:
    read = Read(flow=False)
    for _ in range(6):
        read(flow=100)
    read.rules["flow"] = RULE.narrowed(Bounds(2 * STEP, 4 * STEP))
    assert read(flow=100) == 4 * STEP
    assert read(flow=900) == read(flow=None) == 2 * STEP
