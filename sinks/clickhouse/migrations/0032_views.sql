-- Told every ten seconds; of each view of each member the first and the last time stays.
CREATE TABLE IF NOT EXISTS member_views_log
(
    `epoch` UInt32 COMMENT 'Epoch of the committee',
    `view` UInt64 COMMENT 'View',
    `member` LowCardinality(String) COMMENT 'Name of the member',
    `first` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'When it was seen in it first, by the clock of the machine',
    `last` SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'When it was seen in it last'
)
ENGINE = AggregatingMergeTree
ORDER BY (epoch, view, member)
SETTINGS non_replicated_deduplication_window = 100
COMMENT 'Views of members as they were read; ask member_views';

CREATE VIEW IF NOT EXISTS member_views AS
SELECT * FROM member_views_log FINAL
COMMENT 'In which view each member was from when to when, by its own account, looked at every ten seconds';

-- A member may be in an epoch that the ledger, as far as it was read, doesn't tell of yet: who leads is then not known.
CREATE VIEW IF NOT EXISTS view_changes AS
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

-- Blocks from before the column have none.
ALTER TABLE blocks ADD COLUMN IF NOT EXISTS
    `published` Nullable(DateTime64(3, 'UTC')) COMMENT 'When the broker got it, as it was read first';
