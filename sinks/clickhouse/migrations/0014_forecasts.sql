-- A later message of the same day replaces the one before it.
CREATE TABLE IF NOT EXISTS forecasts_log
(
    `subject` LowCardinality(String) COMMENT 'Subject id',
    `year` Int32 COMMENT 'Compliance year',
    `at` DateTime64(3, 'UTC') COMMENT 'End of the day, the last that all sources told whole' CODEC(DoubleDelta, ZSTD),
    `height` UInt64 COMMENT 'Height of the block that completed the day',
    `emitted_g` Int64 COMMENT 'Emitted in the year up to there, g CO2e',
    `year_end_g` Nullable(Int64) COMMENT 'The whole year as forecast, g CO2e',
    `low_80_g` Nullable(Int64) COMMENT '80 % likely at least, g CO2e',
    `high_80_g` Nullable(Int64) COMMENT '80 % likely at most, g CO2e',
    `low_95_g` Nullable(Int64) COMMENT '95 % likely at least, g CO2e',
    `high_95_g` Nullable(Int64) COMMENT '95 % likely at most, g CO2e',
    `available_g` Nullable(Int64) COMMENT 'Allowances held, less all that was emitted and not yet surrendered, g CO2e',
    `exhausted_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'End of the day on which they are used up as forecast; null: not within the year',
    `exhausted_early` Nullable(DateTime64(3, 'UTC')) COMMENT '80 % likely not before',
    `exhausted_late` Nullable(DateTime64(3, 'UTC')) COMMENT '80 % likely not after',
    `shortage_probability` Nullable(Float64) COMMENT 'That they are used up within the year',
    `plan_g` Nullable(Int64) COMMENT 'Planned for the year, g CO2e',
    `planned_so_far_g` Nullable(Int64) COMMENT 'Of it up to the day''s end, g CO2e',
    `target_g` Nullable(Int64) COMMENT 'The most that the target leaves for the year, g CO2e',
    `reductions_g` Int64 COMMENT 'Attested in the year, g CO2e',
    `retired_g` Int64 COMMENT 'Offsets retired for the year, g CO2e',
    `neutrality_gap_g` Int64 COMMENT 'Emitted less reductions less retired offsets, g CO2e',
    `method` LowCardinality(String) COMMENT 'How the forecast was made; empty without one',
    `season` LowCardinality(String) COMMENT 'What it knows of the year''s course; empty without one',
    `silent` UInt32 COMMENT 'Sources that told nothing for a week, whose emissions are missing',
    `levels` Map(LowCardinality(String), LowCardinality(String)) COMMENT 'Level of early warning by kind',
    `partition` UInt32 COMMENT 'Partition of accounts.forecasts',
    `offset` UInt64 COMMENT 'Offset in that partition'
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (subject, at)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Outlooks as they were read; ask forecasts';

CREATE VIEW IF NOT EXISTS forecasts AS
SELECT * FROM forecasts_log FINAL
COMMENT 'The outlook of every subject at the end of every day: a statistic, which posts nothing';
