-- The same attempt may arrive twice; the view shows it once.
CREATE TABLE IF NOT EXISTS deliveries_log
(
    `subscription` LowCardinality(String) COMMENT 'Subscription id',
    `event` String COMMENT 'Event id: the webhook-id of every attempt' CODEC(ZSTD),
    `kind` LowCardinality(String) COMMENT 'Kind of the alert: coverage, equivocation …',
    `key` String COMMENT 'Key of the alert, in whose order its events are delivered' CODEC(ZSTD),
    `attempt` UInt32 COMMENT '1 for the first; after a replay it goes on',
    `at` DateTime64(3, 'UTC') COMMENT 'When it was made, by the clock of the sender' CODEC(DoubleDelta, ZSTD),
    `status` Nullable(UInt16) COMMENT 'HTTP status code; null without an answer',
    `outcome` LowCardinality(String) COMMENT 'delivered, failed (again later) or dead (given up, can be replayed)',
    `reason` LowCardinality(String) COMMENT 'Why it failed; empty when delivered',
    `duration_ms` UInt32 COMMENT 'How long the attempt took, ms' CODEC(T64, ZSTD),
    `next_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'When the next attempt is due; null when none is',
    `partition` UInt32 COMMENT 'Partition of alerts.deliveries',
    `offset` UInt64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (subscription, event, attempt)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Attempts to deliver to webhooks as they were read, for 400 days; ask deliveries';

CREATE VIEW IF NOT EXISTS deliveries AS
SELECT * FROM deliveries_log FINAL
COMMENT 'Every attempt of the last 400 days to deliver an event to a webhook';
