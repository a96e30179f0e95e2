-- Rows from before this column say nothing about it: they stay empty.
ALTER TABLE readings ADD COLUMN IF NOT EXISTS
    `gateway_kind` LowCardinality(String) DEFAULT '' COMMENT 'Kind of the gateway that signed; intake and attester attest only what they received; empty where it is not known'
    AFTER gateway;
ALTER TABLE records ADD COLUMN IF NOT EXISTS
    `gateway_kind` LowCardinality(String) DEFAULT '' COMMENT 'Kind of the gateway that signed the evidence; intake and attester attest only what they received; empty where it is not known'
    AFTER evidence;
