"""How long the panels' queries take over many readings: `python -m tests.dashboards.bench`.

The recorded scenario, and beside it twenty synthetic subjects of ten points each with a reading a minute and a record
an hour. Every panel is asked for some of the choices of its variables; a question opens a session, as on the loopback
interface. Printed are seconds of processor time and of the clock, which says as much about the machine's other work.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dashboards.boards import BOARDS
from dashboards.macros import Range, expand
from sinks.clickhouse import engine
from sinks.clickhouse.reader import Reader
from tests.dashboards.recorded import END, fill
from tests.dashboards.test_queries import shown, values
from tests.small import START

POINTS = 200
STEP = 5_000_000
CHOICES = 4
"""How many choices of a dashboard's variables are asked for."""

_POINT = "concat('q-', leftPad(toString(number % {points}), 3, '0'))"
_SUBJECT = "concat('subject-', leftPad(toString(number % 20), 2, '0'))"
_READINGS = f"""INSERT INTO readings SELECT 'gw-1', '', 1, intDiv(number, {{points}} * 60), number % 5000,
    {_POINT}, {_SUBJECT}, 'power', '99.0000.1',
    fromUnixTimestamp64Milli({{start}} + 60000 * intDiv(number, {{points}})), 1000 + rand() % 500,
    0, 'Wh', 'N', if(number % 1000003 = 0, 'out_of_range', ''), randomFixedString(16), 0,
    intDiv(number, {{points}} * 60)
FROM numbers({{first}}, {{count}})"""
_RECORDS = f"""INSERT INTO records (height, leaf_index, verdict, point, subject, object, prefix, window_start,
    window_seconds, version, cause, count, expected, quantity, unit, emission_g, rule, commitment)
SELECT 100 + intDiv(number, {{points}}), 10000 + number, 'accepted', {_POINT}, {_SUBJECT}, 'power', '99.0000.1',
    fromUnixTimestamp64Milli({{start}} + 3600000 * intDiv(number, {{points}})), 3600, 1, 'WINDOW', 60, 60, 75000, 'Wh',
    80000, 'combustion: a', lower(hex(randomFixedString(32))) FROM numbers({{count}})"""
_TWENTY = "(SELECT concat('subject-', leftPad(toString(number), 2, '0')) AS s FROM numbers(20)) AS k"
_OTHERS = (
    "INSERT INTO subjects_log SELECT channel, first, s, 'Synthetic', kind, sector, start, `end`, owners, regions "
    f"FROM subjects AS o CROSS JOIN {_TWENTY} WHERE o.subject = 'coal-a'",
    "INSERT INTO balances_log (account, subject, kind, unit, year, held, height) "
    f"SELECT concat('emissions:', s), s, 'emissions', 'g', 2016, 1000, 100 FROM {_TWENTY}",
    "INSERT INTO forecasts_log SELECT * EXCEPT s REPLACE (s AS subject) "
    f"FROM (SELECT * FROM forecasts WHERE subject = 'coal-a') AS f CROSS JOIN {_TWENTY}",
)


def populate(folder: Path, readings: int) -> None:
    """Fill the tables of a folder."""
    fill(folder)
    client: Any = engine.open_client(folder)
    for first in range(0, readings, STEP):
        count = min(STEP, readings - first)
        client.command(_READINGS.format(points=POINTS, start=START, first=first, count=count))
    client.command(_RECORDS.format(points=POINTS, start=START, count=readings // 60))
    for statement in _OTHERS:
        client.command(statement)
    client.close()


def measured(folder: Path, end: int) -> Iterator[tuple[str, str, float, float]]:
    """Dashboard, panel, and the seconds of processor time and of the clock that each question took."""
    client: Any = engine.open_client(folder)
    reader = Reader(engine.folder(folder))

    def ask(sql: str) -> bytes:
        return reader.ask(sql, format_="JSONCompact")

    for board in BOARDS:
        chosen = list(values(ask, board))
        for choice in itertools.islice(chosen, 0, None, max(1, len(chosen) // CHOICES)):
            over = shown(choice) if "first" in choice else Range(START, end)
            for panel in (panel for row in board.rows for panel in row):
                processor, clock = time.process_time(), time.perf_counter()
                ask(expand(panel.sql, over, choice))
                yield board.uid, panel.title, time.process_time() - processor, time.perf_counter() - clock
    client.close()


def main() -> None:
    """Fill, ask, and print a table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--readings", type=int, default=100_000_000)
    readings = arguments.parse_args().readings
    with tempfile.TemporaryDirectory(prefix="dashboards-bench") as name:
        populate(Path(name), readings)
        rows = list(measured(Path(name), max(END, START + 60_000 * (readings // POINTS))))
    print(f"{readings:,} readings, {readings // 60:,} records; {len(rows)} questions")
    for uid in [*(board.uid for board in BOARDS), ""]:
        mine = [row for row in rows if uid in ("", row[0])]
        told = " ".join(
            f"{kind} p50 {_at(mine, i, 0.5):6.2f} p95 {_at(mine, i, 0.95):6.2f} s"
            for i, kind in ((2, "cpu"), (3, "clock"))
        )
        print(f"{uid or 'all':14} {told}")
    for row in sorted(rows, key=lambda row: -row[2])[:12]:
        print(f"{row[2]:7.2f} s cpu {row[3]:7.2f} s clock  {row[0]}  {row[1]}")


def _at(rows: list[tuple[str, str, float, float]], column: int, share: float) -> float:
    ordered = sorted(float(row[column]) for row in rows)  # type: ignore[arg-type]
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    main()
