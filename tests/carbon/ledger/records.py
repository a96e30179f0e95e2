"""Window records as the books read them: the fields that they look at. All figures are synthetic."""

from typing import Any

from carbon import calendar

HOUR = 3_600_000
YEAR_2023, YEAR_2024 = calendar.year_start(2023, 0), calendar.year_start(2024, 0)
COAL, GRID = "combustion: 9.5 GJ/MWh · table.carbon · table.oxidation · 44/12", "purchased electricity: table.factor"


def record(
    subject: str, grams: int, start: int = YEAR_2023, *, before: int | None = None, rule: str = COAL
) -> dict[str, Any]:
    """A record of a window; `before` is the emission that a correction replaces."""
    replaces = None if before is None else {"version": 1, "evidence_root": bytes(32), "emission_g": before}
    about = {"point": "point", "subject": subject, "rule": rule}
    return about | {"window_start": start, "emission_g": grams, "replaces": replaces}
