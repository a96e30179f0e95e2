"""What is told of the pipeline: every process, every topic that it reads, and what has no process."""

from infra.health import rows
from infra.runfile import Member
from infra.watch import Stage
from schemas import codec


def member(process: str, group: str | None) -> Member:
    return Member(process, "ready", 7, 1.0, 2, 3.0, None, group)


def test_every_process_and_topic_has_its_message() -> None:
    stages = [
        Stage("carbon.clickhouse", "alerts", 3, 1.5, 40),
        Stage("carbon.clickhouse", "ledger.blocks", 0, None, 9),
        Stage("committee", "records.proposed", 2, 0.5),
    ]
    told = list(
        rows(
            [member("broker", None), member("sink", "carbon.clickhouse"), member("ingest", "carbon.ingest")], stages, 5
        )
    )
    found = [
        (row["process"], row["topic"], row["state"], row["waiting"], row["oldest_seconds"], row["done"]) for row in told
    ]
    assert found == [
        ("broker", "", "ready", None, None, None),
        ("sink", "alerts", "ready", 3, 1.5, 40),
        ("sink", "ledger.blocks", "ready", 0, None, 9),
        ("ingest", "", "ready", None, None, None),
        ("committee", "records.proposed", "", 2, 0.5, None),
    ]
    assert all(codec.decode("health", codec.encode("health", row)) == row for row in told)
