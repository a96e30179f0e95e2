"""The commands that read a subject's accounts: account, structure."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output
from infra.cli.reading import AsOf, Member, Subject, Viewer, Year, check_sight, emissions, present, view_of

if TYPE_CHECKING:
    from carbon.ledger.books import Account

ACCOUNT = ("account", "class", "debit", "credit", "balance", "unit", "postings", "last_height")


class Axis(StrEnum):
    """By what emissions are divided."""

    SUBJECT = "subject"
    SOURCE = "source"
    GAS = "gas"
    SCOPE = "scope"
    POINT = "point"
    MONTH = "month"
    YEAR = "year"


By = Annotated[list[Axis], typer.Option("--by", help="By what; again for more than one.")]


def account(
    subject: Subject, as_of: AsOf = None, viewer: Viewer = None, member: Member = 0, output: Output = Form.TABLE
) -> None:
    """Show the accounts of a subject: what was debited and credited, and the balance, from the ledger alone.

    The balance is debit less credit, so what a subject has to surrender (obligation) is negative.

    \b
      carbonledger account coal-north
      carbonledger account coal-north --as-of 1200
      carbonledger account coal-north --as-of 2024-06-30 --output json
    """
    view = view_of(member, as_of)
    check_sight(view, subject, viewer)
    present(view, _accounts(view.accounts(subject)), output, ACCOUNT)


def _accounts(accounts: "list[Account]") -> Iterator[dict[str, Any]]:
    for one in accounts:
        sums = {"debit": one.debit_g, "credit": one.credit_g, "balance": one.debit_g - one.credit_g}
        name = {"account": one.account, "class": one.account.split(":")[0]}
        yield name | sums | {"unit": "g CO2e", "postings": one.records, "last_height": one.height}


def structure(
    subject: Subject,
    by: By = [Axis.SOURCE, Axis.GAS, Axis.SCOPE],  # noqa: B006
    year: Year = None,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Divide the emissions of a subject, and of all below it, by source, gas, scope, point, subject and time.

    The parts add up to the whole. A month is that of the channel's offset from UTC.

    \b
      carbonledger structure coal-north
      carbonledger structure power-group --by subject --by scope
      carbonledger structure coal-north --by month --by point --year 2016 --output json
    """
    from carbon.ledger.reads import divided

    view = view_of(member, as_of)
    rows = divided(emissions(view, subject, year, viewer), by)
    present(view, ({**row, "unit": "g CO2e"} for row in rows), output, (*by, "emission_g", "unit", "share_percent"))
