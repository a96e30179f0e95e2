"""Feeds of the small tables, whose messages become rows one by one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from carbon.ledger.chart import CLASSES
from schemas import codec, topics
from sinks.clickhouse.feed import Message, Place, PoisonedError, RowBatch, Unfit, greatest_offsets, stop

TIME = pa.timestamp("ms", "UTC")
SOURCE = [("partition", pa.uint32()), ("offset", pa.uint64())]
"""Where a row's message stood."""

REJECTIONS = pa.schema(
    [
        ("digest", pa.string()),
        ("index", pa.int32()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("stage", pa.string()),
        ("gateway", pa.string()),
        ("run", pa.uint32()),
        ("sequence", pa.uint64()),
        ("point", pa.string()),
        ("at", TIME),
        ("value", pa.int64()),
        ("code", pa.string()),
        ("source_topic", pa.string()),
        ("source_partition", pa.uint32()),
        ("source_offset", pa.uint64()),
        *SOURCE,
    ]
)

BALANCES = pa.schema(
    [
        ("account", pa.string()),
        ("subject", pa.string()),
        ("kind", pa.string()),
        ("unit", pa.string()),
        ("year", pa.int32()),
        ("detail", pa.string()),
        ("debit_g", pa.int64()),
        ("credit_g", pa.int64()),
        ("balance", pa.int64()),
        ("held", pa.int64()),
        ("records", pa.uint64()),
        ("height", pa.uint64()),
        *SOURCE,
    ]
)

FORECASTS = pa.schema(
    [
        ("subject", pa.string()),
        ("year", pa.int32()),
        ("at", TIME),
        ("height", pa.uint64()),
        *((name, pa.int64()) for name in ("emitted_g", "year_end_g", "low_80_g", "high_80_g", "low_95_g", "high_95_g")),
        ("available_g", pa.int64()),
        *((name, TIME) for name in ("exhausted_at", "exhausted_early", "exhausted_late")),
        ("shortage_probability", pa.float64()),
        *((name, pa.int64()) for name in ("plan_g", "planned_so_far_g", "target_g")),
        *((name, pa.int64()) for name in ("reductions_g", "retired_g", "neutrality_gap_g")),
        ("method", pa.string()),
        ("season", pa.string()),
        ("silent", pa.uint32()),
        ("levels", pa.map_(pa.string(), pa.string())),
        *SOURCE,
    ]
)

ALERTS = pa.schema(
    [
        ("id", pa.string()),
        ("kind", pa.string()),
        ("severity", pa.string()),
        ("subject", pa.string()),
        ("point", pa.string()),
        ("at", TIME),
        ("height", pa.uint64()),
        ("text", pa.string()),
        ("code", pa.string()),
        ("key", pa.string()),
        ("resolved", pa.bool_()),
        ("since", TIME),
        ("figures", pa.map_(pa.string(), pa.string())),
        ("proof", pa.string()),
        *SOURCE,
    ]
)

ANOMALIES = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "key", "subject", "point", "kind", "invariant")),
        ("since", TIME),
        ("at", TIME),
        ("resolved", pa.bool_()),
        ("score", pa.float64()),
        ("per_month", pa.float64()),
        ("figures", pa.map_(pa.string(), pa.string())),
        ("text", pa.string()),
        *SOURCE,
    ]
)

DELIVERIES = pa.schema(
    [
        *((name, pa.string()) for name in ("subscription", "event", "kind", "key")),
        ("attempt", pa.uint32()),
        ("at", TIME),
        ("status", pa.uint16()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("duration_ms", pa.uint32()),
        ("next_at", TIME),
        *SOURCE,
    ]
)


def rejection_rows(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each refused reading, or the one for a refused message."""
    shared = {
        "digest": fields["digest"].hex(),
        "stage": fields["stage"],
        "gateway": fields["gateway"] or "",
        "run": fields["run"],
        "sequence": fields["sequence"],
        "source_topic": fields["topic"],
        "source_partition": fields["partition"],
        "source_offset": fields["offset"],
    }
    for item in fields["items"]:
        yield {**shared, **item, "point": item["point"] or "", "code": item["code"] or ""}


def balance_rows(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of a balance; one of an earlier version has no kind. Raises PoisonedError for a kind of no chart."""
    balance, kind = fields["debit_g"] - fields["credit_g"], fields["kind"]
    if kind and kind not in CLASSES:
        raise PoisonedError(f"no account is of kind {kind!r}")
    yield {**fields, "balance": balance, "held": CLASSES[kind].grows * balance if kind else balance}


def forecast_rows(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of an outlook."""
    texts = {name: fields[name] or "" for name in ("method", "season")}
    yield fields | texts | {"levels": [(held["kind"], held["level"]) for held in fields["levels"]]}


def alert_rows(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of an alert."""
    texts = {name: fields[name] or "" for name in ("subject", "point", "code", "proof")}
    yield fields | texts | {"figures": _figures(fields)}


def anomaly_rows(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of an anomaly."""
    yield fields | {"subject": fields["subject"] or "", "figures": _figures(fields)}


def _figures(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(figure["name"], figure["value"]) for figure in fields["figures"]]


def delivery_rows(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of an attempt to deliver."""
    yield fields | {"reason": fields["reason"] or ""}


class RowFeed:
    """A feed from one topic into one table that keeps the last row of an identity, and resumes by offset."""

    def __init__(
        self,
        topic: str,
        schema: str,
        batch: RowBatch,
        rows: Callable[[dict[str, Any]], Iterator[dict[str, Any]]],
    ) -> None:
        self.topics = (topic,)
        self._schema = schema
        self._batch = batch
        self._rows = rows

    @property
    def waiting(self) -> int:
        """Rows of the open batch."""
        return len(self._batch)

    def resume(self, client: Any) -> Mapping[Place, int]:
        """The offsets after the greatest ones in the table."""
        return greatest_offsets(client, self._batch.table, self.topics[0])

    def take(self, message: Message) -> None:
        """Make rows from a message. Raises PoisonedError."""
        try:
            rows = list(self._rows(codec.decode(self._schema, message.value)))
        except codec.CodecError as error:
            raise PoisonedError(str(error)) from error
        source = {"partition": message.partition, "offset": message.offset}
        self._batch.add([{**row, **source} for row in rows], message.origin)

    def flush(self, client: Any, unfit: Unfit = stop) -> None:
        """Write the open batch as one part, without the messages whose rows do not fit."""
        self._batch.flush(client, unfit)


def rejections_feed() -> RowFeed:
    """The feed of table `rejections`."""
    batch = RowBatch("rejections_log", REJECTIONS)
    return RowFeed(topics.READINGS_REJECTED, "rejection", batch, rejection_rows)


def balances_feed() -> RowFeed:
    """The feed of table `balances`."""
    return RowFeed(topics.ACCOUNTS_BALANCES, "balance", RowBatch("balances_log", BALANCES), balance_rows)


def forecasts_feed() -> RowFeed:
    """The feed of table `forecasts`."""
    return RowFeed(topics.ACCOUNTS_FORECASTS, "forecast", RowBatch("forecasts_log", FORECASTS), forecast_rows)


def alerts_feed() -> RowFeed:
    """The feed of table `alerts`."""
    return RowFeed(topics.ALERTS, "alert", RowBatch("alerts_log", ALERTS), alert_rows)


def anomalies_feed() -> RowFeed:
    """The feed of table `anomalies`."""
    return RowFeed(topics.ANOMALIES, "anomaly", RowBatch("anomalies_log", ANOMALIES), anomaly_rows)


def deliveries_feed() -> RowFeed:
    """The feed of table `deliveries`."""
    return RowFeed(topics.ALERTS_DELIVERIES, "delivery", RowBatch("deliveries_log", DELIVERIES), delivery_rows)
