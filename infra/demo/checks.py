"""What must hold at the end of a demonstration, and the summary of it.

Counts come from the tables, from the ledger read with the genesis alone, and from what was declared: three ways to the
same figures.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import processes, verification
from infra.channel import Channel
from infra.demo.parameters import Parameters
from infra.demo.scenario import Expected
from infra.settings import Settings
from infra.verification import Report


@dataclass(frozen=True)
class Check:
    """One thing that must hold: what was wanted and what was found."""

    name: str
    wanted: Any
    found: Any

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return bool(self.wanted == self.found)


@dataclass(frozen=True)
class Summary:
    """The end of a run."""

    checks: list[Check]
    report: Report
    readings: int
    counted: int
    submissions: int
    rejected: dict[str, int]
    rejections: list[dict[str, Any]]
    gap: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether every check did."""
        return all(check.holds for check in self.checks)


def ask(settings: Settings, sql: str) -> list[dict[str, Any]]:
    """Rows of a query to the tables of the running sink. Raises QueryError while it starts.

    The embedded tables are never opened here: one process owns them, and that is the sink.
    """
    from sinks.clickhouse.query import QueryError, query, running_port

    url, folder = settings.clickhouse.get_secret_value(), settings.data / processes.STORES
    if not url and running_port(folder) is None:
        raise QueryError("the sink does not answer yet")
    answer = query(sql, folder, url, "JSONEachRow")
    return [json.loads(line) for line in answer.splitlines() if line]


def stored(settings: Settings) -> tuple[int, int]:
    """Readings and rejections in the tables so far; zeros while the sink starts."""
    from sinks.clickhouse.query import QueryError

    try:
        (now,) = ask(settings, "SELECT (SELECT count() FROM readings) AS a, (SELECT count() FROM rejections) AS b")
    except QueryError:
        return (0, 0)
    return (int(now["a"]), int(now["b"]))


_ARRIVED = """SELECT
    (SELECT count() FROM readings) AS readings,
    (SELECT count() FROM records) AS records,
    (SELECT count() FROM rejections) AS rejections,
    (SELECT max(height) FROM blocks) AS height,
    (SELECT countIf(verdict = 'accepted') FROM records) AS accepted,
    (SELECT sum(records) FROM balances WHERE account LIKE 'emissions:%') AS posted,
    (SELECT uniqExact(subject) FROM forecasts WHERE toUnixTimestamp64Milli(at) >= {end}) AS outlooks"""


def arrived(settings: Settings, channel: Channel, expected: Expected, height: int) -> bool:
    """Whether the tables and the accounts have caught up with the ledger."""
    from sinks.clickhouse.query import QueryError

    try:
        (now,) = ask(settings, _ARRIVED.format(end=expected.end_ms))
    except QueryError:
        return False
    counts = {name: int(value or 0) for name, value in now.items()}
    return (
        counts["readings"] >= expected.readings
        and counts["records"] >= expected.records
        and counts["rejections"] >= sum(expected.rejected.values())
        and counts["height"] >= height
        and counts["posted"] >= counts["accepted"]
        and counts["outlooks"] >= expected.outlooks
    )


def gather(settings: Settings, channel: Channel, expected: Expected, client: dict[str, str]) -> Summary:
    """Check everything, while the pipeline still runs."""
    counting = verification.Counting()
    report = verification.verify(channel.genesis, verification.from_topic(client, channel.genesis), counting)
    rejections = ask(
        settings, "SELECT reason, gateway, point, at, value, detail, code FROM rejections ORDER BY reason, at"
    )
    by_reason: dict[str, int] = {}
    for row in rejections:
        by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + 1
    (total,) = ask(settings, "SELECT count() AS n FROM readings")
    gap = ask(
        settings,
        "SELECT point, window_start, count, expected, coverage, code FROM records_latest "
        "WHERE count < expected ORDER BY window_start",
    )
    checks = list(_checks(settings, channel, expected, report, int(total["n"]), counting.total, by_reason, gap))
    stated = sum(expected.submissions.values())
    return Summary(checks, report, int(total["n"]), counting.total, stated, by_reason, rejections, gap)


def _checks(
    settings: Settings,
    channel: Channel,
    expected: Expected,
    report: Report,
    readings: int,
    counted: int,
    rejected: dict[str, int],
    gap: list[dict[str, Any]],
) -> Iterator[Check]:
    yield Check("the ledger topic verifies with the genesis alone", "", report.refused)
    yield Check("readings that arrived", expected.readings, readings)
    yield Check("readings rejected, by reason", dict(sorted(expected.rejected.items())), dict(sorted(rejected.items())))
    yield Check("readings counted by the ledger", expected.counted, counted)
    yield Check("records and submissions accepted", expected.leaves, report.accepted)
    yield Check("records and submissions refused", 0, report.rejected)
    yield Check("submissions accepted, by kind", dict(sorted(expected.submissions.items())), _submissions(settings))
    (summed,) = ask(settings, "SELECT sum(count) AS n FROM records_latest")
    yield Check("readings counted by the tables", expected.counted, int(summed["n"]))
    yield Check(
        "readings left out, as coverage below 1", expected.left_out, sum(g["expected"] - g["count"] for g in gap)
    )
    yield Check(
        "seven members hold the same block", {report.digest.hex()}, set(_digests(settings, channel, report.height))
    )
    yield Check("balances of the accounts are the ledger's", report.balances, _balances(settings))
    sums = ask(settings, "SELECT unit, sum(debit_g) AS debit, sum(credit_g) AS credit FROM balances GROUP BY unit")
    debits, credits_ = ({row["unit"]: int(row[side]) for row in sums} for side in ("debit", "credit"))
    yield Check("debits equal credits, by unit", debits, credits_)
    (ends,) = ask(settings, _STATEMENTS)
    yield Check("accounts whose statement ends at the balance", int(ends["accounts"]), int(ends["equal"]))
    if expected.short is not None:
        yield Check("levels of early warning until allowances ran out", _LEVELS, _levels(settings, expected.short))


_LEVELS = ["notice", "warning", "critical", "used up"]


def _levels(settings: Settings, subject: str) -> list[str]:
    """The levels that a subject was told of, one after the other."""
    asked = f"SELECT level FROM warnings WHERE kind = 'balance_short' AND about = '{subject}' AND told = '{subject}'"
    return [row["level"] for row in ask(settings, f"{asked} ORDER BY at")]


_STATEMENTS = """SELECT count() AS accounts, countIf(held = stated AND debit_g = debits AND credit_g = credits) AS equal
    FROM (SELECT account, held, debit_g, credit_g FROM balances) AS kept
    FULL JOIN (
        SELECT account, argMax(balance, (height, place)) AS stated, sum(debit) AS debits, sum(credit) AS credits
        FROM postings GROUP BY account
    ) AS posted USING account"""


def _submissions(settings: Settings) -> dict[str, int]:
    rows = ask(
        settings, "SELECT kind, count() AS n FROM submissions WHERE verdict = 'accepted' GROUP BY kind ORDER BY 1"
    )
    return {row["kind"]: int(row["n"]) for row in rows}


def _digests(settings: Settings, channel: Channel, height: int) -> Iterator[str]:
    """The block digest at a height in each member's own copy."""
    from hashlib import sha256

    from infra.copy import header_bytes

    for index in range(len(channel.genesis.members)):
        header = header_bytes(settings.data, index, height)
        yield sha256(header).hexdigest() if header is not None else f"member {index} has no block {height}"


def _balances(settings: Settings) -> dict[str, int]:
    asked = "SELECT subject, sum(balance) AS emitted FROM balances WHERE account LIKE 'emissions:%' GROUP BY subject"
    return {row["subject"]: int(row["emitted"]) for row in ask(settings, f"{asked} ORDER BY subject")}


def show(summary: Summary, seconds: float, data: Path, declared: Parameters) -> None:
    """Print the summary for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    refused = Table(
        "reason", "point", "at", "value", "what the rule says", title="Planted and rejected", title_justify="left"
    )
    for row in summary.rejections:
        refused.add_row(row["reason"], row["point"], str(row["at"] or ""), str(row["value"] or ""), row["detail"])
    console.print(refused)
    gap = Table("point", "window", "readings", "coverage", title="Left out: coverage below 1", title_justify="left")
    for row in summary.gap:
        gap.add_row(row["point"], row["window_start"], f"{row['count']} of {row['expected']}", f"{row['coverage']:.2f}")
    console.print(gap)
    names = {subject.id: subject.name for subject in (*declared.plants, *declared.enterprises)}
    balances = Table("account", "subject", title="Balances: recorded emissions, g CO2e", title_justify="left")
    balances.add_column("g CO2e", justify="right")
    for subject, grams in summary.report.balances.items():
        balances.add_row(f"emissions:{subject}", names.get(subject, ""), f"{grams:,}")
    console.print(balances)
    checked = Table("check", "found", "", title="Checks", title_justify="left")
    for check in summary.checks:
        checked.add_row(
            check.name, _short(check.found), "holds" if check.holds else f"FAILS: wanted {_short(check.wanted)}"
        )
    console.print(checked)
    report = summary.report
    for line in (
        f"{summary.readings:,} readings in, {summary.counted:,} accepted, {sum(summary.rejected.values())} rejected "
        f"({', '.join(f'{reason} {count}' for reason, count in sorted(summary.rejected.items()))}); "
        f"{report.accepted - summary.submissions:,} records and {summary.submissions} submissions recorded, "
        f"ledger height {report.height}, "
        f"certificates {'verified' if not report.refused else 'REFUSED'}.",
        f"{seconds:.0f} s from the first start to the last check: {summary.readings / seconds:,.0f} readings/s.",
        f"Everything is stopped; the data stays in {data}. Where to look next:",
        f"  .venv/bin/carbonledger account {declared.submissions.short}",
        "  .venv/bin/carbonledger warnings",
        '  .venv/bin/carbonledger query "SELECT * FROM balances"',
        "  .venv/bin/carbonledger verify",
        f"  .venv/bin/carbonledger resolve '{summary.gap[0]['code'] if summary.gap else 'CODE'}'",
        "  .venv/bin/carbonledger up                 the same as a service",
    ):
        console.print(line, soft_wrap=True)


def _short(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) < 60 else f"{text[:57]}…"
