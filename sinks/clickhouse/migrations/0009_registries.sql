CREATE TABLE IF NOT EXISTS registries
(
    `channel` String COMMENT 'Digest of the channel''s genesis, hex',
    `first` UInt64 COMMENT 'Height from which the registry is in force',
    `recorded` UInt64 COMMENT 'Height of the block that records the change',
    `digest` String COMMENT 'SHA-256 of the registry file that the change leads to, hex',
    `record` String COMMENT 'The record of the change, Avro (registration), hex' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (channel, first)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Every accepted change of the registry; that of the genesis is none';
