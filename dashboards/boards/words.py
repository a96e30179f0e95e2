"""What the dashboards' queries and columns have in common."""

from dashboards.model import BLUE, GREEN, GREY, ORANGE, RED, TIME, YELLOW, Column, Link, Variable

OFFSET = "(SELECT any(utc_offset_minutes) FROM channels)"
LOCAL = f"toIntervalMinute({OFFSET})"
"""What is added to a time so that its day, month and year are those of the channel's clock."""
FILLED = "WITH FILL FROM toDate($__fromTime) TO toDate($__toTime) + 1"
"""Days without a row count 0."""
SUBJECT, YEAR = "${subject:sqlstring}", "toInt32(${year:sqlstring})"

RECORDED = (
    Variable("first", "First", "SELECT toUnixTimestamp64Milli(min(window_start)) FROM records", hidden=True),
    Variable(
        "last",
        "Last",
        "SELECT toUnixTimestamp64Milli(max(window_start)) + 1000 * max(window_seconds) FROM records",
        hidden=True,
    ),
)
"""The time that the records span, ms UTC."""
BLOCK_TIMES = (
    Variable("first", "First", "SELECT toUnixTimestamp64Milli(min(time)) FROM blocks", hidden=True),
    Variable("last", "Last", "SELECT toUnixTimestamp64Milli(max(time)) + 60000 FROM blocks", hidden=True),
)
"""The time in which the blocks were made, ms UTC: in a replay that of the run."""

TO_SUBJECT = Link("The account", "cl-enterprise", "subject", "subject")
TO_RECORD = Link("Look it up: the record, its evidence, its block", "cl-record", "code", "code")
SUBJECT_COLUMN = Column(link=TO_SUBJECT, width=150)
CODE = Column(link=TO_RECORD, width=320)
WHEN = Column(unit=TIME, width=170)

LEVELS = {
    "none": GREEN,
    "notice": BLUE,
    "warning": ORANGE,
    "exceeded": RED,
    "critical": RED,
    "used up": RED,
}
SEVERITIES = {"info": BLUE, "warning": ORANGE, "critical": RED}
COLOURS = {"green": GREEN, "yellow": YELLOW, "orange": ORANGE, "red": RED, "grey": GREY}


def counted(rows: str, order: str, total: str) -> str:
    """The first 100 rows in an order, and behind them one that says how many there are: also when there is none."""
    first = f"SELECT *, 0 AS last FROM ({rows} ORDER BY {order} LIMIT 100)"
    return f"SELECT * EXCEPT last FROM ({first} UNION ALL SELECT *, 1 FROM ({total})) ORDER BY last, {order}"


NEWEST = "SELECT * FROM forecasts WHERE year = {year} ORDER BY at DESC LIMIT 1 BY subject"


def newest(year: str) -> str:
    """The newest outlook of every subject in a year, as a subquery."""
    return f"({NEWEST.format(year=year)})"


def level(kind: str) -> str:
    """The level of early warning of a kind, in a row of forecasts; none when there is none."""
    return f"if(levels['{kind}'] = '', 'none', levels['{kind}'])"


BALANCE_LEVEL = level("balance_short")
PLAN_LEVEL = level("plan_exceeded")
RUNS_OUT = (
    "multiIf(available_g IS NULL, 'no allowances', available_g <= 0, 'used up', exhausted_at IS NULL, "
    "concat('not in ', toString(year)), {day})"
)


def day(column: str) -> str:
    """The day that ends at a time, by the channel's clock."""
    return f"toString(toDate({column} + {LOCAL} - toIntervalSecond(1)))"
