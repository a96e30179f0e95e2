"""The health of the pipeline: what has arrived in the tables, how fast, and what went wrong on the way."""

from dashboards.boards.words import FILLED, LOCAL, SEVERITIES, WHEN, counted
from dashboards.model import BLUE, COUNT, GREEN, ORANGE, RED, SECONDS, TEXT, TIME, Board, Column, Panel, Variable

ATTEMPTS = (
    "countIf(outcome = 'delivered') AS delivered, countIf(outcome = 'failed') AS failed, countIf(outcome = 'dead') "
    "AS dead, "
    "quantileExact(0.95)(duration_ms) AS slow, max(at) AS newest"
)
LOOKS = tuple(
    Variable(
        name,
        label,
        f"SELECT toUnixTimestamp64Milli(if(count() = 0, (SELECT {pick}(time) FROM blocks), {pick}(at))) + 60000 * "
        f"{minutes} "
        "FROM health",
        hidden=True,
    )
    for name, label, pick, minutes in (("first", "First", "min", 0), ("last", "Last", "max", 1))
)
"""The time over which the pipeline was looked at, or the blocks were made where it wasn't, ms UTC."""
LOGGED = "$__timeFilter_ms(at)"

READINGS = Panel("Readings", "In the tables.", "stat", "SELECT count() AS readings FROM readings")
RECORDS = Panel(
    "Records", "In the tables, every version, refused ones too.", "stat", "SELECT count() AS records FROM records"
)
BLOCKS = Panel(
    "Blocks", "In the tables, verified before they were written.", "stat", "SELECT count() AS blocks FROM blocks"
)
NEWEST = Panel(
    "Newest record",
    "The end of the newest window on the ledger. Behind the clock by more than the window and its lateness: something "
    "on the way holds it back.",
    "stat",
    "SELECT toUnixTimestamp64Milli(max(window_start)) + 1000 * max(window_seconds) AS newest FROM records",
    TIME,
)
ERRORS = Panel(
    "Messages that the sink could not take",
    "Each is kept with its place and the reason.",
    "stat",
    "SELECT count() AS errors FROM sink_errors",
    steps=((1.0, RED),),
)
UNREADABLE = Panel(
    "Refused messages",
    "Whole messages that were refused: not a packet, a wrong signature, an unknown gateway.",
    "stat",
    "SELECT count() AS messages FROM rejections WHERE `index` = -1",
    steps=((1.0, RED),),
)
THROUGHPUT = Panel(
    "Records by block time",
    "Records and submissions that the committee certified, by minute of block time while any came.",
    "timeseries",
    "SELECT toStartOfMinute(time) AS minute, sum(records) AS leaves FROM blocks GROUP BY minute ORDER BY minute",
    width=12,
    height=8,
    bars=True,
    columns={"leaves": Column(colour="blue")},
)
BY_GATEWAY = Panel(
    "Gateways",
    "Packets and readings of each, and its newest reading: one that is far behind the others is down or cut off.",
    "table",
    "SELECT gateway, any(gateway_kind) AS kind, uniqExact(run, sequence) AS packets, count() AS readings, "
    "countIf(reason != '') AS refused, max(at) AS newest FROM readings GROUP BY gateway ORDER BY newest, gateway",
    width=12,
    height=8,
    columns={"newest": WHEN, **dict.fromkeys(("packets", "readings", "refused"), Column(unit=COUNT))},
)
TROUBLES = Panel(
    "Messages that the sink could not take",
    "The last 100, with the topic's place to read them at. The row `all` counts them.",
    "table",
    counted(
        "SELECT topic, `partition`, offset, reason FROM sink_errors",
        "topic, `partition`, offset DESC",
        "SELECT 'all', 0, 0, concat(toString(count()), ' so far') FROM sink_errors",
    ),
    TEXT,
    width=24,
    height=8,
    columns={"partition": Column(unit="none"), "offset": Column(unit="none")},
)

LAG = Panel(
    "Waiting messages by process",
    "Messages of all topics that a process has not done, every ten seconds. The row of the committee is batches that "
    "the "
    "ledger doesn't show yet.",
    "timeseries",
    "SELECT toStartOfInterval(at, INTERVAL 10 second) AS time, process AS series, sum(waiting) AS value FROM health "
    f"WHERE {LOGGED} AND waiting IS NOT NULL GROUP BY time, series ORDER BY time, series",
    width=12,
    height=8,
    split=True,
)
SPEED = Panel(
    "Messages a second by process",
    "What each process has done since the look before, over all its topics.",
    "timeseries",
    "SELECT toStartOfInterval(at, INTERVAL 10 second) AS time, process AS series, round(sum(per_second), 2) AS value "
    f"FROM health WHERE {LOGGED} AND per_second IS NOT NULL GROUP BY time, series ORDER BY time, series",
    "suffix: /s",
    width=12,
    height=8,
    split=True,
)
PROCESSES = Panel(
    "Processes and topics now",
    "Each process with each topic that it reads, as it stood last: what waits, how long the oldest has, and restarts. "
    "Those that are not ready come first.",
    "table",
    "SELECT process, topic, state, restarts, waiting, oldest_seconds AS oldest, round(per_second, 1) AS per_second, at "
    "FROM health WHERE (process, at) IN (SELECT process, max(at) FROM health GROUP BY process) "
    "ORDER BY state IN ('ready', ''), process, topic",
    width=14,
    height=9,
    columns={
        "oldest": Column(unit=SECONDS),
        "at": WHEN,
        "state": Column(
            colours={"ready": GREEN, "starting": BLUE, "waiting": ORANGE, "stopping": ORANGE, "stopped": RED}
        ),
    },
)
REFUSALS = Panel(
    "Refusals by stage",
    "What was refused anywhere on the way since the beginning, by the stage that refused it.",
    "barchart",
    "SELECT stage, sum(refusals) AS refusals FROM (SELECT stage, count() AS refusals FROM errors GROUP BY stage "
    "UNION ALL "
    "SELECT arrayJoin(['intake', 'ingest', 'aggregate', 'committee', 'sink']), 0) GROUP BY stage ORDER BY stage",
    width=10,
    height=9,
)
GOES_ON = (
    "(SELECT * FROM (SELECT * FROM alerts WHERE kind IN ('process_down', 'messages_wait', 'readings_rejected', "
    "'messages_rejected') ORDER BY offset DESC LIMIT 1 BY key) WHERE NOT resolved)"
)
FAULTS = Panel(
    "Faults that go on",
    "Processes that are not ready, messages that wait too long, and refusals that come thick, from when they are told "
    "until they are over. The row without a time counts them.",
    "table",
    counted(
        f"SELECT since, kind, severity, text FROM {GOES_ON}",
        "since DESC, text",
        f"SELECT NULL, 'all', '', concat(toString(count()), ' go on') FROM {GOES_ON}",
    ),
    TEXT,
    width=24,
    height=7,
    columns={"since": WHEN, "kind": Column(width=160), "severity": Column(colours=SEVERITIES, width=100)},
)
ENDPOINTS = Panel(
    "Webhooks",
    "Each subscription: events delivered, attempts that failed, events that were given up and can be replayed, and the "
    "slowest answer of one in twenty. The row `all` sums them up.",
    "table",
    counted(
        f"SELECT subscription, {ATTEMPTS} FROM deliveries GROUP BY subscription",
        "dead DESC, failed DESC, subscription",
        f"SELECT 'all', {ATTEMPTS} FROM deliveries",
    ),
    width=14,
    height=8,
    columns={"slow": Column(unit="ms"), "newest": WHEN},
)
UNDELIVERED = Panel(
    "Attempts that failed by day",
    "Attempts to deliver an event to a webhook that will be made again, and events that were given up.",
    "timeseries",
    f"SELECT toDate(at + {LOCAL}) AS time, countIf(outcome = 'failed') AS failed, countIf(outcome = 'dead') AS dead "
    f"FROM deliveries WHERE {LOGGED} GROUP BY time ORDER BY time {FILLED}",
    width=10,
    height=8,
    bars=True,
    columns={"failed": Column(colour="orange"), "dead": Column(colour="red")},
)

BOARD = Board(
    "cl-health",
    "Pipeline health",
    "What has arrived in the tables, how fast, and what went wrong on the way.",
    LOOKS,
    (
        (READINGS, RECORDS, BLOCKS, NEWEST, ERRORS, UNREADABLE),
        (THROUGHPUT, BY_GATEWAY),
        (LAG, SPEED),
        (PROCESSES, REFUSALS),
        (FAULTS,),
        (ENDPOINTS, UNDELIVERED),
        (TROUBLES,),
    ),
)
