-- A block that is verified again after a crash brings the same row again, which replaces itself; the view shows it once.
CREATE TABLE IF NOT EXISTS submissions_log
(
    `height` UInt64 COMMENT 'Height of the block that holds the submission' CODEC(Delta, ZSTD),
    `time` DateTime64(3, 'UTC') COMMENT 'Time of that block' CODEC(DoubleDelta, ZSTD),
    `leaf_index` UInt64 COMMENT 'Place in the log' CODEC(Delta, ZSTD),
    `verdict` LowCardinality(String) COMMENT 'accepted or rejected',
    `reason` LowCardinality(String) COMMENT 'Why it was rejected; empty when accepted',
    `party` LowCardinality(String) COMMENT 'Who states it; empty for what is no submission',
    `number` UInt64 COMMENT 'Its number among those of the party',
    `kind` LowCardinality(String) COMMENT 'allocation, transfer …',
    `subject` LowCardinality(String) COMMENT 'Subject that it is about, a transfer''s seller; empty for prices and rules',
    `counterparty` LowCardinality(String) COMMENT 'A transfer''s buyer; empty otherwise',
    `signers` Array(LowCardinality(String)) COMMENT 'Parties that signed it, the author first',
    `content` String COMMENT 'What is stated, JSON: fields of schema submission-<kind>, bytes in hex' CODEC(ZSTD),
    `registry_height` UInt64 COMMENT 'Registry that it was made under, by the height from which it is in force',
    `commitment` String COMMENT 'SHA-256 of salt and payload, hex' CODEC(ZSTD),
    `leaf_hash` String COMMENT 'Hash of the leaf in the log, hex' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY leaf_index
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Submissions as they were read; ask submissions';

CREATE VIEW IF NOT EXISTS submissions AS
SELECT * FROM submissions_log FINAL
COMMENT 'Every submission of the ledger, accepted and rejected';

CREATE VIEW IF NOT EXISTS plans AS
SELECT
    subject, JSONExtractInt(content, 'year') AS year, month, output, emission_g,
    JSONExtractString(content, 'product') AS product, JSONExtractInt(content, 'scale') AS output_scale,
    JSONExtractString(content, 'unit') AS output_unit, height, leaf_index
FROM
(
    SELECT *, max(leaf_index) OVER (PARTITION BY subject, JSONExtractInt(content, 'year')) AS newest
    FROM submissions WHERE kind = 'plan' AND verdict = 'accepted'
)
ARRAY JOIN
    arrayMap(item -> JSONExtractInt(item, 'emission_g'), JSONExtractArrayRaw(content, 'months')) AS emission_g,
    arrayMap(item -> JSONExtractInt(item, 'output'), JSONExtractArrayRaw(content, 'months')) AS output,
    arrayEnumerate(JSONExtractArrayRaw(content, 'months')) AS month
WHERE leaf_index = newest
COMMENT 'What a subject means to emit (g CO2e) and to put out (10^-output_scale of output_unit) in each month: its newest plan of a year';
