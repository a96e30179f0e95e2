"""An alert as its schema and as a CloudEvent."""

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from carbon.alert import alert, headers
from schemas import codec


def test_its_attributes_are_those_of_a_cloud_event() -> None:
    told = alert("coverage/x", "coverage", "warning", 1_767_225_600_000, "said", subject="plant", key="coverage/p")
    assert codec.decode("alert", codec.encode("alert", told)) == told
    said = dict(headers(told, "carbonledger/demo/0"))
    event = from_binary(KafkaMessage(headers=said, key=b"coverage/x", value=b"{}"), JSONFormat())
    assert (event.get_id(), event.get_source(), event.get_subject()) == ("coverage/x", "carbonledger/demo/0", "plant")
    assert event.get_type() == "carbonledger.alert.coverage"
    assert event.get_time() is not None and event.get_time().isoformat() == "2026-01-01T00:00:00+00:00"
    assert said["content-type"] == b"application/avro"
    assert "ce_subject" not in dict(headers(told | {"subject": None}, "s"))


def test_a_deed_has_its_id_for_a_key() -> None:
    deed = alert("equivocation/x", "equivocation", "critical", 0, "said")
    assert (deed["key"], deed["resolved"], deed["proof"]) == ("equivocation/x", False, None)
