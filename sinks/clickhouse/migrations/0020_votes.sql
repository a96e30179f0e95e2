-- A block that is verified again after a crash brings the same rows again, which replace themselves.
CREATE TABLE IF NOT EXISTS votes_log
(
    `height` UInt64 COMMENT 'Height of the block' CODEC(Delta, ZSTD),
    `time` DateTime64(3, 'UTC') COMMENT 'Time of the block' CODEC(DoubleDelta, ZSTD),
    `epoch` UInt32 COMMENT 'Epoch of the committee' CODEC(Delta, ZSTD),
    `place` UInt8 COMMENT 'Place of the member in the committee',
    `member` LowCardinality(String) COMMENT 'Name of the member',
    `role` LowCardinality(String) COMMENT 'Its role: enterprise, verifier, regulator …',
    `certified` Bool COMMENT 'Whether its signature stands in the certificate, which takes a quorum of them and no more',
    `endorsements` UInt32 COMMENT 'Its signed verdicts on batches that the publisher kept with the block; no part of the certificate'
)
ENGINE = ReplacingMergeTree
ORDER BY (height, place)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Votes as they were read; ask votes';

CREATE VIEW IF NOT EXISTS votes AS
SELECT * FROM votes_log FINAL
COMMENT 'Who voted in the certificate of each block: a row for every member of its committee';
