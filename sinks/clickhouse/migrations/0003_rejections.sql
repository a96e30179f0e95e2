-- The same refusal may stand on the topic at several offsets. Rows of one identity replace each other, and the view
-- shows one of them whether or not that has been merged yet.
CREATE TABLE IF NOT EXISTS rejections_log
(
    `digest` String COMMENT 'SHA-256 of the refused message, hex' CODEC(ZSTD),
    `index` Int32 COMMENT 'Place of the reading in its packet; -1 for the whole message',
    `reason` LowCardinality(String) COMMENT 'Rule that refused it',
    `detail` String COMMENT 'The sentence of the rule with its figures' CODEC(ZSTD),
    `stage` LowCardinality(String) COMMENT 'intake, ingest or aggregate',
    `gateway` LowCardinality(String) COMMENT 'Gateway; empty where the packet could not be read',
    `run` Nullable(UInt32) COMMENT 'Run, where the packet could be read',
    `sequence` Nullable(UInt64) COMMENT 'Sequence, where the packet could be read',
    `point` LowCardinality(String) COMMENT 'Point id; empty for a whole message',
    `at` Nullable(DateTime64(3, 'UTC')) COMMENT 'Event time',
    `value` Nullable(Int64) COMMENT 'Scaled value',
    `code` String COMMENT 'Carbon code of the reading; empty where it has none' CODEC(ZSTD),
    `source_topic` LowCardinality(String) COMMENT 'Topic of the refused message',
    `source_partition` UInt32 COMMENT 'Its partition',
    `source_offset` UInt64 COMMENT 'Its offset',
    `partition` UInt32 COMMENT 'Partition of readings.rejected',
    `offset` UInt64 COMMENT 'Offset in that partition'
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (digest, `index`, reason)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Dead letters as they were read; ask rejections';

CREATE VIEW IF NOT EXISTS rejections AS
SELECT * FROM rejections_log FINAL
COMMENT 'Every refused message and reading, once';
