"""A regulator's region: totals, ranking, intensity, who runs short, and measures for heavy pollution."""

from dashboards.boards.words import (
    BALANCE_LEVEL,
    COLOURS,
    FILLED,
    LEVELS,
    LOCAL,
    RECORDED,
    RUNS_OUT,
    SEVERITIES,
    SUBJECT_COLUMN,
    WHEN,
    YEAR,
    counted,
    day,
    newest,
)
from dashboards.model import GREEN, ORANGE, PERCENT, RED, TONNES, YELLOW, Board, Column, Panel, Variable

REGION = "${region:sqlstring}"
REGIONS = "SELECT DISTINCT arrayJoin(regions) AS region FROM subjects ORDER BY region"
YEARS = "SELECT DISTINCT year FROM balances WHERE kind = 'emissions' ORDER BY year DESC"
INSIDE = f"(SELECT subject FROM subjects WHERE has(regions, {REGION}))"
EMISSIONS = (
    "(SELECT e.* FROM emissions AS e INNER JOIN (SELECT subject, `start` AS since, `end` AS until FROM subjects "
    f"WHERE has(regions, {REGION})) AS o ON o.subject = e.subject "
    "WHERE e.start >= o.since AND e.start < o.until AND e.scope > 0)"
)
OF_YEAR = f"toYear(start + {LOCAL}) = {YEAR}"
OUTLOOKS = f"(SELECT * FROM {newest(YEAR)} WHERE subject IN {INSIDE})"
STANDS = (
    "verdict = 'accepted' AND (party, number) NOT IN (SELECT party, JSONExtractUInt(content, 'number') FROM "
    "submissions "
    "WHERE kind = 'reversal' AND verdict = 'accepted')"
)
ALERTED = f"kind = 'weather' AND {STANDS} AND JSONExtractString(content, 'region') = {REGION}"
VALUES = (
    "(SELECT subject, fromUnixTimestamp64Milli(JSONExtractInt(content, 'start'), 'UTC') AS since, "
    "fromUnixTimestamp64Milli(JSONExtractInt(content, 'end'), 'UTC') AS until, "
    f"JSONExtractInt(content, 'amount_fen') AS fen FROM submissions WHERE kind = 'gdp' AND {STANDS} "
    f"AND subject IN {INSIDE} AND toYear(since + {LOCAL}) = {YEAR})"
)
OUTPUTS = (
    "(SELECT subject, JSONExtractString(content, 'product') AS product, JSONExtractString(content, 'unit') AS unit, "
    "fromUnixTimestamp64Milli(JSONExtractInt(content, 'start'), 'UTC') AS since, "
    "fromUnixTimestamp64Milli(JSONExtractInt(content, 'end'), 'UTC') AS until, "
    "JSONExtractInt(content, 'quantity') / exp10(JSONExtractInt(content, 'scale')) AS quantity "
    f"FROM submissions WHERE kind = 'output' AND {STANDS} AND subject IN {INSIDE} "
    f"AND toYear(since + {LOCAL}) = {YEAR})"
)

EMITTERS = Panel(
    "Emitting subjects",
    "Subjects of the region with emissions on the ledger in the year.",
    "stat",
    f"SELECT uniqExact(subject) AS subjects FROM {EMISSIONS} WHERE {OF_YEAR}",
)
EMITTED = Panel(
    "Emitted in the year",
    "By all subjects, each while it lay in the region. Scope 2 of one may be scope 1 of another: both are in it.",
    "stat",
    f"SELECT sum(emission_g) / 1e6 AS emitted FROM {EMISSIONS} WHERE {OF_YEAR}",
    TONNES,
)
ALLOCATED = Panel(
    "Allowances held",
    "By all subjects of the region, of this year's vintage.",
    "stat",
    f"SELECT sum(held) / 1e6 AS held FROM balances WHERE kind IN ('allowances', 'banked') AND year = {YEAR} "
    f"AND subject IN {INSIDE}",
    TONNES,
)
INTENSITY = Panel(
    "Carbon intensity",
    "t of CO2e for 10,000 CNY of value added, over the subjects and periods for which value added is stated.",
    "stat",
    "SELECT round(sum(e.emission_g) / 1e6 / nullIf((SELECT sum(fen) / 1e6 FROM "
    f"{VALUES}), 0), 3) AS intensity FROM {EMISSIONS} AS e INNER JOIN {VALUES} AS v ON v.subject = e.subject "
    "WHERE e.start >= v.since AND e.start < v.until",
    "suffix: t / 10,000 CNY",
    decimals=3,
    none="no value added stated",
)
SHORT = Panel(
    "Subjects that run short",
    "Those whose balance is at the level warning, critical or used up.",
    "stat",
    f"SELECT countIf({BALANCE_LEVEL} IN ('warning', 'critical', 'used up')) AS short FROM {OUTLOOKS}",
    steps=((1.0, RED),),
)
MEASURED_NOW = Panel(
    "Alerts for heavy pollution",
    "Recorded in the year: each names its level, its period, and what every subject may emit.",
    "stat",
    f"SELECT count() AS alerts FROM submissions WHERE {ALERTED} "
    f"AND toYear(fromUnixTimestamp64Milli(JSONExtractInt(content, 'start'), 'UTC') + {LOCAL}) = {YEAR}",
    steps=((1.0, ORANGE),),
)
DAILY = Panel(
    "Emission by day and source",
    "Of all subjects of the region, by source, gas and scope.",
    "timeseries",
    f"SELECT toDate(start + {LOCAL}) AS time, concat(source, ' ', gas, ', scope ', toString(scope)) AS series, "
    f"sum(emission_g) / 1e6 AS value FROM {EMISSIONS} WHERE $__timeFilter_ms(start) GROUP BY time, series "
    "ORDER BY time, series",
    TONNES,
    width=14,
    height=9,
    stacked=True,
    bars=True,
    split=True,
)
RANKING = Panel(
    "Ranking by emission",
    "The twenty subjects that emitted most in the year.",
    "barchart",
    f"SELECT subject, sum(emission_g) / 1e6 AS emitted FROM {EMISSIONS} WHERE {OF_YEAR} GROUP BY subject "
    "ORDER BY emitted DESC LIMIT 20",
    TONNES,
    width=10,
    height=9,
)
SUBJECTS = Panel(
    "Subjects",
    "Emitted in the year, its share of the region, intensity over the periods for which value added is stated, and "
    "the allowances at the end of the last whole day. Follow a name to its account.",
    "table",
    "SELECT e.subject AS subject, any(s.name) AS name, any(s.kind) AS kind, sum(e.emission_g) / 1e6 AS emitted, "
    "round(100 * sum(e.emission_g) / sum(sum(e.emission_g)) OVER (), 2) AS share, "
    "round(sumIf(e.emission_g, e.start >= v.since AND e.start < v.until) / 1e6 / nullIf(any(v.fen) / 1e6, 0), 3) "
    'AS "t / 10,000 CNY", any(f.available_g) / 1e6 AS available, any(f.runs_out) AS "runs out", '
    f"any(f.balance_level) AS balance FROM {EMISSIONS} AS e "
    "LEFT JOIN (SELECT subject, any(name) AS name, any(kind) AS kind FROM subjects GROUP BY subject) AS s "
    "ON s.subject = e.subject LEFT JOIN (SELECT subject, min(since) AS since, max(until) AS until, sum(fen) AS fen "
    "FROM "
    f"{VALUES} GROUP BY subject) AS v ON v.subject = e.subject "
    f"LEFT JOIN (SELECT subject, available_g, {RUNS_OUT.format(day=day('exhausted_at'))} AS runs_out, "
    f"{BALANCE_LEVEL} AS balance_level FROM {OUTLOOKS}) AS f ON f.subject = e.subject "
    f"WHERE toYear(e.start + {LOCAL}) = {YEAR} GROUP BY e.subject ORDER BY emitted DESC",
    width=24,
    height=9,
    columns={
        "subject": SUBJECT_COLUMN,
        "emitted": Column(unit=TONNES),
        "available": Column(unit=TONNES),
        "share": Column(unit=PERCENT),
        "balance": Column(colours=LEVELS),
    },
)
RATINGS = Panel(
    "Grades and colours",
    "The regulator's rating of each subject in the year and the figures that made it; grey while too little is "
    "known. Whose "
    "rules they are stands in each row: declared defaults are no official ones.",
    "table",
    "SELECT subject, colour, grade, emission_g / 1e6 AS emission, if(verified, 'yes', 'no') AS verified, product, "
    "g_per_unit, if(place IS NULL, '', concat(toString(place), ' of ', toString(`of`))) AS rank, t_per_10000_cny, "
    f"colour_why, grade_why, colour_standing AS rules FROM ratings WHERE region = {REGION} AND year = {YEAR} "
    "ORDER BY indexOf(['red', 'orange', 'yellow', 'green'], colour) = 0, "
    "indexOf(['red', 'orange', 'yellow', 'green'], colour), emission DESC",
    width=16,
    height=9,
    columns={
        "subject": SUBJECT_COLUMN,
        "colour": Column(colours=COLOURS, width=90),
        "grade": Column(colours={"A": GREEN, "B": YELLOW, "C": ORANGE, "D": RED}, width=80),
        "emission": Column(unit=TONNES),
    },
)
BY_COLOUR = Panel(
    "Subjects by colour",
    "How many subjects of the region have which colour in the year.",
    "barchart",
    "SELECT colour, sum(subjects) AS subjects FROM (SELECT colour, count() AS subjects FROM ratings "
    f"WHERE region = {REGION} AND year = {YEAR} GROUP BY colour UNION ALL "
    "SELECT arrayJoin(['green', 'yellow', 'orange', 'red', 'grey']), 0) GROUP BY colour "
    "ORDER BY indexOf(['green', 'yellow', 'orange', 'red', 'grey'], colour)",
    width=8,
    height=9,
)
PRODUCTS = Panel(
    "Intensity by product",
    "Emitted in the period of a stated output, for each unit of it. The row `all` says how many outputs are stated.",
    "table",
    counted(
        "SELECT o.subject AS subject, o.product AS product, toString(toDate(o.since)) AS start, sum(e.emission_g) / "
        "1e6 AS emitted, "
        "any(o.quantity) AS output, o.unit AS unit, round(sum(e.emission_g) / 1e3 / nullIf(any(o.quantity), 0), 3) "
        f'AS "kg CO2e a unit" FROM {OUTPUTS} AS o LEFT JOIN {EMISSIONS} AS e ON e.subject = o.subject '
        "WHERE e.start >= o.since AND e.start < o.until GROUP BY o.subject, o.product, o.unit, o.since",
        "subject, start",
        f"SELECT 'all', concat(toString(count()), ' outputs'), '', NULL, NULL, '', NULL FROM {OUTPUTS}",
    ),
    width=12,
    height=8,
    columns={"subject": SUBJECT_COLUMN, "emitted": Column(unit=TONNES)},
)
MEASURES = Panel(
    "Measures for heavy pollution",
    "What each subject may emit of what is usual for it while an alert lasts; 0 is a stop. The row `all` counts them.",
    "table",
    counted(
        "SELECT JSONExtractString(content, 'level') AS level, "
        "fromUnixTimestamp64Milli(JSONExtractInt(content, 'start'), 'UTC') AS start, "
        "fromUnixTimestamp64Milli(JSONExtractInt(content, 'end'), 'UTC') AS end, "
        "JSONExtractString(measure, 'subject') AS subject, JSONExtractString(measure, 'grade') AS grade, "
        "JSONExtractInt(measure, 'limit_percent') AS at_most, JSONExtractString(measure, 'reason') AS reason "
        "FROM (SELECT *, arrayJoin(JSONExtractArrayRaw(content, 'measures')) AS measure FROM submissions WHERE "
        f"{ALERTED})",
        "start DESC, subject",
        "SELECT 'all', NULL, NULL, '', '', NULL, concat(toString(count()), ' alerts so far') FROM submissions "
        f"WHERE {ALERTED}",
    ),
    width=12,
    height=8,
    columns={
        "level": Column(colours={"YELLOW": YELLOW, "ORANGE": ORANGE, "RED": RED}),
        "start": WHEN,
        "end": WHEN,
        "subject": SUBJECT_COLUMN,
        "grade": Column(colours={"A": GREEN, "B": YELLOW, "C": ORANGE, "D": RED}),
        "at_most": Column(unit=PERCENT),
    },
)
WARNINGS = Panel(
    "Early warnings by day",
    "Levels that were reached or left by subjects of the region, told to whomever.",
    "timeseries",
    f"SELECT toDate(at + {LOCAL} - toIntervalSecond(1)) AS time, uniqExactIf(id, severity = 'critical') AS critical, "
    "uniqExactIf(id, severity = 'warning') AS warning, uniqExactIf(id, severity = 'info') AS info "
    "FROM (SELECT *, concat(about, kind, level, toString(at)) AS id FROM warnings) "
    f"WHERE about IN {INSIDE} AND $__timeFilter_ms(at) GROUP BY time ORDER BY time {FILLED}",
    width=24,
    height=6,
    bars=True,
    stacked=True,
    columns={name: Column(colour=colour) for name, colour in SEVERITIES.items()},
)

BOARD = Board(
    "cl-region",
    "Regulator's region",
    "What a region emits: who most, for how much value and product, who runs short, and measures for heavy pollution.",
    (Variable("region", "Region", REGIONS), Variable("year", "Compliance year", YEARS), *RECORDED),
    (
        (EMITTERS, EMITTED, ALLOCATED, INTENSITY, SHORT, MEASURED_NOW),
        (DAILY, RANKING),
        (SUBJECTS,),
        (RATINGS, BY_COLOUR),
        (PRODUCTS, MEASURES),
        (WARNINGS,),
    ),
)
