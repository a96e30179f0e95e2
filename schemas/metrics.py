"""Every metric that a process of ours shows to Prometheus: its name, what it is, its labels, and who has it.

Names follow Prometheus: one prefix, base units, `_total` for what only grows. `docs/observability.md` is made of this
list.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """How Prometheus takes a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric. `shown_by` are the kinds of processes that have it: a role's name without its number or gateway."""

    name: str
    kind: Kind
    text: str
    shown_by: tuple[str, ...]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets."""

    def of(self, value: float, *labels: str) -> "Figure":
        """Its value, with the values of its labels in their order."""
        return Figure(self, value, labels)


class Figure(NamedTuple):
    """A metric's value now."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


UP, MEMBER, SINK, REPLAY, LIVE, WEBHOOKS = "up", "member", "sink", "gateway", "live", "webhooks"
ANOMALIES, HEALTH = "anomalies", "health"
"""`live` is a gateway that serves devices, `gateway` one that replays."""
WORKERS = ("ingest", "aggregate")
PROCESSORS = ("accounts", "forecast")
REFUSING = (*WORKERS, "intake")
READERS = (*REFUSING, MEMBER, *PROCESSORS, ANOMALIES, SINK, WEBHOOKS, HEALTH)
EVERY = (UP, "schemas", *READERS, REPLAY, LIVE)

TURN_AGE = Metric(
    "carbonledger_turn_age_seconds", Kind.GAUGE, "Since the process's loop has last turned; /live goes by it", EVERY
)
READY = Metric("carbonledger_ready", Kind.GAUGE, "Whether /ready says yes", EVERY)

LAG = Metric(
    "carbonledger_lag_messages",
    Kind.GAUGE,
    "Messages of a topic that it has not read, as its client last heard",
    READERS,
    ("topic",),
)
COMMIT_AGE = Metric("carbonledger_commit_age_seconds", Kind.GAUGE, "Since it last kept where it stands", READERS)
QUEUE = Metric(
    "carbonledger_queue_depth",
    Kind.GAUGE,
    "What it has taken and not done",
    (*WORKERS, MEMBER, *PROCESSORS, ANOMALIES, SINK, REPLAY, LIVE, "intake", WEBHOOKS),
    ("queue",),
)
DONE = Metric("carbonledger_messages_total", Kind.COUNTER, "Messages that it has done since its start", REFUSING)
REJECTIONS = Metric(
    "carbonledger_rejections_total",
    Kind.COUNTER,
    "Readings, packets or ledger entries refused since its start, by reason",
    (*REFUSING, *PROCESSORS),
    ("reason",),
)
DEAD_LETTERS = Metric("carbonledger_dead_letters_total", Kind.COUNTER, "Messages to readings.rejected", REFUSING)

HEIGHT = Metric(
    "carbonledger_height",
    Kind.GAUGE,
    "Height of the last block that it has kept",
    (MEMBER, *PROCESSORS, ANOMALIES, SINK),
)
REGISTRY_HEIGHT = Metric(
    "carbonledger_registry_height",
    Kind.GAUGE,
    "Height from which the registry that it works under is in force",
    (*WORKERS, MEMBER),
)
EXECUTED = Metric("carbonledger_executed_height", Kind.GAUGE, "Height of the last block that it has applied", (MEMBER,))
PUBLISHED = Metric(
    "carbonledger_published_height", Kind.GAUGE, "Height up to which it has read the ledger's topic back", (MEMBER,)
)
VIEW = Metric("carbonledger_view", Kind.GAUGE, "The committee's view, as this member has it", (MEMBER,))
EPOCH = Metric("carbonledger_epoch", Kind.GAUGE, "The committee's epoch, as this member has it", (MEMBER,))
BLOCK_AGE = Metric("carbonledger_block_age_seconds", Kind.GAUGE, "Since it has kept a block in this life", (MEMBER,))
BLOCK_INTERVAL = Metric(
    "carbonledger_block_interval_seconds",
    Kind.HISTOGRAM,
    "Between two blocks that it certified",
    (MEMBER,),
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0),
)
FSYNC = Metric(
    "carbonledger_fsync_seconds",
    Kind.HISTOGRAM,
    "To make what it votes durable",
    (MEMBER,),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
RECORDS = Metric(
    "carbonledger_records_total", Kind.COUNTER, "Entries of the ledger, by verdict", (MEMBER,), ("verdict",)
)
DROPPED = Metric(
    "carbonledger_dropped_total", Kind.COUNTER, "Messages that a member passed over, by reason", (MEMBER,), ("reason",)
)
EVIDENCE = Metric("carbonledger_evidence", Kind.GAUGE, "Pieces of evidence that it keeps against members", (MEMBER,))

SEQUENCE = Metric("carbonledger_gateway_sequence", Kind.GAUGE, "Sequence of its last packet", (REPLAY, LIVE, "intake"))
UPLINK_LAG = Metric("carbonledger_uplink_lag_seconds", Kind.GAUGE, "Age of the oldest thing it has not sent", (LIVE,))
DISK = Metric("carbonledger_disk_bytes", Kind.GAUGE, "What its store takes", (LIVE,))
DISK_BOUND = Metric("carbonledger_disk_bound_bytes", Kind.GAUGE, "What its store may take", (LIVE,))

DELIVERIES = Metric(
    "carbonledger_delivery_attempts_total", Kind.COUNTER, "Attempts to deliver an alert that have ended", (WEBHOOKS,)
)
POISONED = Metric("carbonledger_poisoned_total", Kind.COUNTER, "Messages that it could not take", (SINK,))

WAITING = Metric(
    "carbonledger_waiting", Kind.GAUGE, "Messages of a topic that a group has not done", (UP,), ("group", "topic")
)
OLDEST = Metric(
    "carbonledger_waiting_oldest_seconds", Kind.GAUGE, "Age of the oldest of them", (UP,), ("group", "topic")
)
HELD = Metric(
    "carbonledger_held", Kind.GAUGE, "1 while a process takes nothing, for what is behind it", (UP,), ("process",)
)
BROKER_UP = Metric("carbonledger_broker_up", Kind.GAUGE, "Whether the broker answered", (UP,))
RESTARTS = Metric("carbonledger_restarts_total", Kind.COUNTER, "Restarts of a process", (UP,), ("process",))

POSTED = Metric(
    "carbonledger_books_posted",
    Kind.GAUGE,
    "All debits and all credits of the books on disk",
    (UP, "accounts"),
    ("side", "unit"),
)
DIFFERENCE = Metric(
    "carbonledger_books_difference",
    Kind.GAUGE,
    "Debits less credits, taken of integers: 0",
    (UP, "accounts"),
    ("unit",),
)
BOOKS_HEIGHT = Metric("carbonledger_books_height", Kind.GAUGE, "Height at which the books stand", (UP, "accounts"))

METRICS = tuple(found for found in list(globals().values()) if isinstance(found, Metric))
"""All of them."""


def shown_by(process: str) -> tuple[Metric, ...]:
    """The metrics of one kind of process."""
    return tuple(metric for metric in METRICS if process in metric.shown_by)


def table() -> str:
    """The list as a Markdown table, as `docs/observability.md` has it."""
    rows = ["| metric | type | labels | what it is | shown by |", "| --- | --- | --- | --- | --- |"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        who = "every process" if metric.shown_by == EVERY else ", ".join(metric.shown_by)
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} | {who} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
