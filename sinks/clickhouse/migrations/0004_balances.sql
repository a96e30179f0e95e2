-- A later height replaces an earlier one of the same account; the view shows the last, merged or not.
CREATE TABLE IF NOT EXISTS balances_log
(
    `account` String COMMENT 'Account, <class>:<subject>',
    `subject` LowCardinality(String) COMMENT 'Subject id',
    `debit_g` Int64 COMMENT 'Sum of debits, g CO2e',
    `credit_g` Int64 COMMENT 'Sum of credits, g CO2e',
    `balance` Int64 COMMENT 'debit_g - credit_g, g CO2e',
    `records` UInt64 COMMENT 'Records posted',
    `height` UInt64 COMMENT 'Height of the last block that changed it',
    `partition` UInt32 COMMENT 'Partition of accounts.balances',
    `offset` UInt64 COMMENT 'Offset in that partition'
)
ENGINE = ReplacingMergeTree(height)
ORDER BY account
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Balances as they were read; ask balances';

CREATE VIEW IF NOT EXISTS balances AS
SELECT * FROM balances_log FINAL
COMMENT 'The balance of every account after the last block that changed it';
