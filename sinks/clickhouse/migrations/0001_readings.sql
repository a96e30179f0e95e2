-- The code is an ALIAS: computed when asked for, it costs no disk; stored beside the hash it would take 20 bytes a row.
-- The projection answers in milliseconds which packets are there: that is what a restarted sink resumes from.
CREATE TABLE IF NOT EXISTS readings
(
    `gateway` LowCardinality(String) COMMENT 'Gateway id',
    `run` UInt32 COMMENT 'Run of the gateway' CODEC(Delta, ZSTD),
    `sequence` UInt64 COMMENT 'Packet sequence in the run' CODEC(Delta, ZSTD),
    `index` UInt32 COMMENT 'Place of the reading in its packet' CODEC(Delta, ZSTD),
    `point` LowCardinality(String) COMMENT 'Point id',
    `subject` LowCardinality(String) COMMENT 'Subject that the registry books the point to; empty for an unknown point',
    `object` LowCardinality(String) COMMENT 'What is measured, as it stands in the carbon code',
    `prefix` LowCardinality(String) COMMENT 'Prefix of the carbon code',
    `at` DateTime64(3, 'UTC') COMMENT 'Event time; values outside 1900 to 2299 are shown as the nearest bound' CODEC(DoubleDelta, ZSTD),
    `value` Int64 COMMENT 'Value in units of 10^-scale of unit' CODEC(Delta, ZSTD),
    `scale` UInt8 COMMENT 'Decimal places of value',
    `unit` LowCardinality(String) COMMENT 'Unit; empty for an unknown point',
    `flag` LowCardinality(String) COMMENT 'HJ 212 data flag, or X for what is not a number',
    `reason` LowCardinality(String) COMMENT 'Rule that refused the reading; empty for a valid one',
    `hash` FixedString(16) COMMENT 'First 16 bytes of the evidence leaf hash' CODEC(NONE),
    `partition` UInt32 COMMENT 'Partition of readings.coded that it came from' CODEC(Delta, ZSTD),
    `offset` UInt64 COMMENT 'Offset in that partition' CODEC(Delta, ZSTD),
    `code` String ALIAS if(object = '', '', concat(
        prefix, '/', subject, '.', object, '.', formatDateTime(at, '%Y%m%dT%H%i%S', 'UTC'),
        if(toUnixTimestamp64Milli(at) % 1000 = 0, '', leftPad(toString(toUnixTimestamp64Milli(at) % 1000), 3, '0')),
        'Z.', lower(hex(hash)))) COMMENT 'Carbon code of the reading; empty for an unknown point',
    PROJECTION packets (SELECT gateway, run, sequence, partition, max(offset) GROUP BY gateway, run, sequence, partition)
)
ENGINE = MergeTree
ORDER BY (point, at)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Every reading of every verified packet, once, valid or refused';
