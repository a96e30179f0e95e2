"""The committee: who certifies, how fast, who lags behind, and what was found against whom."""

from dashboards.boards.words import BLOCK_TIMES, FILLED, LOCAL, SEVERITIES, WHEN, counted
from dashboards.model import COUNT, ORANGE, PERCENT, RED, SECONDS, TEXT, TIME, Board, Column, Panel

EVIDENCE = "'two_pre_prepares', 'two_prepares', 'two_commits', 'two_verdicts', 'wrong_verdict', 'fork'"
"""The kinds of alert that a piece of evidence makes."""
IN_RANGE = "$__timeFilter_ms(time)"
SIGNED = f"(SELECT height, time, arrayJoin(signers) AS member FROM blocks WHERE {IN_RANGE})"

HEIGHT = Panel(
    "Height", "The newest certified block.", "stat", "SELECT max(height) AS height FROM blocks", "none", width=3
)
NEWEST = Panel(
    "Newest block",
    "Its time as the committee agreed on it. In a replay that is the time of the run, not of the readings.",
    "stat",
    "SELECT toUnixTimestamp64Milli(max(time)) AS newest FROM blocks",
    TIME,
    width=5,
)
ACCEPTED = Panel(
    "Accepted",
    "Records and submissions accepted since the genesis.",
    "stat",
    "SELECT max(accepted) AS accepted FROM blocks",
    width=3,
)
REJECTED = Panel(
    "Rejected",
    "Records and submissions refused since the genesis. They stand on the ledger with the reason.",
    "stat",
    "SELECT max(rejected) AS rejected FROM blocks",
    width=3,
    steps=((1.0, ORANGE),),
)
FOUND = Panel(
    "Evidence against members",
    "Proven deeds such as two votes at one place, each once whoever found it: `carbonledger evidence list`.",
    "stat",
    f"SELECT count() AS deeds FROM alerts WHERE kind IN ({EVIDENCE})",
    steps=((1.0, RED),),
)
EPOCH = Panel(
    "Epoch", "How often the committee has changed.", "stat", "SELECT max(epoch) AS epoch FROM blocks", "none", width=3
)
CHANGED = Panel(
    "View changes",
    "How often the committee took another primary, since the tables were begun: it does where the one that leads is "
    "down, slow or lies.",
    "stat",
    "SELECT sum(changes) AS changes FROM view_changes",
    width=3,
    steps=((1.0, ORANGE),),
)
MEMBERS = Panel(
    "Members",
    "Of the newest committee: how many of the blocks in the time shown bear a member's signature, the last that "
    "does, and "
    "how many have come since. A certificate needs five of seven: who signs none for long is down or cut off.",
    "table",
    "SELECT m.index AS place, m.member AS member, m.role AS role, countIf(s.height > 0) AS signed, "
    f"round(100 * countIf(s.height > 0) / nullIf((SELECT count() FROM blocks WHERE {IN_RANGE}), 0), 1) AS share, "
    "max(s.height) AS newest, (SELECT max(height) FROM blocks) - max(s.height) AS since "
    "FROM (SELECT * FROM members FINAL WHERE epoch = (SELECT max(epoch) FROM blocks)) AS m "
    f"LEFT JOIN {SIGNED} AS s ON s.member = m.member GROUP BY m.index, m.member, m.role ORDER BY place",
    width=14,
    height=9,
    columns={
        "share": Column(unit=PERCENT),
        "place": Column(width=70),
        "newest": Column(unit="none"),
        "since": Column(unit=COUNT),
    },
)
VERDICTS = Panel(
    "Certificates and verdicts by member",
    "In the time shown: blocks whose certificate bears a member's signature, and its signed verdicts on batches that "
    "were "
    "kept with the blocks. A certificate takes a quorum and no more, so a healthy member may be missing from some.",
    "barchart",
    "SELECT member, countIf(certified) AS certificates, sum(endorsements) AS verdicts FROM votes "
    f"WHERE {IN_RANGE} GROUP BY member ORDER BY member",
    width=14,
    height=8,
)
TWENTIETH = (
    "toStartOfInterval(time, INTERVAL greatest(1, intDiv(dateDiff('second', $__fromTime, $__toTime), 20)) second)"
)
INTERVAL = Panel(
    "Time between blocks",
    "Median and slowest in each twentieth of the time shown, at least a second, by the times that the committee "
    "agreed on.",
    "timeseries",
    f"SELECT {TWENTIETH} AS bucket, quantileExact(0.5)(took) AS median, max(took) AS slowest FROM (SELECT time, "
    "(toUnixTimestamp64Milli(time) - toUnixTimestamp64Milli(lagInFrame(time, 1, time) OVER (ORDER BY height))) / 1000 "
    f"AS took FROM blocks) WHERE {IN_RANGE} GROUP BY bucket ORDER BY bucket",
    SECONDS,
    width=10,
    height=9,
    columns={"median": Column(colour="blue"), "slowest": Column(colour="orange")},
)
LATENCY = Panel(
    "Block latency",
    "From the primary's proposal, whose time is that of the block, to its certified block on the topic by the broker's "
    "clock. Median, one in twenty, and slowest in each twentieth of the time shown, at least a second.",
    "timeseries",
    f"SELECT {TWENTIETH} AS bucket, quantileExact(0.5)(took) AS median, quantileExact(0.95)(took) AS "
    '"one in twenty", max(took) AS slowest FROM (SELECT time, '
    "(toUnixTimestamp64Milli(published) - toUnixTimestamp64Milli(time)) / 1000 AS took FROM blocks "
    f"WHERE published IS NOT NULL AND {IN_RANGE}) GROUP BY bucket ORDER BY bucket",
    SECONDS,
    width=10,
    height=8,
    columns={
        "median": Column(colour="blue"),
        "one in twenty": Column(colour="orange"),
        "slowest": Column(colour="red"),
    },
)
VIEWS = Panel(
    "Changes of the view",
    "Which member leads since when, the newest block then, and which members were seen to go along, looked at every "
    "ten seconds and by their own account. Views that nobody was seen in count too. The row without a time says how "
    "many views were passed.",
    "table",
    counted(
        "SELECT at, toNullable(epoch) AS epoch, toNullable(view) AS view, leads, toNullable(height) AS height, "
        "arrayStringConcat(members, ', ') AS members FROM view_changes",
        "at DESC",
        "SELECT NULL, NULL, NULL, 'all', NULL, concat(toString(sum(changes)), ' so far') FROM view_changes",
    ),
    "none",
    width=24,
    height=6,
    columns={"at": WHEN, "leads": Column(width=120)} | {name: Column(width=90) for name in ("epoch", "view", "height")},
)
RECORDS = Panel(
    "Records and submissions in each block",
    "What each block of the time shown holds, accepted or refused.",
    "timeseries",
    f"SELECT time, records AS leaves FROM blocks WHERE {IN_RANGE} ORDER BY height",
    width=14,
    height=8,
    columns={"leaves": Column(colour="blue")},
)
PER_DAY = Panel(
    "Alerts about the committee by day",
    "Evidence against members, and records that members refused.",
    "timeseries",
    f"SELECT toDate(at + {LOCAL}) AS time, countIf(kind IN ({EVIDENCE})) AS evidence, "
    "countIf(kind = 'record_refused') AS \"records refused\" "
    f"FROM alerts WHERE $__timeFilter_ms(at) GROUP BY time ORDER BY time {FILLED}",
    width=10,
    height=8,
    bars=True,
    columns={"evidence": Column(colour="red"), "records refused": Column(colour="orange")},
)
ALERTS = Panel(
    "What was found",
    "Each piece of evidence and each refused record, the newest first. The row without a time says how many there "
    "were.",
    "table",
    counted(
        f"SELECT at, kind, severity, text FROM alerts WHERE kind IN ({EVIDENCE}, 'record_refused')",
        "at DESC",
        "SELECT NULL, 'all', '', concat(toString(count()), ' so far') FROM alerts "
        f"WHERE kind IN ({EVIDENCE}, 'record_refused')",
    ),
    TEXT,
    width=12,
    height=8,
    columns={"at": WHEN, "severity": Column(colours=SEVERITIES)},
)
BLOCKS = Panel(
    "Newest blocks",
    "The last 50, with who signed the checkpoint.",
    "table",
    "SELECT height, time, records, tree_size, arrayStringConcat(signers, ', ') AS signers FROM blocks "
    "ORDER BY height DESC LIMIT 50",
    "none",
    width=12,
    height=8,
    columns={"time": WHEN, "height": Column(width=80), "records": Column(width=80)},
)

BOARD = Board(
    "cl-committee",
    "Committee",
    "The members of the committee, the blocks that they certify, and the evidence against them.",
    BLOCK_TIMES,
    (
        (HEIGHT, NEWEST, ACCEPTED, REJECTED, FOUND, EPOCH, CHANGED),
        (MEMBERS, INTERVAL),
        (RECORDS, LATENCY),
        (VERDICTS, PER_DAY),
        (VIEWS,),
        (ALERTS, BLOCKS),
    ),
)
