import multiprocessing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sinks.clickhouse import engine


def test_an_insert_of_many_arrow_batches_is_one_part(client: Any) -> None:
    client.command("CREATE TABLE x (a Int64) ENGINE = MergeTree ORDER BY a")
    client.command("SYSTEM STOP MERGES x")
    batches = pa.chunked_array([pa.array(range(n, n + 70_000)) for n in range(0, 350_000, 70_000)])
    engine.insert(client, "x", pa.table({"a": batches}), ["x:0:0"])
    parts = "SELECT rows FROM system.parts WHERE table = 'x' AND active"
    assert client.query(parts).result_rows == [(350_000,)]


def test_a_folder_has_one_owner(client: Any, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "ClickHouse at" in pool.apply(why_not, (tmp_path,))


def why_not(data_dir: Path) -> str:
    """What another process hears that wants the folder too."""
    with pytest.raises(engine.EngineError) as refused:
        engine.open_client(data_dir)
    return str(refused.value)


def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    for start in (1, 2):
        client = engine.open_client(tmp_path)
        client.command("CREATE TABLE IF NOT EXISTS x (a Int64) ENGINE = MergeTree ORDER BY a")
        client.insert("x", [[start]])
        assert client.query("SELECT count() FROM x").first_row == (start,)
        client.close()
