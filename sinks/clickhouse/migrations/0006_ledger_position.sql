CREATE TABLE IF NOT EXISTS ledger_position
(
    `channel` String COMMENT 'Digest of the channel''s genesis, hex',
    `height` UInt64 COMMENT 'Height up to which the ledger was verified and its rows were written',
    `position` String COMMENT 'Where the verification goes on, JSON' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(height)
ORDER BY channel
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Where the sink goes on with the ledger; the greatest height counts';
