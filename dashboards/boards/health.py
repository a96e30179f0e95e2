"""The health of the pipeline: what has arrived in the tables, how fast, and what went wrong on the way."""

from dashboards.boards.words import FILLED, LOCAL, RECORDED, SEVERITIES, WHEN, counted
from dashboards.model import COUNT, RED, TEXT, TIME, Board, Column, Panel

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
BY_KIND = Panel(
    "Alerts by day and severity",
    "Of all kinds, by their event time.",
    "timeseries",
    f"SELECT toDate(at + {LOCAL}) AS time, countIf(severity = 'critical') AS critical, countIf(severity = 'warning') "
    "AS "
    f"warning, countIf(severity = 'info') AS info FROM alerts WHERE {LOGGED} GROUP BY time ORDER BY time {FILLED}",
    width=12,
    height=8,
    bars=True,
    stacked=True,
    columns={name: Column(colour=colour) for name, colour in SEVERITIES.items()},
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
    width=12,
    height=8,
    columns={"partition": Column(unit="none"), "offset": Column(unit="none")},
)

BOARD = Board(
    "cl-health",
    "Pipeline health",
    "What has arrived in the tables, how fast, and what went wrong on the way.",
    RECORDED,
    (
        (READINGS, RECORDS, BLOCKS, NEWEST, ERRORS, UNREADABLE),
        (THROUGHPUT, BY_GATEWAY),
        (BY_KIND, TROUBLES),
    ),
)
