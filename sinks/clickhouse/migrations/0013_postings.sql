-- A block that is verified again after a crash brings the same rows again, which replace themselves.
CREATE TABLE IF NOT EXISTS postings_log
(
    `height` UInt64 COMMENT 'Height of the block' CODEC(Delta, ZSTD),
    `time` DateTime64(3, 'UTC') COMMENT 'Time of the block' CODEC(DoubleDelta, ZSTD),
    `place` UInt32 COMMENT 'Which of the block''s rows' CODEC(Delta, ZSTD),
    `account` String COMMENT 'Account, <class>:<subject>:<parts>' CODEC(ZSTD),
    `subject` LowCardinality(String) COMMENT 'Subject id; empty for an account of the whole market',
    `kind` LowCardinality(String) COMMENT 'Class of the account: allowances, emissions …',
    `unit` LowCardinality(String) COMMENT 'g of CO2e, t for whole offset credits, fen for 0.01 CNY',
    `cause` LowCardinality(String) COMMENT 'Kind of the submission; record for all window records of the block together',
    `counterparty` LowCardinality(String) COMMENT 'The other side of a transfer, else the party that stated it; empty for records',
    `records` UInt32 COMMENT 'Records or submissions behind the row',
    `debit` Int64 COMMENT 'Debited, in unit',
    `credit` Int64 COMMENT 'Credited, in unit',
    `balance` Int64 COMMENT 'What the account holds after it, on the side on which its class grows, in unit',
    `corrects` Nullable(Int32) COMMENT 'Closed year that a submission belongs to',
    `takes_back` Nullable(UInt64) COMMENT 'Number of the party''s submission that it takes back',
    `leaf_index` Nullable(UInt64) COMMENT 'Place of the submission in the log; null for records',
    `code` String COMMENT 'Carbon code of the submission; empty for records' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (height, place)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Postings as they were made; ask postings';

CREATE VIEW IF NOT EXISTS postings AS
SELECT * FROM postings_log FINAL
COMMENT 'Every posting of a submission, and of window records what a block posted to an account';

CREATE TABLE IF NOT EXISTS ledger_book
(
    `channel` String COMMENT 'Digest of the channel''s genesis, hex',
    `height` UInt64 COMMENT 'Height after which it stands',
    `book` String COMMENT 'The book of submissions, its lines in the replicated state' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (channel, height)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'What the sink goes on posting from; a row for each height at which it changed';

ALTER TABLE submissions_log ADD COLUMN IF NOT EXISTS
    `code` String COMMENT 'Carbon code of the submission; empty for what is none' CODEC(ZSTD) AFTER content;
CREATE OR REPLACE VIEW submissions AS
SELECT * FROM submissions_log FINAL
COMMENT 'Every submission of the ledger, accepted and rejected';

ALTER TABLE balances_log ADD COLUMN IF NOT EXISTS
    `kind` LowCardinality(String) DEFAULT '' COMMENT 'Class of the account; empty in rows from before the column' AFTER subject;
ALTER TABLE balances_log ADD COLUMN IF NOT EXISTS
    `unit` LowCardinality(String) DEFAULT 'g' COMMENT 'g of CO2e, t for whole offset credits, fen for 0.01 CNY' AFTER kind;
ALTER TABLE balances_log ADD COLUMN IF NOT EXISTS
    `year` Nullable(Int32) COMMENT 'Compliance year or vintage' AFTER unit;
ALTER TABLE balances_log ADD COLUMN IF NOT EXISTS
    `detail` String COMMENT 'Kind of source, offset scheme or purpose; empty without one' AFTER year;
ALTER TABLE balances_log ADD COLUMN IF NOT EXISTS
    `held` Int64 DEFAULT balance COMMENT 'What it holds, on the side on which its class grows, in unit' AFTER balance;
ALTER TABLE balances_log COMMENT COLUMN `debit_g` 'Sum of debits, in unit';
ALTER TABLE balances_log COMMENT COLUMN `credit_g` 'Sum of credits, in unit';
ALTER TABLE balances_log COMMENT COLUMN `balance` 'debit_g - credit_g, in unit';
ALTER TABLE balances_log COMMENT COLUMN `records` 'Records and submissions posted';
CREATE OR REPLACE VIEW balances AS
SELECT * FROM balances_log FINAL
COMMENT 'The balance of every account after the last block that changed it';
