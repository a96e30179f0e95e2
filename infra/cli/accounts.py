"""The commands that read a subject's accounts: account, statement, structure."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output
from infra.cli.reading import UNITS, AsOf, Member, Subject, Viewer, Year, check_sight, present, sight, view_of

if TYPE_CHECKING:
    from carbon.ledger.books import Account
    from carbon.ledger.statement import Line

ACCOUNT = (
    "account",
    "kind",
    "year",
    "detail",
    "debit",
    "credit",
    "balance",
    "unit",
    "postings",
    "last_height",
    "market_based_g",
)

STATEMENT = ("at_height", "at", "account", "what", "with", "debit", "credit", "balance", "unit", "remark", "code")
STRUCTURE = ("emission_g", "share_percent", "standard_coal_tce", "location_based_g", "market_based_g")
LINES = 100


class Axis(StrEnum):
    """By what emissions are divided."""

    SUBJECT = "subject"
    SOURCE = "source"
    GAS = "gas"
    SCOPE = "scope"
    UNIT = "unit"
    POINT = "point"
    MONTH = "month"
    YEAR = "year"


By = Annotated[list[Axis], typer.Option("--by", help="By what; again for more than one.")]


def account(
    subject: Subject, as_of: AsOf = None, viewer: Viewer = None, member: Member = 0, output: Output = Form.TABLE
) -> None:
    """Show the accounts of a subject: what was debited and credited, and the balance, from the ledger alone.

    The balance is what an account holds, on the side on which its class grows. Each is in its own unit. Beside the
    emissions of purchased electricity, which the books have location-based, stands what the year's comes to by
    contracts and the residual mix, where they are declared: in no sum.

    \b
      carbonledger account coal-north
      carbonledger account coal-north --as-of 1200
      carbonledger account coal-north --as-of 2024-06-30 --output json
    """
    view = view_of(member, as_of)
    check_sight(view, subject, viewer)
    present(view, _accounts(view.accounts(subject), view.market_based(subject)), output, ACCOUNT)


def _accounts(accounts: "list[Account]", market: "dict[int, int]") -> Iterator[dict[str, Any]]:
    from carbon.ledger.structure import ELECTRICITY

    for one in accounts:
        bought = (one.kind, one.detail) == ("emissions", ELECTRICITY)
        name = {"account": one.account, "kind": one.kind, "year": one.year, "detail": one.detail or None}
        sums = {"debit": one.debit_g, "credit": one.credit_g, "balance": one.balance}
        yield (
            name
            | sums
            | {"unit": UNITS[one.unit], "postings": one.records, "last_height": one.height}
            | {"market_based_g": market.get(one.year) if bought and one.year is not None else None}
        )


def statement(
    subject: Subject,
    account: Annotated[
        str, typer.Argument(help="One account by its name, or all of a class, such as allowances.")
    ] = "",
    last: Annotated[int, typer.Option(min=0, help="So many lines, the last ones; 0 for all.")] = LINES,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Show the statement of a subject's accounts, line by line, as a bank's: what, with whom, and what is left.

    The code of a line stands for its record or submission: `resolve CODE` shows it, and `prove CODE` proves it.

    \b
      carbonledger statement coal-north
      carbonledger statement coal-north allowances --last 0
      carbonledger statement coal-north allowances:coal-north:2016 --as-of 1200 --output json
    """
    view = view_of(member, as_of, watched=subject)
    check_sight(view, subject, viewer)
    lines = [line for line in view.lines if account in ("", line.account, line.account.partition(":")[0])]
    if account and not lines:
        known = sorted({line.account for line in view.lines})
        raise typer.BadParameter(f"{subject} has no account {account!r}: it has {', '.join(known) or 'none yet'}")
    shown = lines[-last:] if last else lines
    present(view, map(_line, shown), output, STATEMENT)
    if len(shown) < len(lines):
        print(f"The last {len(shown)} of {len(lines)} lines; --last 0 shows all.", file=sys.stderr)


def _line(line: "Line") -> dict[str, Any]:
    from carbon.ledger.moment import moment_text

    where = {"at_height": line.cause.height, "at": moment_text(line.cause.time_ms), "account": line.account}
    sums = {"debit": line.debit, "credit": line.credit, "balance": line.balance, "unit": UNITS[line.unit]}
    remarks = [f"corrects {line.corrects}"] if line.corrects is not None else []
    remarks += [f"takes back {line.takes_back}"] if line.takes_back is not None else []
    what = {"what": line.kind, "with": line.counterparty}
    return where | what | sums | {"remark": ", ".join(remarks) or None, "code": line.cause.code}


def structure(
    subject: Subject,
    by: By = [Axis.SOURCE, Axis.GAS, Axis.SCOPE],  # noqa: B006
    year: Year = None,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Divide the emissions of a subject, and of all below it, by source, gas, scope, unit, point, subject and time.

    The parts add up to the whole. A month is that of the channel's offset from UTC. Standard coal is in tonnes.
    Purchased electricity is location-based in the emission; what it comes to by contracts and the residual mix, where
    they are declared, stands beside it and is added to nothing.

    \b
      carbonledger structure coal-north
      carbonledger structure power-group --by subject --by scope
      carbonledger structure coal-north --by month --by point --year 2016 --output json
    """
    from carbon.ledger.structure import divided

    view = view_of(member, as_of)
    rows = divided(sight(view, subject, viewer, view.emitted(subject, year)), by, view.registry)
    present(view, rows, output, (*by, *STRUCTURE))
