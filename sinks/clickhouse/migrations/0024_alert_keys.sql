-- Alerts from before these columns have no key: an id of its own stands for each.
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS
    `key` String COMMENT 'What it is about: the same in every alert on one trouble, and in the one that says it is over; empty in alerts from before keys' CODEC(ZSTD);
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS
    `resolved` Bool COMMENT 'Whether what the key names is over';
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS
    `since` Nullable(DateTime64(3, 'UTC')) COMMENT 'Since when it holds, where that is not its event time';
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS
    `figures` Map(LowCardinality(String), String) COMMENT 'The figures that made it, each with its unit at the end of its name';
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS
    `proof` String COMMENT 'The command that shows the datum with its proof; empty without one' CODEC(ZSTD);

CREATE OR REPLACE VIEW alerts AS
SELECT * FROM alerts_log FINAL
COMMENT 'What somebody should know, or that it is over, once each';
