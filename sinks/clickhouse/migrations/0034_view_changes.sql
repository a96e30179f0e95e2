-- A member may be in an epoch that the ledger, as far as it was read, doesn't tell of yet: who leads is then not known.
CREATE OR REPLACE VIEW view_changes AS
SELECT
    changed.at AS at, changed.epoch AS epoch, changed.view AS view, changed.changes AS changes,
    committee.names[changed.view % greatest(length(committee.names), 1) + 1] AS leads, changed.members AS members,
    block.height AS height
FROM
(
    SELECT *, view - lagInFrame(view, 1, toUInt64(0)) OVER (PARTITION BY epoch ORDER BY view) AS changes
    FROM (SELECT epoch, view, min(first) AS at, arraySort(groupArray(member)) AS members FROM member_views GROUP BY epoch, view)
) AS changed
LEFT JOIN
(
    SELECT epoch, groupArray(member) AS names
    FROM (SELECT epoch, `index`, any(member) AS member FROM members GROUP BY epoch, `index` ORDER BY epoch, `index`) GROUP BY epoch
) AS committee ON committee.epoch = changed.epoch
ASOF LEFT JOIN blocks AS block ON block.epoch = changed.epoch AND block.time <= changed.at
WHERE changed.changes > 0
COMMENT 'Changes of the view: which member leads since, who was seen in it, the newest block then; changes: how many views were passed';
