"""The traces of packets on their way into batches: many packets, one batch, and its headers whenever it is proposed."""

from collections import deque

from opentelemetry.trace import SpanContext

from schemas import tracing


class BatchTraces:
    """What the batches of this life came from. With nothing traced it stays empty."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[SpanContext]] = {}
        self._headers: dict[tuple[str, int], tracing.Headers] = {}

    def took(self, gateway: str) -> None:
        """A packet of a gateway was taken, in the span around this."""
        if (context := tracing.current()) is not None:
            self._taken.setdefault(gateway, deque(maxlen=tracing.MOST_LINKS)).append(context)

    def headers(self, gateway: str, number: int) -> tracing.Headers:
        """The headers of a batch, the same each time. At the first it links to the gateway's packets since the last."""
        if not tracing.is_on():
            return ()
        if (gateway, number) not in self._headers:
            links = self._taken.pop(gateway, ())
            with tracing.span("aggregate.propose", links=list(links), stream=gateway, number=number) as headers:
                self._headers[gateway, number] = headers
        return self._headers[gateway, number]

    def forget(self, gateway: str, number: int) -> None:
        """The ledger has the batch."""
        self._headers.pop((gateway, number), None)
