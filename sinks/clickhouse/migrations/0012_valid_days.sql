CREATE VIEW IF NOT EXISTS valid_hours AS
SELECT
    point, subject, window_start, count, expected,
    count > 0 AND 60 * count >= 45 * expected AS valid, cause = 'SUBSTITUTED' AS substituted, height, leaf_index, code
FROM records_latest
WHERE window_seconds = 3600
COMMENT 'Every hour, and whether 45 of its 60 minutes were measured (HJ 212-2017, D.2.2, equation 24)';

CREATE VIEW IF NOT EXISTS valid_days AS
SELECT
    point, subject, toDate(window_start + toIntervalMinute({utc_offset_minutes:Int32})) AS day,
    count() AS hours, countIf(h.valid) AS valid_hours, countIf(h.substituted) AS substituted_hours,
    countIf(h.valid) >= 20 AS valid
FROM valid_hours AS h
GROUP BY point, subject, day;
