-- The same message may arrive twice; the view shows it once.
CREATE TABLE IF NOT EXISTS anomalies_log
(
    `id` String COMMENT 'Identity: point, kind, raised or resolved, and when' CODEC(ZSTD),
    `key` String COMMENT 'What it is about: the same when it is raised and when it is resolved' CODEC(ZSTD),
    `subject` LowCardinality(String) COMMENT 'Subject whose point it is; empty for a point that the registry no longer has',
    `point` LowCardinality(String) COMMENT 'Point id',
    `kind` LowCardinality(String) COMMENT 'stuck, gap, replay, spike …',
    `invariant` LowCardinality(String) COMMENT 'What holds of an honest point',
    `since` DateTime64(3, 'UTC') COMMENT 'Since when it is broken' CODEC(DoubleDelta, ZSTD),
    `at` DateTime64(3, 'UTC') COMMENT 'Event time of the reading that told' CODEC(DoubleDelta, ZSTD),
    `resolved` Bool COMMENT 'Whether it holds again',
    `score` Float64 COMMENT 'By how many times the statistic is above its limit',
    `per_month` Float64 COMMENT 'How often in 30 days such a value is to be expected without a fault',
    `figures` Map(LowCardinality(String), String) COMMENT 'The figures that made it',
    `text` String COMMENT 'The sentence for people' CODEC(ZSTD),
    `partition` UInt32 COMMENT 'Partition of anomalies',
    `offset` UInt64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Anomalies as they were read; ask anomalies';

CREATE VIEW IF NOT EXISTS anomalies AS
SELECT * FROM anomalies_log FINAL
COMMENT 'Invariants of points that broke, and that hold again, once each: statistics, on which no record hangs';

CREATE VIEW IF NOT EXISTS anomalies_open AS
SELECT * FROM (SELECT * FROM anomalies ORDER BY offset DESC LIMIT 1 BY key) WHERE NOT resolved
COMMENT 'Of each point and kind what was told last, where it is not over';
