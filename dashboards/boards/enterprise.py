"""An enterprise's carbon account: what it has, what it emits against its plan, when it runs out, and why."""

from dashboards.boards.words import (
    BALANCE_LEVEL,
    CODE,
    FILLED,
    LEVELS,
    LOCAL,
    PLAN_LEVEL,
    RECORDED,
    RUNS_OUT,
    SEVERITIES,
    SUBJECT,
    WHEN,
    YEAR,
    counted,
    day,
    newest,
)
from dashboards.model import (
    COUNT,
    DAYS,
    GREEN,
    ORANGE,
    PERCENT,
    RED,
    TEXT,
    TONNES,
    Board,
    Column,
    Panel,
    Variable,
)

SUBJECTS = "SELECT DISTINCT subject FROM balances WHERE kind = 'emissions' ORDER BY subject"
YEARS = f"SELECT DISTINCT year FROM balances WHERE kind = 'emissions' AND subject = {SUBJECT} ORDER BY year DESC"
OUTLOOK = f"(SELECT * FROM {newest(YEAR)} WHERE subject = {SUBJECT})"
RANGE = f"subject = {SUBJECT} AND $__timeFilter_ms(start)"
TOLD = f"about = {SUBJECT} AND told = {SUBJECT}"
MONTHS = f"toMonth(start + {LOCAL})"

AVAILABLE = Panel(
    "Allowances available",
    "Allowances held of this year's vintage and before, less all that was emitted and not yet surrendered, at the "
    "end of "
    "the last day that all sources told whole.",
    "stat",
    f"SELECT available_g / 1e6 AS available FROM {OUTLOOK}",
    TONNES,
    steps=((float("-1e18"), RED), (0.000001, GREEN)),
    none="no allowances",
)
EMITTED = Panel(
    "Emitted in the year",
    "What counts on the ledger for the year: window records, corrections and filed bills.",
    "stat",
    f"SELECT sum(held) / 1e6 AS emitted FROM balances WHERE subject = {SUBJECT} AND year = {YEAR} "
    "AND kind IN ('emissions', 'corrections')",
    TONNES,
)
AGAINST_PLAN = Panel(
    "Against the plan so far",
    "Emitted up to the last whole day, above (+) or below (-) what the subject's newest plan has up to that day.",
    "stat",
    f"SELECT round(100 * (emitted_g / nullIf(planned_so_far_g, 0) - 1), 1) AS difference FROM {OUTLOOK}",
    PERCENT,
    decimals=1,
    steps=((0.0, ORANGE), (5.0, RED)),
    none="no plan",
)
YEAR_END = Panel(
    "The whole year as forecast",
    "A statistic, which posts nothing: the year's emission, and between which bounds it lies with a likelihood of 80 "
    "%.",
    "stat",
    'SELECT year_end_g / 1e6 AS forecast, low_80_g / 1e6 AS "80 % at least", high_80_g / 1e6 AS "80 % at most" '
    f"FROM {OUTLOOK}",
    TONNES,
    columns={"forecast": Column(), "80 % at least": Column(), "80 % at most": Column()},
    none="no forecast yet",
)
EXHAUSTION = Panel(
    "Allowances run out",
    "The end of the day on which the available allowances are used up as forecast, and the days before and after which "
    "that isn't likely (80 %).",
    "stat",
    f"SELECT {RUNS_OUT.format(day=day('exhausted_at'))} AS forecast, "
    f"if(exhausted_early IS NULL, '-', {day('exhausted_early')}) AS \"not before\", "
    f"if(exhausted_late IS NULL, '-', {day('exhausted_late')}) AS \"not after\" FROM {OUTLOOK}",
    TEXT,
    columns={"forecast": Column(), "not before": Column(), "not after": Column()},
)
WARNING_LEVEL = Panel(
    "Early warning",
    "The level that is held now: of a balance that runs out, and of a plan that is exceeded.",
    "stat",
    f"SELECT {BALANCE_LEVEL} AS balance, {PLAN_LEVEL} AS plan FROM {OUTLOOK}",
    TEXT,
    columns={"balance": Column(colours=LEVELS), "plan": Column(colours=LEVELS)},
)
COURSE = Panel(
    "Emitted, planned, and the whole year as forecast each day",
    "At the end of each day: emitted in the year so far, planned for as long, and the whole year as forecast then with "
    "its interval of 80 %, beside the plan for the year.",
    "timeseries",
    'SELECT at AS time, emitted_g / 1e6 AS emitted, planned_so_far_g / 1e6 AS "planned so far", '
    'plan_g / 1e6 AS "planned for the year", year_end_g / 1e6 AS "forecast for the year", '
    'high_80_g / 1e6 AS "80 % at most", low_80_g / 1e6 AS "80 % at least" '
    f"FROM forecasts WHERE subject = {SUBJECT} AND $__timeFilter_ms(at) ORDER BY time",
    TONNES,
    width=14,
    height=9,
    columns={
        "80 % at most": Column(band="80 % at least", colour="purple"),
        "80 % at least": Column(colour="purple"),
        "forecast for the year": Column(colour="purple"),
        "emitted": Column(colour="orange"),
        "planned so far": Column(colour="green"),
        "planned for the year": Column(colour="semi-dark-green"),
    },
)
LASTS = "if(available_g <= 0, 0, dateDiff('day', at, coalesce({column}, over)))"
LASTING = Panel(
    "Days that the allowances last, as forecast each day",
    "From each day to the one on which the allowances are used up as forecast then, with its interval of 80 %. A day "
    "beyond the year counts as the year's end.",
    "timeseries",
    f"SELECT at AS time, {LASTS.format(column='exhausted_at')} AS lasting, "
    f'{LASTS.format(column="exhausted_late")} AS "not after", '
    f'{LASTS.format(column="exhausted_early")} AS "not before" '
    f"FROM (SELECT *, toDateTime64(makeDate(year + 1, 1, 1), 3, 'UTC') - {LOCAL} AS over FROM forecasts) "
    f"WHERE subject = {SUBJECT} AND $__timeFilter_ms(at) ORDER BY time",
    DAYS,
    width=10,
    height=9,
    columns={
        "not after": Column(band="not before", colour="purple"),
        "not before": Column(colour="purple"),
        "lasting": Column(colour="orange"),
    },
)
BY_MONTH = Panel(
    "Planned and emitted by month",
    "The newest plan beside what counts on the ledger for each month of the year, by the channel's clock. A bill "
    "counts "
    "in the month in which it begins.",
    "barchart",
    "SELECT concat(toString(m.year), '-', leftPad(toString(m.month), 2, '0')) AS month, "
    "any(p.planned) AS planned, any(e.emitted) AS emitted "
    f"FROM (SELECT {YEAR} AS year, arrayJoin(range(1, 13)) AS month) AS m "
    f"LEFT JOIN (SELECT month, sum(emission_g) / 1e6 AS planned FROM plans WHERE subject = {SUBJECT} AND year = {YEAR} "
    "GROUP BY month) AS p ON p.month = m.month "
    f"LEFT JOIN (SELECT {MONTHS} AS month, sum(emission_g) / 1e6 AS emitted FROM emissions WHERE subject = {SUBJECT} "
    f"AND toYear(start + {LOCAL}) = {YEAR} AND scope > 0 GROUP BY month) AS e ON e.month = m.month "
    "GROUP BY m.year, m.month ORDER BY month",
    TONNES,
    width=14,
    height=8,
)
STRUCTURE = Panel(
    "Structure of the year's emission",
    "By source, gas and scope. Scope 0 is biogenic CO2, which is told and not counted.",
    "barchart",
    "SELECT concat(source, ' ', gas, ', scope ', toString(scope)) AS source, sum(emission_g) / 1e6 AS emitted "
    f"FROM emissions WHERE subject = {SUBJECT} AND toYear(start + {LOCAL}) = {YEAR} GROUP BY source, gas, scope "
    "ORDER BY emitted DESC",
    TONNES,
    width=10,
    height=8,
)
FIGURES = Panel(
    "Structure in figures",
    "The year's emission with what stands beside it and is added to nothing: standard coal, and purchased "
    "electricity by "
    "location, which counts, and by market where a contract or residual factor is declared.",
    "table",
    'SELECT source, gas, scope, sum(e.emission_g) / 1e6 AS emitted, sum(e.standard_coal_g) / 1e6 AS "standard coal", '
    'sum(e.location_based_g) / 1e6 AS "location based", sum(e.market_based_g) / 1e6 AS "market based" '
    f"FROM emissions AS e WHERE subject = {SUBJECT} AND toYear(start + {LOCAL}) = {YEAR} GROUP BY source, gas, scope "
    "ORDER BY scope, source",
    width=24,
    height=5,
    columns={
        "scope": Column(unit="none"),
        **dict.fromkeys(("emitted", "location based", "market based"), Column(unit=TONNES)),
        "standard coal": Column(unit="si:t"),
    },
)
DAILY = Panel(
    "Emission by day",
    "What was measured, and what was charged for hours with too few readings.",
    "timeseries",
    f"SELECT toDate(start + {LOCAL}) AS time, sumIf(e.emission_g, e.measured) / 1e6 AS measured, "
    f"sumIf(e.emission_g, NOT e.measured) / 1e6 AS substituted FROM emissions AS e WHERE {RANGE} AND point NOT IN "
    "(SELECT JSONExtractString(content, 'source') FROM submissions WHERE kind = 'activity') "
    f"GROUP BY time ORDER BY time {FILLED}",
    TONNES,
    width=14,
    height=8,
    stacked=True,
    bars=True,
    columns={"measured": Column(colour="blue"), "substituted": Column(colour="red")},
)
POINTS = Panel(
    "Metering points",
    "Each point's emission in the time shown, how much of it was measured, and its newest record: follow the code.",
    "table",
    "SELECT point, round(sum(r.emission_g) / 1e6, 3) AS tonnes, "
    "round(100 * sum(r.count) / nullIf(sum(r.expected), 0), 2) AS coverage, "
    "countIf(r.cause = 'SUBSTITUTED') AS substituted, argMax(r.code, r.window_start) AS code "
    f"FROM records_latest AS r WHERE subject = {SUBJECT} AND $__timeFilter_ms(window_start) GROUP BY point ORDER BY "
    "point",
    width=10,
    height=8,
    columns={
        "tonnes": Column(unit=TONNES, width=110),
        "coverage": Column(unit=PERCENT, width=90),
        "substituted": Column(unit=COUNT, width=100),
        "code": CODE,
    },
)
STATEMENT = Panel(
    "Statement",
    "The last 200 postings to this subject's accounts, the newest first: what a submission posted, and what a block's "
    "window records posted together. Amounts in t of CO2e, whole credits or CNY, as `unit` says.",
    "table",
    "SELECT time, splitByChar(':', account)[1] AS account, cause, counterparty, records, "
    "round(debit / divisor, 3) AS debited, round(credit / divisor, 3) AS credited, round(balance / divisor, 3) AS "
    "held, "
    "told AS unit, code FROM (SELECT *, transform(unit, ['g', 'fen'], [1e6, 100.], 1.) AS divisor, "
    "transform(unit, ['g', 'fen'], ['t CO2e', 'CNY'], 'credits') AS told FROM postings) "
    f"WHERE subject = {SUBJECT} ORDER BY height DESC, place DESC LIMIT 200",
    width=24,
    height=9,
    columns={"time": WHEN, "code": CODE},
)
WARNINGS = Panel(
    "Early warnings",
    "Every level that was reached or left, whom it is about and who was told, with the figures that made it. The row "
    "without a day says how many there were.",
    "table",
    counted(
        f"SELECT toString(toDate(at)) AS day, kind, level, severity, text FROM warnings WHERE {TOLD}",
        "day DESC",
        f"SELECT '', 'all', '', '', concat(toString(count()), ' warnings so far') FROM warnings WHERE {TOLD}",
    ),
    TEXT,
    width=14,
    height=8,
    columns={"severity": Column(colours=SEVERITIES), "level": Column(colours=LEVELS)},
)
RECORDS = Panel(
    "Newest records",
    "The last 100 hours of all points. Follow a code to the record, the packets that it rests on, and its block.",
    "table",
    "SELECT window_start, point, round(emission_g / 1e6, 3) AS tonnes, round(100 * coverage, 1) AS coverage, cause, "
    f"version, code FROM records_latest WHERE subject = {SUBJECT} ORDER BY window_start DESC, point LIMIT 100",
    width=10,
    height=8,
    columns={"window_start": WHEN, "tonnes": Column(unit=TONNES), "coverage": Column(unit=PERCENT), "code": CODE},
)

BOARD = Board(
    "cl-enterprise",
    "Enterprise account",
    "The carbon account of one enterprise: balance, plan against actual, when the allowances run out, and the records "
    "behind every figure.",
    (Variable("subject", "Enterprise", SUBJECTS), Variable("year", "Compliance year", YEARS), *RECORDED),
    (
        (AVAILABLE, EMITTED, AGAINST_PLAN, YEAR_END, EXHAUSTION, WARNING_LEVEL),
        (COURSE, LASTING),
        (BY_MONTH, STRUCTURE),
        (FIGURES,),
        (DAILY, POINTS),
        (WARNINGS, RECORDS),
        (STATEMENT,),
    ),
)
