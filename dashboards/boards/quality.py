"""The quality of the data: what arrived, what was refused and why, what is missing or unusual, and what was charged."""

from dashboards.boards.words import CODE, FILLED, LOCAL, OFFSET, RECORDED, SEVERITIES, WHEN, counted
from dashboards.model import COUNT, ORANGE, PERCENT, RED, TEXT, YELLOW, Board, Column, Panel, Variable

SUBJECT = "${subject:sqlstring}"
SUBJECTS = (
    "SELECT subject FROM (SELECT 'all' AS subject, 0 AS place UNION ALL SELECT DISTINCT subject, 1 FROM records "
    "WHERE subject != '') ORDER BY place, subject"
)
MINE = f"({SUBJECT} = 'all' OR subject = {SUBJECT})"
MY_POINTS = f"({SUBJECT} = 'all' OR point IN (SELECT DISTINCT point FROM records WHERE subject = {SUBJECT}))"
TOTALS = 'count() AS hours, countIf(counts) AS "still count", round(sumIf(emission_g, counts) / 1e6, 3) AS tonnes'
GAP_KINDS = "'coverage', 'substituted', 'packets_missing', 'equivocation'"
READ, RECORDED_IN = "$__timeFilter_ms(at)", "$__timeFilter_ms(window_start)"
VALID_DAYS = f"(SELECT * FROM valid_days(utc_offset_minutes = {OFFSET}))"

READINGS = Panel(
    "Readings",
    "Of verified packets in the time shown, valid or refused.",
    "stat",
    f"SELECT count() AS readings FROM readings WHERE {MINE} AND {READ}",
)
REFUSED = Panel(
    "Refused readings",
    "Share of the readings in the time shown that a rule refused.",
    "stat",
    f"SELECT round(100 * countIf(reason != '') / greatest(count(), 1), 3) AS refused FROM readings WHERE {MINE} AND "
    f"{READ}",
    PERCENT,
    decimals=3,
    steps=((0.1, YELLOW), (1.0, RED)),
)
COVERAGE = Panel(
    "Coverage",
    "Readings counted by the records of the time shown, of those that full windows hold.",
    "stat",
    "SELECT round(100 * sum(count) / greatest(sum(expected), 1), 3) AS coverage FROM records_latest "
    f"WHERE {MINE} AND {RECORDED_IN}",
    PERCENT,
    decimals=2,
    steps=((0.0, RED), (90.0, ORANGE), (99.0, "green")),
)
SUBSTITUTED = Panel(
    "Substituted hours",
    "Hours in the time shown that are charged by a tier, because too few readings came.",
    "stat",
    f"SELECT count() AS hours FROM substituted WHERE {MINE} AND counts AND {RECORDED_IN}",
    steps=((1.0, ORANGE),),
)
CORRECTED = Panel(
    "Corrected hours",
    "Records of the time shown whose window has a newer version: late readings, or another factor.",
    "stat",
    f"SELECT countIf(version > 1) AS corrected FROM records_latest WHERE {MINE} AND {RECORDED_IN}",
)
GAPS = Panel(
    "Alerts on gaps",
    "Windows with readings missing, and packets that a gateway's chain lacks, in the time shown.",
    "stat",
    "SELECT countIf(NOT resolved) AS alerts FROM alerts WHERE kind IN ('coverage', 'packets_missing') "
    f"AND {MINE} AND {READ}",
    steps=((1.0, ORANGE),),
)
BY_DAY = Panel(
    "Readings by day",
    "Valid and refused.",
    "timeseries",
    f"SELECT toDate(at + {LOCAL}) AS time, countIf(reason = '') AS valid, countIf(reason != '') AS refused FROM "
    "readings "
    f"WHERE {MINE} AND {READ} GROUP BY time ORDER BY time {FILLED}",
    width=12,
    height=8,
    stacked=True,
    bars=True,
    columns={"valid": Column(colour="blue"), "refused": Column(colour="red")},
)
REASONS = Panel(
    "Refusals by reason",
    "Readings and whole messages that were refused since the beginning, each once. The reason is the rule that "
    "refused it.",
    "barchart",
    "SELECT reason, sum(refusals) AS refusals FROM (SELECT reason, count() AS refusals FROM rejections "
    f"WHERE {MY_POINTS} GROUP BY reason UNION ALL SELECT 'none', 0) GROUP BY reason "
    "ORDER BY refusals DESC",
    width=12,
    height=8,
)
COVERAGE_BY_DAY = Panel(
    "Coverage by day",
    "The mean over the points, and the worst point of each day.",
    "timeseries",
    "SELECT day AS time, 100 * sum(counted) / sum(wanted) AS mean, 100 * min(counted / wanted) AS worst FROM ("
    f"SELECT toDate(window_start + {LOCAL}) AS day, point, sum(count) AS counted, greatest(sum(expected), 1) AS wanted "
    f"FROM records_latest WHERE {MINE} AND {RECORDED_IN} GROUP BY day, point) GROUP BY day ORDER BY day",
    PERCENT,
    width=12,
    height=8,
    columns={"mean": Column(colour="blue"), "worst": Column(colour="orange")},
)
POINTS = Panel(
    "Points",
    "Days by HJ 212-2017: a day is valid with 20 hours of which 45 minutes were measured. The worst points come first.",
    "table",
    'SELECT point, any(d.subject) AS subject, count() AS days, countIf(NOT valid) AS "invalid days", '
    'sum(hours) AS hours, sum(valid_hours) AS "valid hours", sum(substituted_hours) AS substituted, max(day) AS newest '
    f'FROM {VALID_DAYS} AS d WHERE {MINE.replace("subject =", "d.subject =")} GROUP BY point ORDER BY "invalid days" '
    "DESC, substituted DESC, point",
    width=12,
    height=8,
    columns={name: Column(unit=COUNT) for name in ("days", "invalid days", "hours", "valid hours", "substituted")},
)
TIERS = Panel(
    "Substitutions by tier",
    "Hours that were ever charged by a tier, and those of them that still count. The row `all` is their sum.",
    "table",
    counted(
        f"SELECT tier, {TOTALS} FROM substituted WHERE {MINE} GROUP BY tier",
        "hours DESC",
        f"SELECT 'all', {TOTALS} FROM substituted WHERE {MINE}",
    ),
    width=8,
    height=8,
)
LAST = Panel(
    "Newest refusals",
    "The last 100, with the sentence of the rule. The row `all` says how many there were.",
    "table",
    counted(
        f"SELECT at, reason, point, gateway, stage, detail, code FROM rejections WHERE {MY_POINTS}",
        "at DESC",
        f"SELECT NULL, 'all', '', '', '', concat(toString(count()), ' so far'), '' FROM rejections WHERE {MY_POINTS}",
    ),
    TEXT,
    width=24,
    height=8,
    columns={"at": WHEN},
)
INCOMPLETE = Panel(
    "Incomplete windows and gaps",
    "The last 100 alerts on missing readings and packets; follow a code to the record. The row `all` counts them.",
    "table",
    counted(
        f"SELECT at, kind, severity, point, text, code FROM alerts WHERE kind IN ({GAP_KINDS}) AND {MINE}",
        "at DESC",
        "SELECT NULL, 'all', '', '', concat(toString(count()), ' so far'), '' FROM alerts "
        f"WHERE kind IN ({GAP_KINDS}) AND {MINE}",
    ),
    TEXT,
    width=16,
    height=8,
    columns={"at": WHEN, "severity": Column(colours=SEVERITIES), "code": CODE},
)

ANOMALY_KINDS = Panel(
    "Anomalies by kind",
    "Invariants of points that broke in the time shown, as the detectors told, and those of them that are still "
    "broken. They are statistics: no record hangs on them.",
    "barchart",
    'SELECT kind, sum(told) AS told, sum(open) AS "still open" FROM (SELECT kind, count() AS told, '
    "countIf(id IN (SELECT id FROM anomalies_open)) AS open "
    f"FROM anomalies WHERE NOT resolved AND {MINE} AND {READ} GROUP BY kind "
    "UNION ALL SELECT 'none', 0, 0) GROUP BY kind ORDER BY told DESC, kind",
    width=8,
    height=9,
    columns={"told": Column(colour="blue"), "still open": Column(colour="orange")},
)
FIGURES = (
    "arrayStringConcat(arrayMap(x -> concat(replaceAll(x.1, '_', ' '), ' ', x.2), "
    "CAST(figures, 'Array(Tuple(String, String))')), ', ')"
)
SAID = (
    "LEFT JOIN (SELECT anomaly, argMax(concat(said, ' by ', party), leaf_index) AS said FROM assessments "
    "GROUP BY anomaly) AS s ON s.anomaly = o.id"
)
RECORD_THEN = (
    "(SELECT point, window_start, window_seconds, code FROM records_latest "
    "WHERE point IN (SELECT point FROM anomalies_open))"
)
OPEN = Panel(
    "Open anomalies",
    "The newest 100 that are not over: which invariant is broken, since when, the figures, how often in 30 days such a "
    "value is to be expected without a fault, and what was said of it last by a signed submission. The code leads to "
    "the record of the reading that told. The row `all` counts them.",
    "table",
    counted(
        'SELECT a.since AS since, kind, a.point AS point, invariant, figures, "in 30 days", said, '
        "if(at < r.window_start + toIntervalSecond(r.window_seconds), r.code, '') AS code FROM "
        f"(SELECT since, at, kind, point, invariant, {FIGURES} AS figures, "
        f'toNullable(round(per_month, 3)) AS "in 30 days", said FROM anomalies_open AS o {SAID} WHERE {MINE}) AS a '
        f"ASOF LEFT JOIN {RECORD_THEN} AS r ON r.point = a.point AND r.window_start <= a.at",
        "since DESC, point, kind",
        "SELECT NULL, 'all', '', '', concat(toString(count()), ' open'), NULL, '', '' "
        f"FROM anomalies_open WHERE {MINE}",
    ),
    TEXT,
    width=24,
    height=8,
    columns={"since": WHEN, "in 30 days": Column(unit="none", width=90), "code": CODE},
)

BY_KIND = Panel(
    "Alerts by day and severity",
    "Of all kinds about the subject, by their event time.",
    "timeseries",
    f"SELECT toDate(at + {LOCAL}) AS time, countIf(severity = 'critical') AS critical, countIf(severity = 'warning') "
    "AS "
    f"warning, countIf(severity = 'info') AS info FROM alerts WHERE {MINE} AND {READ} GROUP BY time ORDER BY time "
    f"{FILLED}",
    width=16,
    height=9,
    bars=True,
    stacked=True,
    columns={name: Column(colour=colour) for name, colour in SEVERITIES.items()},
)
BOARD = Board(
    "cl-quality",
    "Data quality",
    "What arrived, what was refused and why, what is missing or unusual, and what was charged for it.",
    (Variable("subject", "Subject", SUBJECTS), *RECORDED),
    (
        (READINGS, REFUSED, COVERAGE, SUBSTITUTED, CORRECTED, GAPS),
        (BY_DAY, REASONS),
        (COVERAGE_BY_DAY, POINTS),
        (TIERS, INCOMPLETE),
        (LAST,),
        (OPEN,),
        (ANOMALY_KINDS, BY_KIND),
    ),
)
