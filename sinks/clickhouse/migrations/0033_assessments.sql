CREATE VIEW IF NOT EXISTS assessments AS
SELECT
    JSONExtractString(content, 'anomaly') AS anomaly, lower(JSONExtractString(content, 'verdict')) AS said,
    JSONExtractString(content, 'reason') AS why, party, subject, JSONExtractString(content, 'point') AS point, time, code, leaf_index
FROM submissions WHERE kind = 'assessment' AND verdict = 'accepted'
COMMENT 'What people said of anomalies, by the id under which each was raised';
