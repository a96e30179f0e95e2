import pytest

from schemas import codec
from schemas.topics import LEDGER_BLOCKS, METER_READINGS, Bounds, catalogue, contracts, topic


def test_every_topics_schema_exists() -> None:
    assert [each.name for each in contracts() if each.schema not in codec.schema_ids()] == []


def test_a_topic_is_found_by_its_name_and_only_so() -> None:
    names = [each.name for each in catalogue()]
    assert len(set(names)) == len(names)
    assert [topic(name).name for name in names] == names
    with pytest.raises(KeyError):
        topic("no.such.topic")


def test_names_have_dots_and_no_underscores() -> None:
    """Kafka's metrics take a dot and an underscore for the same, so a cluster should use one of them."""
    assert [each.name for each in catalogue() if "_" in each.name or each.name != each.name.lower()] == []


def test_event_time_never_decides_what_is_kept() -> None:
    for each in catalogue():
        assert each.config(Bounds())["message.timestamp.type"] == "LogAppendTime"


def test_the_ledger_and_its_evidence_are_kept_for_ever() -> None:
    for name in (
        LEDGER_BLOCKS,
        METER_READINGS,
        "meter.frames",
        "readings.coded",
        "ledger.payloads",
        "ledger.rejected",
        "ledger.snapshots",
    ):
        config = topic(name).config(Bounds())
        assert (config["retention.ms"], config["retention.bytes"]) == ("-1", "-1")
    assert topic("records.proposed").config(Bounds())["retention.ms"] == str(30 * 24 * 3600 * 1000)


def test_a_ledger_topic_takes_the_largest_block_that_the_bounds_allow() -> None:
    bounds = Bounds(block_bytes=9_000_000)
    assert int(topic(LEDGER_BLOCKS).config(bounds)["max.message.bytes"]) > 9_000_000
    assert int(topic(METER_READINGS).config(bounds)["max.message.bytes"]) == 1_048_576
