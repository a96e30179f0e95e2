CREATE TABLE IF NOT EXISTS blocks
(
    `height` UInt64 COMMENT 'Height: 1, 2, 3 …' CODEC(Delta, ZSTD),
    `time` DateTime64(3, 'UTC') COMMENT 'Block time' CODEC(DoubleDelta, ZSTD),
    `epoch` UInt32 COMMENT 'Epoch of the committee',
    `digest` String COMMENT 'Block digest: SHA-256 of the header, hex' CODEC(ZSTD),
    `previous` String COMMENT 'Digest of the block before it, hex' CODEC(ZSTD),
    `records` UInt32 COMMENT 'Leaves in this block',
    `accepted` UInt64 COMMENT 'Accepted records since the genesis' CODEC(Delta, ZSTD),
    `rejected` UInt64 COMMENT 'Rejected records since the genesis' CODEC(Delta, ZSTD),
    `tree_size` UInt64 COMMENT 'Leaves of the log after this block' CODEC(Delta, ZSTD),
    `root` String COMMENT 'RFC 6962 root of the log after this block, hex' CODEC(ZSTD),
    `state` String COMMENT 'Digest of the replicated state after this block, hex' CODEC(ZSTD),
    `signers` Array(LowCardinality(String)) COMMENT 'Members whose signatures stand on the checkpoint'
)
ENGINE = MergeTree
ORDER BY height
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Certified blocks, verified before they were written';

CREATE TABLE IF NOT EXISTS records
(
    `height` UInt64 COMMENT 'Height of the block that holds the record' CODEC(Delta, ZSTD),
    `leaf_index` UInt64 COMMENT 'Place in the log' CODEC(Delta, ZSTD),
    `verdict` LowCardinality(String) COMMENT 'accepted or rejected',
    `reason` LowCardinality(String) COMMENT 'Why it was rejected; empty when accepted',
    `point` LowCardinality(String) COMMENT 'Point id',
    `subject` LowCardinality(String) COMMENT 'Subject whose account it is booked to',
    `object` LowCardinality(String) COMMENT 'What is measured, as it stands in the carbon code',
    `prefix` LowCardinality(String) COMMENT 'Prefix of the carbon code',
    `window_start` DateTime64(3, 'UTC') COMMENT 'Start of the half-open window' CODEC(DoubleDelta, ZSTD),
    `window_seconds` UInt32 COMMENT 'Length of the window',
    `version` UInt32 COMMENT '1, and one more with each correction of the window',
    `cause` LowCardinality(String) COMMENT 'WINDOW, LATE or FACTOR: why the record was made',
    `count` UInt32 COMMENT 'Readings counted',
    `expected` UInt32 COMMENT 'Readings that a full window holds',
    `quantity` Int64 COMMENT 'Sum of the counted readings in units of 10^-scale of unit' CODEC(Delta, ZSTD),
    `scale` UInt8 COMMENT 'Decimal places of quantity',
    `unit` LowCardinality(String) COMMENT 'Unit of quantity',
    `emission_g` Int64 COMMENT 'Emission, g CO2e' CODEC(Delta, ZSTD),
    `rule` LowCardinality(String) COMMENT 'Emission rule with its factor rows',
    `factors` LowCardinality(String) COMMENT 'Digest of the factor set, hex',
    `evidence` Array(Tuple(gateway String, run UInt32, first UInt64, last UInt64, digest String)) COMMENT 'Packet ranges of the record; digest is of the last packet, hex' CODEC(ZSTD),
    `evidence_root` String COMMENT 'RFC 6962 root over the counted readings, hex' CODEC(ZSTD),
    `commitment` String COMMENT 'SHA-256 of salt and payload, hex' CODEC(ZSTD),
    `leaf_hash` String COMMENT 'Hash of the leaf in the log, hex' CODEC(ZSTD),
    `coverage` Float64 ALIAS if(expected = 0, 0, count / expected) COMMENT 'count / expected',
    `code` String ALIAS if(object = '', '', concat(
        prefix, '/', subject, '.', object, '.', formatDateTime(window_start, '%Y%m%dT%H%i%S', 'UTC'),
        if(toUnixTimestamp64Milli(window_start) % 1000 = 0, '', leftPad(toString(toUnixTimestamp64Milli(window_start) % 1000), 3, '0')),
        'Z-PT', toString(window_seconds), 'S.', substring(commitment, 1, 32))) COMMENT 'Carbon code of the record'
)
ENGINE = MergeTree
ORDER BY (point, window_start, version)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Every record of the ledger, accepted and rejected, every version';

CREATE VIEW IF NOT EXISTS records_latest AS
SELECT * EXCEPT newest FROM
(
    SELECT *, code, coverage, max(version) OVER (PARTITION BY point, window_start) AS newest
    FROM records WHERE verdict = 'accepted'
)
WHERE version = newest
COMMENT 'The accepted record of each window in its highest version: what counts now';
