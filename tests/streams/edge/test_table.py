"""Replay of tables: exact values, strict rows, and going on from a position."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from streams.edge.sources import Block, RawReading
from streams.edge.sources.simbench import SourceError
from streams.edge.sources.table import LINE_LIMIT, TableReplay, TableSettings

MINUTE = 60_000
START = 1_735_689_600_000
WIDE = "when,grid,gas\n2025-01-01T00:00:00Z,0.10,1\n2025-01-01T00:01:00Z,0.2000,2\n2025-01-01T00:02:00Z,0.3,3\n"


def settings(path: Path, **changed: Any) -> TableSettings:
    fields: dict[str, Any] = {
        "path": path,
        "format": path.suffix[1:],
        "time": {"column": "when"},
        "points": {"grid": {"point": "plant/grid", "scale": "1000"}, "gas": {"point": "plant/gas"}},
    }
    return TableSettings.model_validate(fields | changed)


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def replay(path: Path, after: str = "", **changed: Any) -> tuple[list[Block], dict[str, int]]:
    source = TableReplay(settings(path, **changed))
    return list(source.blocks(after)), dict(source.refusals.counts)


def wide(minute: int, grid: str, gas: str) -> list[RawReading]:
    at = START + minute * MINUTE
    return [RawReading("plant/grid", at, Decimal(grid)), RawReading("plant/gas", at, Decimal(gas))]


def test_a_column_a_point(tmp_path: Path) -> None:
    blocks, refused = replay(table(tmp_path, WIDE, "utf-8-sig"), packet=4, until="2025-01-01T01:00:00Z")
    assert blocks == [
        Block([*wide(0, "100", "1"), *wide(1, "200", "2")], START + MINUTE, f"2 {START + MINUTE}"),
        Block(wide(2, "300", "3"), START + 2 * MINUTE, f"3 {START + 2 * MINUTE}"),
        Block((), START + 60 * MINUTE, f"3 {START + 60 * MINUTE}"),
    ]
    assert refused == {}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_from_every_position_the_rest_is_the_same(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.edge.sources.table.BATCH_ROWS", 1)
    path = table(tmp_path, WIDE)
    if form == "parquet":
        path = tmp_path / "table.parquet"
        moments = [datetime(2025, 1, 1, 0, minute, tzinfo=UTC) for minute in range(3)]
        columns = {"when": moments, "grid": [0.1, 0.2, 0.3], "gas": [1, 2, 3]}
        pq.write_table(pa.table(columns), path, row_group_size=2)
    blocks, _ = replay(path, packet=2, until="2025-01-01T01:00:00Z")
    assert len(blocks) == 4
    for number, block in enumerate(blocks, 1):
        assert replay(path, block.position, packet=2, until="2025-01-01T01:00:00Z")[0] == blocks[number:]


def test_a_row_a_reading_and_the_packet_time_never_goes_back(tmp_path: Path) -> None:
    path = table(tmp_path, "when;id;v;f\n300;grid;1,5;N\n200;gas;2;T\n100;other;3;N\n100;gas;4;no\n")
    rows = {"name": "id", "value": "v", "flag": "f"}
    blocks, refused = replay(
        path, rows=rows, delimiter=";", time={"column": "when", "format": "s"}, packet=1, encoding="ascii"
    )
    assert blocks == [Block([RawReading("plant/gas", 200_000, Decimal(2), "T")], 200_000, f"4 {200_000}")]
    assert refused == {"not_a_number": 1, "unknown_point": 1, "bad_flag": 1}
    blocks, _ = replay(
        table(tmp_path, "when,id,v\n300,grid,1\n200,gas,2\n"),
        rows={"name": "id", "value": "v"},
        time={"column": "when", "format": "s"},
        packet=1,
    )
    assert [(block.readings[0].at, block.sent_at) for block in blocks] == [(300_000, 300_000), (200_000, 300_000)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2025-01-01T00:00:00Z,1", "not_a_row"),
        ("2025-01-01T00:00:00Z,1,2,3", "not_a_row"),
        ("", "not_a_row"),
        ('2025-01-01T00:00:00Z,"' + "9" * 131_073 + '",1', "not_a_row"),
        ("yesterday,1,2", "bad_time"),
        ("1900-01-01T00:00:00Z,1,2", "bad_time"),
        (",1,2", "bad_time"),
        ("2025-01-01T00:00:00Z,,2", "no_value"),
        ("2025-01-01T00:00:00Z,twelve,2", "not_a_number"),
        ("2025-01-01T00:00:00Z,NaN,2", "not_a_number"),
        ("2025-01-01T00:00:00Z,Infinity,2", "not_a_number"),
    ],
)
def test_what_is_wrong_is_counted_and_the_next_row_read(tmp_path: Path, row: str, reason: str) -> None:
    blocks, refused = replay(table(tmp_path, f"when,grid,gas\n{row}\n2025-01-01T00:01:00Z,1,2\n"))
    assert refused == {reason: 1}
    assert blocks[0].readings[-2:] == wide(1, "1000", "2")


def test_a_line_without_end_is_read_in_pieces_which_are_no_rows(tmp_path: Path) -> None:
    path = table(tmp_path, "when,grid,gas\n" + "9" * (2 * LINE_LIMIT + 1) + "\n2025-01-01T00:01:00Z,1,2\n")
    blocks, refused = replay(path)
    assert blocks[0].readings == wide(1, "1000", "2")
    assert refused == {"not_a_row": 3}


def test_bytes_that_are_no_text_are_no_number(tmp_path: Path) -> None:
    path = table(tmp_path, "when,grid,gas\n2025-01-01T00:00:00Z,\xff,2\n", "latin-1")
    assert replay(path)[1] == {"not_a_number": 1}


def test_a_number_out_of_all_bounds_does_not_end_the_replay(tmp_path: Path) -> None:
    [block], _ = replay(table(tmp_path, "when,grid,gas\n2025-01-01T00:00:00Z,9E999999999999999999,2\n"))
    assert not block.readings[0].value.is_finite()


@pytest.mark.parametrize(
    ("text", "time", "wanted"),
    [
        ("1735689600000", {"format": "ms"}, START),
        ("1735689600.0005", {"format": "s"}, START),
        ("1735689600.5", {"format": "s"}, START + 500),
        ("2025-01-01 08:00:00", {"zone": "+08:00"}, START),
        ("01.01.2025 01:00", {"format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}, START),
        ("2025-01-01T00:00:00.0009Z", {"zone": "Asia/Shanghai"}, START),
    ],
)
def test_a_time_by_format_and_zone(tmp_path: Path, text: str, time: dict[str, str], wanted: int) -> None:
    blocks, _ = replay(table(tmp_path, f"when,grid,gas\n{text},1,2\n"), time={"column": "when", **time})
    assert blocks[0].readings[0].at == wanted


@pytest.mark.parametrize("text", ["2025-03-30T02:30:00", "2025-10-26T02:30:00"])
def test_a_local_time_that_comes_twice_or_never_is_refused(tmp_path: Path, text: str) -> None:
    time = {"column": "when", "zone": "Europe/Berlin"}
    assert replay(table(tmp_path, f"when,grid,gas\n{text},1,2\n"), time=time) == ([], {"ambiguous_time": 1})


def test_the_types_of_parquet_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    moments = pa.array([datetime(2025, 1, 1, 8), datetime(2025, 1, 1, 8, 1), None], pa.timestamp("ns"))
    grid = pa.array([0.1, None, 0.3], pa.float32())
    gas = pa.array([Decimal("0.10"), Decimal("-2.50"), Decimal(1)], pa.decimal128(20, 2))
    pq.write_table(pa.table({"when": moments, "grid": grid, "gas": gas}), path)
    blocks, refused = replay(path, time={"column": "when", "zone": "Asia/Shanghai"})
    assert blocks[0].readings == [*wide(0, "100", "0.10"), RawReading("plant/gas", START + MINUTE, Decimal("-2.50"))]
    assert refused == {"no_value": 1, "bad_time": 1}


@pytest.mark.parametrize("text", ["", "when,grid\n", "when,grid,gas,gas\n", '"' + "9" * 131_073])
def test_a_table_without_its_columns_is_no_source(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError):
        replay(table(tmp_path, text))


def test_a_file_that_is_none_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(b"PAR1 is not enough")
    for name in ("table.parquet", "absent.csv"):
        with pytest.raises(SourceError):
            replay(tmp_path / name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": {"column": "when", "zone": "Mars/Olympus"}},
        {"time": {"column": "when", "zone": "+8h"}},
        {"points": {}},
        {"packet": 8_193},
        {"until": "2025-01-01T00:00:00"},
        {"columns": ["grid"]},
    ],
)
def test_settings_that_can_not_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(Path("t.csv"), **wrong)
