"""What the commands that read accounts have in common: whose copy, up to which moment, and how figures are shown."""

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from infra.cli.ledger import CHECK_FAILED, copy_of
from infra.cli.output import Form, show

if TYPE_CHECKING:
    from carbon.ledger.reads import View
    from carbon.ledger.structure import Part
    from carbon.signers import Party

Of = TypeVar("Of")
PUBLIC = "public"
UNITS = {"g": "g CO2e", "t": "t CO2e", "fen": "0.01 CNY"}
"""Units of accounts, as they are shown; a credit is one of a tonne."""

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="HEIGHT|TIME", help="Up to this height, or to what was recorded by this time. Default: now."
    ),
]
Member = Annotated[int, typer.Option(help="Whose copy of the ledger to read.")]
Subject = Annotated[str, typer.Argument(help="A subject's id in the registry.")]
Viewer = Annotated[
    str | None,
    typer.Option(metavar="PARTY", help=f"Only what this party may see; {PUBLIC}: what everybody may. Default: all."),
]
Year = Annotated[int | None, typer.Option(help="Of this compliance year alone.")]


def view_of(member: int, as_of: str | None, **asked: Any) -> "View":
    """What the ledger says at a moment; `asked` as in `figures.Asked`.

    Exits with 1 when the copy does not verify, with 2 for no moment.
    """
    from carbon.ledger.moment import MomentError, moment_of
    from consensus.log.follower import LedgerError
    from infra import figures

    copy = copy_of(member)
    try:
        return figures.view(copy, moment_of(as_of, copy.channel.genesis.utc_offset_minutes), figures.Asked(**asked))
    except MomentError as error:
        raise typer.BadParameter(str(error)) from error
    except LedgerError as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error


def registered(view: "View", subject: str) -> str:
    """The subject. Raises BadParameter that names the nearest ids for one that is not registered."""
    if subject not in view.registry.subjects:
        raise typer.BadParameter(
            f"no subject {subject!r} was registered by height {view.height}: is it "
            f"{_near(subject, view.registry.subjects)}?"
        )
    return subject


def _near(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    return " or ".join(get_close_matches(name, known, 3, 0.3) or known[:10])


def sight(
    view: "View", subject: str, viewer: str | None, parts: "Iterable[tuple[Part, Of]]"
) -> "list[tuple[Part, Of]]":
    """Parts of a subject's emissions and of those below it, as a viewer may see them. Exits with 1 for none at all.

    Without a viewer it is whoever holds the copy, who can read all of it.
    """
    from carbon.ledger import structure as structures

    registered(view, subject)
    if viewer is None:
        return list(parts)
    seen = structures.seen(parts, _party(view, viewer), view.registry)
    if not view.registry.subjects[subject].regional:
        seen = [(part, of) for part, of in seen if part.subject != structures.HIDDEN]
        if not seen:
            raise _unseen(view, subject, viewer)
    return seen


def check_sight(view: "View", subject: str, viewer: str | None) -> None:
    """Exits with 1 when a viewer may not see a subject's account as it stands."""
    registered(view, subject)
    if viewer is not None and not may_look(view, subject, viewer):
        raise _unseen(view, subject, viewer)


def may_look(view: "View", subject: str, viewer: str) -> bool:
    """Whether a viewer may see a subject's account as it stands."""
    from carbon.subjects import may_see

    return may_see(_party(view, viewer), subject, view.time_ms, view.registry)


def _party(view: "View", viewer: str) -> "Party | None":
    if viewer != PUBLIC and viewer not in view.registry.parties:
        raise typer.BadParameter(
            f"no party {viewer!r} was registered by height {view.height}: is it "
            f"{_near(viewer, [PUBLIC, *view.registry.parties])}?"
        )
    return None if viewer == PUBLIC else view.registry.parties[viewer]


def _unseen(view: "View", subject: str, viewer: str) -> typer.Exit:
    print(
        f"carbonledger: {viewer} may not see {subject} at height {view.height}: an enterprise sees itself and the "
        "companies under it, a regulator its region, a verifier those it is assigned, everybody a region's totals",
        file=sys.stderr,
    )
    return typer.Exit(CHECK_FAILED)


def present(view: "View", rows: Iterable[Mapping[str, Any]], form: Form, columns: Iterable[str]) -> None:
    """Show rows of figures, and the height and time at which they stand: above a table, and in each object of JSON."""
    from carbon.ledger.moment import moment_text

    stand = {"height": view.height, "time": moment_text(view.time_ms)}
    if form is Form.JSON:
        show([{**row, **stand} for row in rows], form, [*columns, *stand])
        return
    print(f"As of height {stand['height']}, {stand['time']}")
    show(rows, form, columns)
