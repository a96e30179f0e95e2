ALTER TABLE records COMMENT COLUMN `cause` 'WINDOW, LATE, FACTOR, SUBSTITUTED or MEASURED: why the record was made';

CREATE VIEW IF NOT EXISTS substituted AS
SELECT
    point, subject, window_start, version, count, expected, quantity, scale, unit, emission_g,
    splitByString(' · tier ', rule)[-1] AS tier, version = newest AS counts, height, leaf_index, code
FROM
(
    SELECT *, code, max(version) OVER (PARTITION BY point, window_start) AS newest
    FROM records WHERE verdict = 'accepted'
)
WHERE cause = 'SUBSTITUTED'
COMMENT 'Every hour that was ever charged by a tier, and whether that still counts or was measured later';
