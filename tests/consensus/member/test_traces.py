"""A block's span: under its first batch's proposal, linked to the others; its headers stand beside its bytes."""

from types import SimpleNamespace
from typing import Any

from consensus.member.traces import BlockTraces
from schemas import codec, tracing
from tests.tracing import traced

FIRST, SECOND, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))


def package(*digests: bytes) -> bytes:
    batches = [{"submitter": "s", "stream": "g", "number": 1, "digest": digest, "records": 1} for digest in digests]
    header = {
        "format": 1,
        "channel": bytes(32),
        "epoch": 0,
        "height": 5,
        "previous": bytes(32),
        "time": 0,
        "batches": batches,
        "tree_size": 2,
        "root": bytes(32),
        "accepted": 2,
        "rejected": 0,
        "state": bytes(32),
    }
    block = {"header": codec.encode_bare("block-header", header), "leaves": b"", "votes": [], "checkpoint": ""}
    fields = {"block": codec.encode("block", block | {"membership": None}), "salts": b"", "payloads": []}
    return codec.encode_bare("block-package", fields)


def proposal(stream: str) -> Any:
    with tracing.span("aggregate.propose", stream=stream) as headers:
        return SimpleNamespace(headers=headers)


def test_from_proposals_to_a_block() -> None:
    with traced() as kept:
        traces = BlockTraces()
        for digest in (FIRST, SECOND, OTHER):
            traces.read(digest, proposal(digest.hex()[:2]))
        traces.judged(FIRST, records=3)
        traces.judged(bytes(32), records=3)
        traces.settled(5, package(FIRST, SECOND))
        traces.forget((FIRST, SECOND))
        traces.settled(6, package(FIRST))
    spans = {span.name: span for span in kept.get_finished_spans()}
    proposed = [span for span in kept.get_finished_spans() if span.name == "aggregate.propose"]
    block, judged = spans["member.block"], spans["member.judge"]
    assert block.parent is not None and block.parent.span_id == proposed[0].context.span_id
    assert [link.context.span_id for link in block.links] == [proposed[1].context.span_id]
    assert judged.context.trace_id == block.context.trace_id == proposed[0].context.trace_id
    assert block.start_time is not None and judged.end_time is not None and block.start_time <= judged.end_time
    ((name, value),) = traces.of_block((5).to_bytes(8, "big"))
    assert (name, value.decode().split("-")[1]) == ("traceparent", f"{block.context.trace_id:032x}")
    assert traces.of_block((6).to_bytes(8, "big")) == ()


def test_off_nothing_is_kept_and_no_package_is_read() -> None:
    traces = BlockTraces()
    traces.read(FIRST, None)  # type: ignore[arg-type]
    traces.settled(5, b"not a package")
    assert traces.of_block((5).to_bytes(8, "big")) == ()
