CREATE TABLE IF NOT EXISTS health_log
(
    `process` LowCardinality(String) COMMENT 'Process, or committee for what the ledger doesn''t show yet',
    `topic` LowCardinality(String) COMMENT 'A topic that it reads; empty for a process that reads none',
    `at` DateTime64(3, 'UTC') COMMENT 'When it was asked, by the clock of the machine' CODEC(DoubleDelta, ZSTD),
    `state` LowCardinality(String) COMMENT 'waiting, starting, ready, stopping or stopped; empty for the committee',
    `restarts` UInt32 COMMENT 'How often it was started again since up began' CODEC(T64, ZSTD),
    `waiting` Nullable(UInt64) COMMENT 'Messages of the topic that it has not done; of the committee batches' CODEC(T64, ZSTD),
    `oldest_seconds` Nullable(Float64) COMMENT 'How long the oldest of them has waited' CODEC(ZSTD),
    `done` Nullable(UInt64) COMMENT 'Messages of the topic up to where it has committed, over all partitions' CODEC(Delta, ZSTD),
    `partition` UInt32 COMMENT 'Partition of pipeline.health',
    `offset` UInt64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (process, topic, at)
TTL toDateTime(at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'How the pipeline stood as it was read, for 90 days; ask health';

CREATE VIEW IF NOT EXISTS health AS
SELECT
    *,
    if(done < before OR before_at = toDateTime64(0, 3, 'UTC'), NULL, (done - before) / (toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(before_at)) * 1000) AS per_second
FROM
(
    SELECT
        * EXCEPT (`partition`, `offset`),
        lagInFrame(done) OVER (PARTITION BY process, topic ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before,
        lagInFrame(at) OVER (PARTITION BY process, topic ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before_at
    FROM health_log FINAL
)
COMMENT 'How every process and what it reads stood, every ten seconds of the last 90 days; per_second: messages since the look before';

CREATE VIEW IF NOT EXISTS errors AS
SELECT stage, reason, source_topic AS topic, at, digest AS about FROM rejections
UNION ALL
SELECT 'committee' AS stage, reason, 'records.proposed' AS topic, toNullable(window_start) AS at, leaf_hash AS about
FROM records WHERE verdict = 'rejected'
UNION ALL
SELECT 'committee' AS stage, reason, 'records.proposed' AS topic, toNullable(time) AS at, leaf_hash AS about
FROM submissions WHERE verdict = 'rejected'
UNION ALL
SELECT 'sink' AS stage, reason, topic, NULL AS at, concat(topic, ':', toString(`partition`), ':', toString(`offset`)) AS about FROM sink_errors
COMMENT 'What was refused anywhere, by the stage that refused it';
