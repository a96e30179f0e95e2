"""A parent company: its subsidiaries while they are its own."""

from dashboards.boards.words import (
    BALANCE_LEVEL,
    LEVELS,
    LOCAL,
    PLAN_LEVEL,
    RECORDED,
    RUNS_OUT,
    SEVERITIES,
    SUBJECT_COLUMN,
    YEAR,
    counted,
    day,
    newest,
)
from dashboards.model import GREEN, ORANGE, PERCENT, RED, TEXT, TONNES, Board, Column, Panel, Variable

GROUP = "${group:sqlstring}"
GROUPS = "SELECT DISTINCT arrayJoin(owners) AS owner FROM subjects ORDER BY owner"
YEARS = "SELECT DISTINCT year FROM balances WHERE kind = 'emissions' ORDER BY year DESC"
OWNED = f"(SELECT subject, `start` AS since, `end` AS until FROM subjects WHERE has(owners, {GROUP}))"
NOW_OWNED = f"(SELECT subject FROM subjects WHERE has(owners, {GROUP}) AND `end` = (SELECT max(`end`) FROM subjects))"
EMISSIONS = (
    f"(SELECT e.* FROM emissions AS e INNER JOIN {OWNED} AS o ON o.subject = e.subject "
    "WHERE e.start >= o.since AND e.start < o.until AND e.scope > 0)"
)
OUTLOOKS = f"(SELECT * FROM {newest(YEAR)} WHERE subject IN {NOW_OWNED})"
OF_YEAR = f"toYear(start + {LOCAL}) = {YEAR}"

SUBSIDIARIES = Panel(
    "Subsidiaries now",
    "Subjects whose line of owners leads to this company, by the newest registry.",
    "stat",
    f"SELECT uniqExact(subject) AS subsidiaries FROM {NOW_OWNED}",
)
EMITTED = Panel(
    "Emitted in the year",
    "By all subsidiaries, each while it was this company's own: one that was sold counts up to that day.",
    "stat",
    f"SELECT sum(emission_g) / 1e6 AS emitted FROM {EMISSIONS} WHERE {OF_YEAR}",
    TONNES,
)
AVAILABLE = Panel(
    "Allowances available",
    "The sum of what its present subsidiaries have available at the end of the last whole day of each.",
    "stat",
    f"SELECT sum(coalesce(available_g, 0)) / 1e6 AS available FROM {OUTLOOKS}",
    TONNES,
    steps=((float("-1e18"), RED), (0.000001, GREEN)),
)
AGAINST_PLAN = Panel(
    "Against the plans so far",
    "Emitted by its present subsidiaries, above (+) or below (-) their plans up to the last whole day of each.",
    "stat",
    "SELECT round(100 * (sumIf(emitted_g, planned_so_far_g > 0) / nullIf(sum(coalesce(planned_so_far_g, 0)), 0) - "
    "1), 1) "
    f"AS difference FROM {OUTLOOKS}",
    PERCENT,
    decimals=1,
    steps=((0.0, ORANGE), (5.0, RED)),
    none="no plans",
)
SHORT = Panel(
    "Subsidiaries that run short",
    "Those whose balance is at the level warning, critical or used up.",
    "stat",
    f"SELECT countIf({BALANCE_LEVEL} IN ('warning', 'critical', 'used up')) AS short FROM {OUTLOOKS}",
    steps=((1.0, RED),),
)
OVER = Panel(
    "Subsidiaries above plan",
    "Those that will exceed their plan as forecast (80 % likely), or have.",
    "stat",
    f"SELECT countIf({PLAN_LEVEL} != 'none') AS over FROM {OUTLOOKS}",
    steps=((1.0, ORANGE),),
)
DAILY = Panel(
    "Emission by day and subsidiary",
    "Each subsidiary while it was this company's own.",
    "timeseries",
    f"SELECT toDate(start + {LOCAL}) AS time, subject AS series, sum(emission_g) / 1e6 AS value FROM {EMISSIONS} "
    "WHERE $__timeFilter_ms(start) GROUP BY time, series ORDER BY time, series",
    TONNES,
    width=14,
    height=9,
    stacked=True,
    bars=True,
    split=True,
)
BY_MONTH = Panel(
    "Planned and emitted by month",
    "The newest plans of its present subsidiaries beside what counts on the ledger, by the channel's clock.",
    "barchart",
    f"SELECT concat(toString({YEAR}), '-', leftPad(toString(m), 2, '0')) AS month, sum(planned_g) / 1e6 AS planned, "
    "sum(emitted_g) / 1e6 AS emitted FROM ("
    f"SELECT month AS m, emission_g AS planned_g, 0 AS emitted_g FROM plans WHERE year = {YEAR} AND subject IN "
    f"{NOW_OWNED} "
    f"UNION ALL SELECT toMonth(start + {LOCAL}) AS m, 0 AS planned_g, emission_g AS emitted_g FROM {EMISSIONS} "
    f"WHERE {OF_YEAR}) GROUP BY m ORDER BY m",
    TONNES,
    width=10,
    height=9,
)
TABLE = Panel(
    "Subsidiaries",
    "At the end of the last whole day of each. Follow a name to its account.",
    "table",
    "SELECT subject, emitted_g / 1e6 AS emitted, planned_so_far_g / 1e6 AS planned, "
    "round(100 * (emitted_g / nullIf(planned_so_far_g, 0) - 1), 1) AS difference, year_end_g / 1e6 AS forecast, "
    f'available_g / 1e6 AS available, {RUNS_OUT.format(day=day("exhausted_at"))} AS "runs out", '
    f"{BALANCE_LEVEL} AS balance, {PLAN_LEVEL} AS plan FROM {OUTLOOKS} ORDER BY emitted DESC",
    width=24,
    height=8,
    columns={
        "subject": SUBJECT_COLUMN,
        **dict.fromkeys(("emitted", "planned", "forecast", "available"), Column(unit=TONNES)),
        "difference": Column(unit=PERCENT),
        "balance": Column(colours=LEVELS),
        "plan": Column(colours=LEVELS),
    },
)
WARNINGS = Panel(
    "Early warnings told to this company",
    "The newest 100. The row without a day says how many there were.",
    "table",
    counted(
        "SELECT toString(toDate(at)) AS day, about AS subject, kind, level, severity, text FROM warnings WHERE told "
        f"= {GROUP}",
        "day DESC",
        "SELECT '', '', 'all', '', '', concat(toString(count()), ' warnings so far') FROM warnings WHERE told = "
        f"{GROUP}",
    ),
    TEXT,
    width=24,
    height=8,
    columns={
        "subject": SUBJECT_COLUMN,
        "severity": Column(colours=SEVERITIES),
        "level": Column(colours=LEVELS),
    },
)

BOARD = Board(
    "cl-group",
    "Parent group",
    "The subsidiaries of a parent company: who emits, against which plan, and whose allowances run out.",
    (Variable("group", "Parent company", GROUPS), Variable("year", "Compliance year", YEARS), *RECORDED),
    (
        (SUBSIDIARIES, EMITTED, AVAILABLE, AGAINST_PLAN, SHORT, OVER),
        (DAILY, BY_MONTH),
        (TABLE,),
        (WARNINGS,),
    ),
)
