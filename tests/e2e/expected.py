"""The balances that a replay must come to, from the input files with pandas alone: nothing of the product is imported.

    python -m tests.e2e.expected [DAYS]

One reading is rated MW × profile × 250,000 Wh, half-even to whole Wh; a record is the sum of an hour's readings times
the point's factor, half-even to whole grams; a balance is the sum of its subject's records. All in integers.
"""

import csv
import sys
import tomllib
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[2]
PARAMETERS = ROOT / "infra" / "demo" / "parameters.toml"
FACTORS = ROOT / "carbon" / "factors" / "sets" / "2026-1"
DATA = "simbench/networks/1-complete_data-mixed-all-0-sw"


def read(table: str, **options: Any) -> pd.DataFrame:
    path = metadata.distribution("simbench").locate_file(f"{DATA}/{table}.csv")
    return pd.read_csv(str(path), sep=";", dtype=str, keep_default_na=False, **options)


def half_even(value: Fraction) -> int:
    """Python rounds an exact fraction to the even neighbour."""
    return round(value)


def factor(name: str) -> Fraction:
    """A factor row's value with its unit's scale: per cent and tC/TJ are the two that are not yet base units."""
    table, _, row_name = name.partition(".")
    with (FACTORS / f"{table}.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["name"] == row_name)
    return Fraction(row["value"]) * {"%": Fraction(1, 100), "tC/TJ": Fraction(1, 1000)}.get(row["unit"], 1)


def grams_per_wh(parameters: dict[str, Any], fuel: str) -> Fraction:
    if fuel == "purchased":
        return factor(parameters["electricity"]["factor"])
    declared = parameters["fuels"][fuel]
    heat_rate = Fraction(declared["heat_rate"])
    return heat_rate * factor(declared["carbon"]) * factor(declared["oxidation"]) * Fraction(44, 12)


def metered(parameters: dict[str, Any]) -> pd.DataFrame:
    """One row a point: subject, fuel (purchased for loads), name, rating in MW as text, profile's table and column."""
    plants = read("PowerPlant").set_index("id")
    loads = read("Load").set_index("id")
    rows = [
        (plant["id"], plant["fuel"], name, plants.pPP[name], "PowerPlantProfile", plants.profile[name])
        for plant in parameters["plants"]
        for name in plant["units"]
    ] + [
        (enterprise["id"], "purchased", name, loads.pLoad[name], "LoadProfile", loads.profile[name] + "_pload")
        for enterprise in parameters["enterprises"]
        for name in enterprise["loads"]
    ]
    return pd.DataFrame(rows, columns=["subject", "fuel", "name", "rating", "table", "column"])


def watt_hours(profile: pd.Series, rating: str) -> pd.Series:
    """The readings of a profile, whole Wh: each distinct text is worked out once, exactly."""
    per_unit = Fraction(rating) * 250_000
    whole = {text: half_even(Fraction(text) * per_unit) for text in profile.unique()}
    return profile.map(whole).astype("int64")


def hourly_grams(readings: pd.Series, coefficient: Fraction) -> pd.Series:
    sums = readings.groupby(readings.index.floor("h")).sum()
    whole = {quantity: half_even(int(quantity) * coefficient) for quantity in sums.unique()}
    return sums.map(whole).astype("int64")


def balances(days: int | None = None, parameters: dict[str, Any] | None = None) -> dict[str, int]:
    """Grams of CO2e by subject over the first `days`, or over the whole year."""
    parameters = parameters or tomllib.loads(PARAMETERS.read_text())
    rows = parameters["time"]["rows"] if days is None else 96 * days
    points = metered(parameters)
    profiles = {
        table: read(table, usecols=list(set(group)), nrows=rows) for table, group in points.groupby("table").column
    }
    times = pd.date_range(parameters["time"]["first"], periods=rows, freq="15min")
    total: dict[str, int] = {}
    for point in points.itertuples():
        readings = watt_hours(profiles[point.table][point.column], point.rating).set_axis(times)
        readings = without_gap(readings, point.name, parameters["gap"])
        grams = hourly_grams(readings, grams_per_wh(parameters, point.fuel))
        total[point.subject] = total.get(point.subject, 0) + sum(grams.tolist())
    return total


def without_gap(readings: pd.Series, name: str, gap: dict[str, Any]) -> pd.Series:
    if name.lower().replace(" ", "-").replace(".", "-") != gap["point"]:
        return readings
    return readings[(readings.index < gap["from"]) | (readings.index >= gap["until"])]


if __name__ == "__main__":
    for subject, grams in balances(int(sys.argv[1]) if len(sys.argv) > 1 else None).items():
        print(f"{subject:20} {grams:>24,} g")
