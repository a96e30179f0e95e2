-- The same alert may arrive twice; the view shows it once.
CREATE TABLE IF NOT EXISTS alerts_log
(
    `id` String COMMENT 'Identity: a function of what it is about' CODEC(ZSTD),
    `kind` LowCardinality(String) COMMENT 'coverage, substituted, equivocation, balance_short …',
    `severity` LowCardinality(String) COMMENT 'info, warning or critical',
    `subject` LowCardinality(String) COMMENT 'Subject that it is for; empty where it is about none',
    `point` LowCardinality(String) COMMENT 'Point id; empty where it is about none',
    `at` DateTime64(3, 'UTC') COMMENT 'Event time' CODEC(DoubleDelta, ZSTD),
    `height` Nullable(UInt64) COMMENT 'Ledger height',
    `text` String COMMENT 'The sentence for people' CODEC(ZSTD),
    `code` String COMMENT 'Carbon code of the record; empty without one' CODEC(ZSTD),
    `partition` UInt32 COMMENT 'Partition of alerts',
    `offset` UInt64 COMMENT 'Offset in that partition'
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Alerts as they were read; ask alerts';

CREATE VIEW IF NOT EXISTS alerts AS
SELECT * FROM alerts_log FINAL
COMMENT 'What somebody should know, once each';

CREATE VIEW IF NOT EXISTS warnings AS
SELECT
    kind, splitByChar('/', id)[2] AS about, splitByChar('/', id)[4] AS level, severity, subject AS told, at, height, text
FROM alerts WHERE kind IN ('balance_short', 'plan_exceeded')
COMMENT 'Early warnings: whom each is about and who was told, with the figures that made it';
