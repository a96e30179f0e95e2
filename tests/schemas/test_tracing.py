"""Traces: headers from one stage to the next, links where many become one, and nothing at all when off."""

from types import SimpleNamespace
from typing import Any

import pytest

from schemas import tracing
from streams.batch_traces import BatchTraces
from tests.tracing import traced


def message(headers: Any) -> Any:
    return SimpleNamespace(headers=headers)


def test_off_there_are_no_headers_and_none_are_read() -> None:
    with tracing.span("gateway.send") as headers:
        assert headers == ()
    assert tracing.parent_of(None) is None
    assert tracing.current() is None and tracing.log_fields() == {}


def test_the_next_stage_is_in_the_same_trace() -> None:
    with traced() as kept:
        with tracing.span("gateway.send", sequence=7) as headers:
            fields = tracing.log_fields()
        # confluent's message has a function, aiokafka's an attribute
        parent = tracing.parent_of(message(lambda: [("__connect.errors.stage", b"x"), *headers]))
        assert parent == tracing.parent_of(message(headers))
        with tracing.span("ingest", parent):
            pass
    sent, ingested = kept.get_finished_spans()
    assert ingested.context.trace_id == sent.context.trace_id
    assert ingested.parent is not None and ingested.parent.span_id == sent.context.span_id
    assert fields == {"trace_id": f"{sent.context.trace_id:032x}", "span_id": f"{sent.context.span_id:016x}"}
    assert dict(sent.attributes or {}) == {"sequence": 7}


@pytest.mark.parametrize("headers", [None, [], [("traceparent", None)], [("traceparent", b"\xff nonsense")]])
def test_whoever_has_no_usable_header_begins_a_trace(headers: Any) -> None:
    with traced() as kept, tracing.span("ingest", tracing.parent_of(message(headers))):
        pass
    (span,) = kept.get_finished_spans()
    assert span.parent is None


def test_a_batch_links_to_the_packets_since_the_last_one_up_to_a_cap() -> None:
    with traced() as kept:
        batches = BatchTraces()
        for sequence in range(tracing.MOST_LINKS + 8):
            with tracing.span("aggregate", sequence=sequence):
                batches.took("gw-1")
        first = batches.headers("gw-1", 1)
        assert first and batches.headers("gw-1", 1) == first, "a batch that is proposed again has the same headers"
        batches.headers("gw-1", 2)
        batches.forget("gw-1", 1)
        assert batches.headers("gw-1", 1) != first
    packets = [span for span in kept.get_finished_spans() if span.name == "aggregate"]
    proposed = [span for span in kept.get_finished_spans() if span.name == "aggregate.propose"]
    newest = [span.context.span_id for span in packets[-tracing.MOST_LINKS :]]
    assert [link.context.span_id for link in proposed[0].links] == newest
    assert list(proposed[1].links) == []
