"""Traces from packet to balance: W3C `traceparent` in the headers of Kafka messages.

Off unless `use` was called; then every call here is a look at one name. Headers stand beside what is signed and hashed:
nothing that is decided may depend on them, and whoever has none begins a trace of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Headers = Sequence[tuple[str, bytes]]
HEADER = "traceparent"
MOST_LINKS = 32
"""Spans that another may point to, where many became one; the newest are kept."""
_W3C = TraceContextTextMapPropagator()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Trace with this from now on, or no more."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def parent_of(message: Any) -> SpanContext | None:
    """The span that a message of Kafka came from, of any client's; None when it names none or nothing is traced."""
    if _tracer is None:
        return None
    found = message.headers() if callable(message.headers) else message.headers
    for name, value in found or ():
        if name == HEADER and value is not None:
            carrier = {HEADER: value.decode("ascii", "replace")}
            context = trace.get_current_span(_W3C.extract(carrier)).get_span_context()
            return context if context.is_valid else None
    return None


@contextmanager
def span(
    name: str, parent: SpanContext | None = None, links: Sequence[SpanContext] = (), **attributes: str | int
) -> Iterator[Headers]:
    """A span around what is done in the block, with the headers for what is sent from it: none when nothing is traced.

    Without a parent it is under the span around it, if there is one.
    """
    if _tracer is None:
        yield ()
        return
    under = None if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent))
    with _tracer.start_as_current_span(name, under, links=_links(links), attributes=attributes):
        yield _headers()


def past(
    name: str, parent: SpanContext, began_ns: int, links: Sequence[SpanContext] = (), **attributes: str | int
) -> Headers:
    """A span that began at `began_ns` (Unix time, ns) and ends now; the headers for what is sent from it."""
    if _tracer is None:
        return ()
    under = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    made = _tracer.start_span(name, under, links=_links(links), attributes=attributes, start_time=began_ns)
    with trace.use_span(made, end_on_exit=True):
        return _headers()


def current() -> SpanContext | None:
    """The span around this; None when there is none."""
    context = trace.get_current_span().get_span_context()
    return context if _tracer is not None and context.is_valid else None


def log_fields() -> dict[str, str]:
    """The ids of the span around this, as a log line has them."""
    context = current()
    if context is None:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


def _links(contexts: Sequence[SpanContext]) -> list[Link]:
    return [Link(context) for context in contexts[-MOST_LINKS:]]


def _headers() -> Headers:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return [(name, value.encode()) for name, value in carrier.items() if name == HEADER]
