-- Plain views, rebuilt from their base at each question: an incremental one is not safe from a crash.
CREATE VIEW IF NOT EXISTS hours AS
SELECT
    subject, point, toStartOfHour(window_start) AS start, unit, scale, count() AS windows, sum(count) AS count,
    sum(expected) AS expected, sum(quantity) AS quantity, sum(emission_g) AS emission_g,
    countIf(cause = 'SUBSTITUTED') AS substituted
FROM records_latest
GROUP BY subject, point, start, unit, scale
COMMENT 'What counts now, by point and the hour in which its windows start';

CREATE VIEW IF NOT EXISTS days AS
SELECT
    subject, point, toDate(window_start + toIntervalMinute({utc_offset_minutes:Int32})) AS day, unit, scale,
    count() AS windows, sum(count) AS count, sum(expected) AS expected, sum(quantity) AS quantity,
    sum(emission_g) AS emission_g, countIf(cause = 'SUBSTITUTED') AS substituted
FROM records_latest
GROUP BY subject, point, day, unit, scale;

CREATE VIEW IF NOT EXISTS months AS
SELECT
    subject, point, toStartOfMonth(toDate(window_start + toIntervalMinute({utc_offset_minutes:Int32}))) AS month, unit, scale,
    count() AS windows, sum(count) AS count, sum(expected) AS expected, sum(quantity) AS quantity,
    sum(emission_g) AS emission_g, countIf(cause = 'SUBSTITUTED') AS substituted
FROM records_latest
GROUP BY subject, point, month, unit, scale;

CREATE VIEW IF NOT EXISTS reading_hours AS
SELECT
    subject, point, toStartOfHour(at) AS start, unit, scale, count() AS readings, countIf(reason != '') AS refused,
    countIf(reason = '' AND flag = 'N') AS normal, sumIf(value, reason = '') AS total,
    if(countIf(reason = '') = 0, NULL, minIf(value, reason = '')) AS low,
    if(countIf(reason = '') = 0, NULL, maxIf(value, reason = '')) AS high
FROM readings
GROUP BY subject, point, start, unit, scale
COMMENT 'Readings by point and hour; total, low and high are of those that no rule refused, in units of 10^-scale of unit';

CREATE VIEW IF NOT EXISTS statements AS
SELECT
    account, subject, kind, unit, row_number() OVER account_lines AS line, time, height, place, cause, counterparty, records,
    lagInFrame(balance, 1, toInt64(0)) OVER account_lines AS before, debit, credit, balance, corrects, takes_back, code
FROM postings
WINDOW account_lines AS (PARTITION BY account ORDER BY height, place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
COMMENT 'The statement of every account: its lines in order, with what it held before and after each';

CREATE VIEW IF NOT EXISTS statement_months AS
SELECT
    account, subject, kind, unit, toStartOfMonth(toDate(time + toIntervalMinute({utc_offset_minutes:Int32}))) AS month,
    argMin(before, line) AS opening, sum(debit) AS debits, sum(credit) AS credits, argMax(balance, line) AS closing, count() AS lines
FROM statements
GROUP BY account, subject, kind, unit, month;
