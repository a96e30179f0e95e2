CREATE TABLE IF NOT EXISTS sink_errors_log
(
    `topic` LowCardinality(String) COMMENT 'Topic',
    `partition` UInt32 COMMENT 'Partition',
    `offset` UInt64 COMMENT 'Offset',
    `reason` String COMMENT 'Why the sink could not take the message' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Messages that the sink could not take, as they were met; ask sink_errors';

CREATE VIEW IF NOT EXISTS sink_errors AS
SELECT * FROM sink_errors_log FINAL
COMMENT 'Messages that the sink could not take, each once';
