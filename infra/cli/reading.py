"""What the commands that read accounts have in common: whose copy, up to which moment, and how figures are shown."""

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.ledger import CHECK_FAILED, copy_of
from infra.cli.output import Form, show

if TYPE_CHECKING:
    from carbon.ledger.reads import View

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="HEIGHT|TIME", help="Up to this height, or to what was recorded by this time. Default: now."
    ),
]
Member = Annotated[int, typer.Option(help="Whose copy of the ledger to read.")]
Subject = Annotated[str, typer.Argument(help="A subject's id in the registry.")]
Year = Annotated[int | None, typer.Option(help="Of this compliance year alone.")]


def view_of(member: int, as_of: str | None) -> "View":
    """What the ledger says at a moment. Exits with 1 when the copy does not verify, with 2 for no moment."""
    from carbon.ledger.reads import MomentError, moment_of
    from consensus.log.follower import LedgerError
    from infra import figures

    copy = copy_of(member)
    try:
        return figures.view(copy, moment_of(as_of, copy.channel.genesis.utc_offset_minutes))
    except MomentError as error:
        raise typer.BadParameter(str(error)) from error
    except LedgerError as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error


def family(view: "View", subject: str) -> list[str]:
    """A subject and all below it. Raises BadParameter that names the nearest ids for one that is not registered."""
    try:
        return view.under(subject)
    except KeyError:
        names = sorted(view.registry.subjects)
        near = get_close_matches(subject, names, 3, 0.3) or names[:10]
        raise typer.BadParameter(
            f"no subject {subject!r} was registered by height {view.height}: is it {' or '.join(near)}?"
        ) from None


def present(view: "View", rows: Iterable[Mapping[str, Any]], form: Form, columns: Iterable[str]) -> None:
    """Show rows of figures, and the height and time at which they stand: above a table, and in each object of JSON."""
    from carbon.ledger.reads import moment_text

    stand = {"height": view.height, "time": moment_text(view.time_ms)}
    if form is Form.JSON:
        show([{**row, **stand} for row in rows], form, [*columns, *stand])
        return
    print(f"As of height {stand['height']}, {stand['time']}")
    show(rows, form, columns)
