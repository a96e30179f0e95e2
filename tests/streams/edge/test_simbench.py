"""The replay against the data set's own text: times, energies, gap, plants, and going on from a position."""

import csv
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from streams.edge.sources import Block, RawReading
from streams.edge.sources.simbench import (
    FIRST_MS,
    ROWS,
    STEP_MS,
    Gap,
    Meter,
    Planted,
    ReplaySettings,
    SimbenchReplay,
    SourceError,
    path,
    unit,
    units,
)

COAL = Meter(point="coal", table="PowerPlant", name="EHV Gen 84")
SHOP = Meter(point="shop", table="Load", name="MV4.101 MV Load 9")
DAY = 96
DAY_MS = DAY * STEP_MS


def settings(**changed: Any) -> ReplaySettings:
    given = {"meters": (COAL, SHOP), "rows": 3 * DAY, "span_seconds": 86_400, "until": FIRST_MS + 4 * DAY_MS}
    return ReplaySettings(**{**given, **changed})


def blocks(after: str = "", **changed: Any) -> list[Block]:
    return list(SimbenchReplay(settings(**changed)).blocks(after))


def readings(found: list[Block], point: str) -> list[RawReading]:
    return [reading for block in found for reading in block.readings if reading.point == point]


def column(file: str, name: str) -> list[str]:
    with path(file).open(newline="") as text:
        return [row[name] for row in csv.DictReader(text, delimiter=";")]


def test_the_year_is_the_file_s_column_times_the_rating() -> None:
    found = blocks(rows=ROWS, meters=(COAL, SHOP), until=FIRST_MS + (ROWS + 4) * STEP_MS)
    profile, rating = column("PowerPlantProfile", unit("PowerPlant", COAL.name).column), Decimal("843")
    assert [r.value for r in readings(found, "coal")] == [Decimal(text) * rating * 250_000 for text in profile]
    profile, rating = column("LoadProfile", "G4-B_pload"), Decimal("1.45")
    assert [r.value for r in readings(found, "shop")] == [Decimal(text) * rating * 250_000 for text in profile]
    assert [r.at for r in readings(found, "shop")] == [FIRST_MS + i * STEP_MS for i in range(ROWS)]


def test_the_clock_does_not_follow_the_file_s_local_time() -> None:
    times = column("LoadProfile", "time")
    assert datetime.fromtimestamp(FIRST_MS / 1000, UTC) == datetime(2015, 12, 31, 23, tzinfo=UTC)
    summer, winter = (i for i, text in enumerate(times) if text == "30.10.2016 02:00")
    at = [datetime.fromtimestamp((FIRST_MS + i * STEP_MS) / 1000, UTC) for i in (summer, winter)]
    assert at == [datetime(2016, 10, 30, 0, tzinfo=UTC), datetime(2016, 10, 30, 1, tzinfo=UTC)]


def test_a_block_a_span_and_an_empty_one_at_the_end() -> None:
    found = blocks(rows=2 * DAY + 8)
    assert [len(block.readings) for block in found] == [2 * DAY, 2 * DAY, 16, 0]
    ends = [DAY, 2 * DAY, 2 * DAY + 8]
    assert [block.sent_at for block in found] == [*(FIRST_MS + i * STEP_MS for i in ends), FIRST_MS + 4 * DAY_MS]
    assert all(r.at < block.sent_at for block in found for r in block.readings)


@pytest.mark.parametrize("given", range(5))
def test_it_goes_on_behind_every_position(given: int) -> None:
    plants = (Planted(point="coal", at=FIRST_MS + DAY_MS - STEP_MS, carried=FIRST_MS + 2 * DAY_MS, repeat=True),)
    whole = blocks(planted=plants)
    positions = ["", *(block.position for block in whole)]
    assert len(positions) == 5
    assert blocks(after=positions[given], planted=plants) == whole[given:]


def test_the_gap_is_half_open() -> None:
    gap = Gap(point="shop", start=FIRST_MS + 4 * STEP_MS, end=FIRST_MS + 7 * STEP_MS)
    whole, rest = blocks(), blocks(gaps=(gap,))
    left_out = set(readings(whole, "shop")) - set(readings(rest, "shop"))
    assert sorted(r.at for r in left_out) == [FIRST_MS + i * STEP_MS for i in (4, 5, 6)]
    assert readings(whole, "coal") == readings(rest, "coal")


def test_plants_stand_behind_the_real_readings_of_their_packet() -> None:
    carried = FIRST_MS + DAY_MS + 5 * STEP_MS
    again = Planted(point="shop", at=FIRST_MS + DAY_MS - STEP_MS, carried=carried, repeat=True)
    nothing = Planted(point="coal", at=carried, carried=carried)
    large = Planted(point="new", at=FIRST_MS + 9 * DAY_MS, carried=carried, value=12)
    whole, more = blocks(), blocks(planted=(again, nothing, large))
    assert more[0] == whole[0] and more[2:] == whole[2:]
    real = readings(whole[:1], "shop")[-1]
    extra = [real, RawReading("coal", carried, None), RawReading("new", large.at, Decimal(12))]
    assert list(more[1].readings) == [*whole[1].readings, *extra]


@pytest.mark.parametrize(
    "changed", [{"rows": ROWS + 1}, {"rows": -1}, {"span_seconds": 60}, {"span_seconds": 50 * 86_400}]
)
def test_what_can_not_be_replayed_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SourceError):
        blocks(**changed)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(SourceError, match="EHV Gen 0"):
        blocks(meters=(Meter(point="x", table="PowerPlant", name="EHV Gen 0"),))


def test_imports_are_no_units() -> None:
    assert not [u for u in units("PowerPlant").values() if u.type.startswith("imp")]
    assert len(units("PowerPlant")) == 318


def test_the_package_itself_is_not_imported() -> None:
    code = "import sys, streams.edge.sources.simbench as s; s.units('Load'); sys.exit('simbench' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
