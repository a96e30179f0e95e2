"""What another layout of `readings` would take: bytes a reading, and processor time of a few questions.

`python -m tests.sinks.layouts` prints the table of decision 22: the rows of `tests.sinks.bench` in tables that differ
in one thing each. On one core, each question the least of three; merged to one part.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from sinks.clickhouse import engine
from sinks.clickhouse.migrate import load, migrate
from sinks.clickhouse.readings import columns, parse
from tests.sinks.bench import REFERENCE, packets

PLAIN = load()[0].statements()[0]
LAYOUTS: dict[str, tuple[tuple[str, str], ...]] = {
    "as it is": (),
    "ORDER BY (gateway, run, sequence, index)": (
        ("ORDER BY (point, at)", "ORDER BY (gateway, run, sequence, `index`)"),
    ),
    "ORDER BY (at, point)": (("ORDER BY (point, at)", "ORDER BY (at, point)"),),
    "ORDER BY (subject, point, at)": (("ORDER BY (point, at)", "ORDER BY (subject, point, at)"),),
    "at: Delta, ZSTD": (("CODEC(DoubleDelta, ZSTD)", "CODEC(Delta, ZSTD)"),),
    "at: ZSTD alone": (("CODEC(DoubleDelta, ZSTD)", "CODEC(ZSTD)"),),
    "value: T64, ZSTD": (("10^-scale of unit' CODEC(Delta, ZSTD)", "10^-scale of unit' CODEC(T64, ZSTD)"),),
    "value: ZSTD alone": (("10^-scale of unit' CODEC(Delta, ZSTD)", "10^-scale of unit' CODEC(ZSTD)"),),
    "every Delta, ZSTD as Delta, LZ4": (("CODEC(Delta, ZSTD)", "CODEC(Delta, LZ4)"),),
    "sequence, index, offset: DoubleDelta": (("CODEC(Delta, ZSTD)", "CODEC(DoubleDelta, ZSTD)"),),
    "hash: ZSTD": (("CODEC(NONE)", "CODEC(ZSTD)"),),
    "without the projection": ((",\n    PROJECTION", "\n    -- PROJECTION"),),
    "ReplacingMergeTree, read with FINAL": (("ENGINE = MergeTree", "ENGINE = ReplacingMergeTree"),),
}
QUESTIONS = {
    "one point's day": "SELECT sum(value) FROM {t} WHERE point = 'p-007' AND at >= '2026-01-05' AND at < '2026-01-06'",
    "a subject's hours": "SELECT toStartOfHour(at) AS h, sum(value) FROM {t} WHERE subject = 'plant-1' GROUP BY h",
    "all": "SELECT point, sum(value), countIf(reason != '') FROM {t} GROUP BY point",
    "resume": "SELECT `partition`, max(`offset`) FROM {t} GROUP BY `partition`",
}


def cpu(client: Any, sql: str) -> float:
    """Milliseconds of processor time, the least of three."""
    took = []
    for _ in range(3):
        before = time.process_time()
        client.query(sql)
        took.append(1000 * (time.process_time() - before))
    return min(took)


def measure(client: Any, tables: list[Any], changes: tuple[tuple[str, str], ...], final: bool) -> list[float]:
    """Bytes a reading, processor seconds a million rows inserted, milliseconds of each question."""
    statement = PLAIN
    for old, new in changes:
        assert old in statement, old
        statement = statement.replace(old, new)
    if final:
        statement = statement.replace("SETTINGS non", "SETTINGS deduplicate_merge_projection_mode = 'rebuild', non")
    client.command("DROP TABLE IF EXISTS readings SYNC")
    client.command(statement)
    before = time.process_time()
    for place, table in enumerate(tables):
        engine.insert(client, "readings", table.drop_columns(["gateway_kind"]), [str(place)])
    inserted = (time.process_time() - before) / sum(map(len, tables)) * 1e6
    client.command("OPTIMIZE TABLE readings FINAL")
    size = "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE table = 'readings' AND active"
    on_disk = client.query(size).first_row[0]
    table = "readings FINAL" if final else "readings"
    return [on_disk, inserted, *(cpu(client, sql.format(t=table)) for sql in QUESTIONS.values())]


def main() -> None:
    """Print the table."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    parsed = [parse(message) for message in packets()]
    tables = [columns(parsed[i : i + 400], REFERENCE) for i in range(0, len(parsed), 400)]
    with tempfile.TemporaryDirectory() as folder:
        client = engine.open_client(Path(folder))
        migrate(client)
        print("| layout | bytes a reading | s a million inserted |", *(f"{name} |" for name in QUESTIONS))
        print("| --- " * (3 + len(QUESTIONS)) + "|")
        for name, changes in LAYOUTS.items():
            found = measure(client, tables, changes, "FINAL" in name)
            print(f"| {name} | {found[0]:.2f} | {found[1]:.2f} |", *(f"{took:.1f} |" for took in found[2:]), flush=True)
        client.close()


if __name__ == "__main__":
    main()
