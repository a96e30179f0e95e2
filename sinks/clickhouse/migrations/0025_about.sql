-- Who may see a submission is judged as of what it is about. Of rows from before the column that is not known.
ALTER TABLE submissions_log ADD COLUMN IF NOT EXISTS
    `about` DateTime64(3, 'UTC') DEFAULT time COMMENT 'Last instant of the period or year that it is about; the time of its block where it is about none' AFTER kind;
CREATE OR REPLACE VIEW submissions AS
SELECT * EXCEPT payload FROM submissions_log FINAL
COMMENT 'Every submission of the ledger, accepted and rejected';
