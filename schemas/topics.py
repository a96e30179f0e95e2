"""The topic catalogue: every topic's name, key, schema, partitions and settings. Topics and AsyncAPI are made from it.

Message timestamps are the broker's (LogAppendTime), never event time: a replayed old year would be deleted at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

DAY_MS = 86_400_000
FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1"}
COMPACTED = {"cleanup.policy": "compact", "segment.bytes": str(16 * 2**20), "delete.retention.ms": str(3_600_000)}
"""The newest segment is never compacted, and is 1 GiB by default: for a few rows a reader would read all of it."""
NO_CONTRACT = "none"
"""In place of a schema: what one process keeps for itself, which nobody else reads."""


@dataclass(frozen=True)
class Bounds:
    """What the genesis bounds, from which the size limits of topics are made."""

    block_bytes: int = 4_000_000
    block_records: int = 2_000

    @property
    def message_bytes(self) -> int:
        """The largest message of the ledger: a block's leaves, votes and note, or a member's message carrying them."""
        return self.block_bytes + 262_144


@dataclass(frozen=True)
class Topic:
    """One topic. `schema` names the Avro schema of its values; `key` says in words what its key is."""

    name: str
    key: str
    schema: str
    summary: str
    partitions: int = 1
    large: bool = False
    """Whether its messages may be as large as a block."""
    settings: Mapping[str, str] = field(default_factory=dict)

    def config(self, bounds: Bounds) -> dict[str, str]:
        """The topic's configuration on the broker."""
        size = bounds.message_bytes if self.large else 1_048_576
        base = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(size)}
        return {**base, "retention.ms": str(30 * DAY_MS), **self.settings}


METER_READINGS = "meter.readings"
METER_FRAMES = "meter.frames"
METER_SINGLE = "meter.single"
GATEWAY_COMMANDS = "gateway.commands"
GATEWAY_OUTCOMES = "gateway.outcomes"
READINGS_CODED = "readings.coded"
READINGS_REJECTED = "readings.rejected"
RECORDS_PROPOSED = "records.proposed"
CONSENSUS_MESSAGES = "consensus.messages"
LEDGER_BLOCKS = "ledger.blocks"
LEDGER_PAYLOADS = "ledger.payloads"
LEDGER_REJECTED = "ledger.rejected"
LEDGER_REQUESTS = "ledger.requests"
LEDGER_SNAPSHOTS = "ledger.snapshots"
AGGREGATE_STATE = "carbon.aggregate-gateways-changelog"
ACCOUNTS_BALANCES = "accounts.balances"
ACCOUNTS_FORECASTS = "accounts.forecasts"
ANOMALIES = "anomalies"
ALERTS = "alerts"
ALERTS_DELIVERIES = "alerts.deliveries"
PIPELINE_HEALTH = "pipeline.health"

METER_PARTITIONS = 4
"""The degree to which ingest and aggregate can be spread over workers; a gateway stays on one partition."""

_ALL = (
    Topic(
        METER_READINGS,
        "gateway id",
        "packet",
        "Signed packets of readings: the evidence",
        METER_PARTITIONS,
        settings=FOR_EVER,
    ),
    Topic(
        METER_FRAMES,
        "gateway id",
        "frames",
        "The messages of devices behind each packet, as they came and signed by the gateway",
        METER_PARTITIONS,
        settings=FOR_EVER,
    ),
    Topic(
        METER_SINGLE, "point id", "reading", "Single readings for the intake gateway, JSON or Avro", METER_PARTITIONS
    ),
    Topic(GATEWAY_COMMANDS, "gateway id", "command", "Signed commands of operators to gateways"),
    Topic(GATEWAY_OUTCOMES, "gateway id", "command-outcome", "What became of commands, signed by the gateway"),
    Topic(
        READINGS_CODED,
        "gateway id",
        "coded-packet",
        "Verified packets with a verdict and a hash for each reading",
        METER_PARTITIONS,
        large=True,
        settings=FOR_EVER,
    ),
    Topic(
        READINGS_REJECTED,
        "the original's key",
        "rejection",
        "Dead letters: what was refused, with its reason",
        large=True,
        settings=FOR_EVER,
    ),
    Topic(RECORDS_PROPOSED, "stream", "proposal", "Signed batches of records for the committee", large=True),
    Topic(
        AGGREGATE_STATE,
        "kind / number / gateway id",
        NO_CONTRACT,
        "The aggregator's windows and pending batches, restored from at its start",
        METER_PARTITIONS,
        large=True,
        settings=FOR_EVER | COMPACTED,
    ),
    Topic(CONSENSUS_MESSAGES, "member index", "consensus-message", "The wire of the committee", large=True),
    Topic(
        LEDGER_BLOCKS,
        "height, 8 bytes big-endian",
        "block",
        "Certified blocks: headers, leaves, votes, notes",
        large=True,
        settings=FOR_EVER,
    ),
    Topic(LEDGER_PAYLOADS, "leaf hash, 32 bytes", "payload", "The payloads behind the leaves", settings=FOR_EVER),
    Topic(
        LEDGER_REJECTED,
        "leaf hash, 32 bytes",
        "ledger-rejection",
        "Records that the committee refused",
        settings=FOR_EVER,
    ),
    Topic(LEDGER_REQUESTS, "height, 8 bytes big-endian", "payload-request", "Readers that lack payloads of a block"),
    Topic(
        LEDGER_SNAPSHOTS,
        "height, 8 bytes big-endian",
        "snapshot",
        "The replicated state at some heights",
        large=True,
        settings=FOR_EVER | COMPACTED,
    ),
    Topic(ACCOUNTS_BALANCES, "account", "balance", "The balance of every account", settings=COMPACTED),
    Topic(
        ACCOUNTS_FORECASTS,
        "subject",
        "forecast",
        "What each subject will emit, and how long its balance lasts",
        settings=COMPACTED,
    ),
    Topic(
        ANOMALIES, "anomaly key", "anomaly", "Invariants of points that broke, and that hold again", settings=FOR_EVER
    ),
    Topic(ALERTS, "alert id", "alert", "What somebody should know", settings=FOR_EVER),
    Topic(ALERTS_DELIVERIES, "subscription id", "delivery", "What became of each attempt to deliver to a webhook"),
    Topic(PIPELINE_HEALTH, "process", "health", "How each process and what it reads stood, every few seconds"),
)


def catalogue() -> Iterator[Topic]:
    """Every topic of the product, in the order of the flow."""
    return iter(_ALL)


def contracts() -> Iterator[Topic]:
    """The topics that others may read or write: all but those that one process keeps for itself."""
    return (topic for topic in _ALL if topic.schema != NO_CONTRACT)


def topic(name: str) -> Topic:
    """The topic of that name. Raises KeyError."""
    for candidate in _ALL:
        if candidate.name == name:
            return candidate
    raise KeyError(name)
