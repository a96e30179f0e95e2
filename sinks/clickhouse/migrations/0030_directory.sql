-- Written again with every start and every change of the registry; the same rows replace themselves.
CREATE TABLE IF NOT EXISTS channels
(
    `channel` String COMMENT 'Digest of the channel''s genesis, hex',
    `name` String COMMENT 'Its name',
    `clock` LowCardinality(String) COMMENT 'live, or replay when old data is replayed',
    `utc_offset_minutes` Int32 COMMENT 'Days, months and compliance years begin at 00:00 of the clock so far east of UTC'
)
ENGINE = ReplacingMergeTree
ORDER BY channel
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'The channel that the tables are filled from';

CREATE TABLE IF NOT EXISTS subjects_log
(
    `channel` String COMMENT 'Digest of the channel''s genesis, hex',
    `first` UInt64 COMMENT 'Height from which the registry that says it is in force',
    `subject` LowCardinality(String) COMMENT 'Subject id',
    `name` String COMMENT 'Its name',
    `kind` LowCardinality(String) COMMENT 'region, group, plant, enterprise …',
    `sector` LowCardinality(String) COMMENT 'What it does; empty where it is not stated',
    `start` DateTime64(3, 'UTC') COMMENT 'From when on it is under these owners and regions; 1970: from the beginning',
    `end` DateTime64(3, 'UTC') COMMENT 'Until when; 2299: still',
    `owners` Array(LowCardinality(String)) COMMENT 'Its parent company, that company''s and whatever is above, the nearest first',
    `regions` Array(LowCardinality(String)) COMMENT 'The region in which it lies and those around it, the nearest first'
)
ENGINE = ReplacingMergeTree
ORDER BY (channel, first, subject, start)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Subjects of every registry; ask subjects';

CREATE VIEW IF NOT EXISTS subjects AS
SELECT * FROM subjects_log FINAL
WHERE (channel, first) IN (SELECT channel, max(first) FROM subjects_log GROUP BY channel)
COMMENT 'Who is above whom and where, by the newest registry: a row for each time between two changes';

CREATE TABLE IF NOT EXISTS members
(
    `channel` String COMMENT 'Digest of the channel''s genesis, hex',
    `epoch` UInt32 COMMENT 'Epoch of the committee',
    `first` UInt64 COMMENT 'First height that it certifies',
    `index` UInt32 COMMENT 'Place in the committee',
    `member` LowCardinality(String) COMMENT 'Name of the member',
    `role` LowCardinality(String) COMMENT 'What kind of institution it is'
)
ENGINE = ReplacingMergeTree
ORDER BY (channel, epoch, `index`)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'The members of every committee so far, and of one that is decided';
