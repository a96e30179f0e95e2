-- Grades and colours rest on all that was stated: the ledger is read again, and a restart goes on from the payloads.
ALTER TABLE submissions_log ADD COLUMN IF NOT EXISTS
    `payload` String COMMENT 'The submission as it was signed, hex; empty for a rejected one' CODEC(ZSTD);

CREATE TABLE IF NOT EXISTS ratings_log
(
    `region` LowCardinality(String) COMMENT 'Region that the subject lies in',
    `year` Int32 COMMENT 'Compliance year',
    `subject` LowCardinality(String) COMMENT 'Subject id',
    `sector` LowCardinality(String) COMMENT 'Its sector; empty without one',
    `emission_g` Int64 COMMENT 'Emission of the year, g CO2e: the verifier''s, or what points and bills say',
    `verified` UInt8 COMMENT 'Whether a verifier found it',
    `product` LowCardinality(String) COMMENT 'Its one product and the unit; empty for none or several',
    `g_per_unit` Nullable(Float64) COMMENT 'g CO2e per unit of it, to 4 decimals',
    `place` Nullable(UInt32) COMMENT 'Rank among all with the product, the least first',
    `of` Nullable(UInt32) COMMENT 'How many these are',
    `t_per_10000_cny` Nullable(Float64) COMMENT 't CO2e per 10,000 CNY of value added, to 4 decimals',
    `grade` LowCardinality(String) COMMENT 'Performance grade, or that too little is known',
    `grade_why` String COMMENT 'The figures that made it' CODEC(ZSTD),
    `grade_standing` LowCardinality(String) COMMENT 'Whose rules they are',
    `colour` LowCardinality(String) COMMENT 'Colour code, or that too little is known',
    `colour_why` String COMMENT 'The figures that made it' CODEC(ZSTD),
    `colour_standing` LowCardinality(String) COMMENT 'Whose rules they are',
    `from_memory` String COMMENT 'Factor rows of confidence D behind the row',
    `gone` UInt8 COMMENT 'Whether the subject lies in the region no more',
    `height` UInt64 COMMENT 'Height as of which it stands' CODEC(Delta, ZSTD),
    `time` DateTime64(3, 'UTC') COMMENT 'Time of that block' CODEC(DoubleDelta, ZSTD)
)
ENGINE = ReplacingMergeTree(height)
ORDER BY (region, year, subject)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Ratings as they were written; ask ratings';

CREATE VIEW IF NOT EXISTS ratings AS
SELECT * EXCEPT gone FROM ratings_log FINAL WHERE NOT gone
COMMENT 'Grade and colour of every subject of a region in a year, with the figures that made them, since the block that changed them last';

TRUNCATE TABLE ledger_position;
