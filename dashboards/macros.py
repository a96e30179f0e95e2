"""What Grafana and its ClickHouse plugin put in place of macros and variables, for whoever asks without them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CALL = re.compile(r"\$__(timeFilter_ms|timeFilter|dateFilter)\(([^()]+)\)")
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")


@dataclass(frozen=True)
class Range:
    """The time shown, ms UTC."""

    start: int
    end: int


def expand(sql: str, shown: Range, values: Mapping[str, str]) -> str:
    """The statement that ClickHouse is asked. Raises KeyError for a variable without a value."""
    sql = _CALL.sub(lambda call: _filter(call[1], call[2], shown), sql)
    sql = sql.replace("$__fromTime", f"toDateTime({shown.start // 1000})")
    sql = sql.replace("$__toTime", f"toDateTime({shown.end // 1000})")
    return _VARIABLE.sub(lambda found: _quoted(values[found[1]]), sql)


def _filter(macro: str, column: str, shown: Range) -> str:
    if macro == "dateFilter":
        start, end = (f"toDate(fromUnixTimestamp64Milli({at}))" for at in (shown.start, shown.end))
    elif macro == "timeFilter":
        start, end = (f"toDateTime({at // 1000})" for at in (shown.start, shown.end))
    else:
        start, end = (f"fromUnixTimestamp64Milli({at})" for at in (shown.start, shown.end))
    return f"({column} >= {start} AND {column} <= {end})"


def _quoted(text: str) -> str:
    """Grafana's format `sqlstring`: quotes doubled. A backslash would escape in ClickHouse, and no value has one."""
    return "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
