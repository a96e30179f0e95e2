"""The commands on how good measured emissions are: stack, uncertainty."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.ledger import CHECK_FAILED, copy_of
from infra.cli.output import Form, Output, show
from infra.cli.reading import AsOf, Member, Subject, Viewer, Year, present, sight, view_of

if TYPE_CHECKING:
    from carbon.factors import FactorSet
    from carbon.registry import Point, Registry
    from carbon.stack_ratio import Day, Tracked
    from infra.copy import LedgerCopy
    from infra.stack import Windows

DAYS = ("day", "valid_hours", "measured_g", "calculated_g", "ratio", "level", "change")
BUDGET = ("point", "emission_g", "unit", "share_percent", "uncertainty", "eu_tier")


def stack(
    point: Annotated[str, typer.Argument(help="A point whose emission rule is cems_mass.")],
    against: Annotated[list[str], typer.Option(help="A point that books the unit's fuel; again for more than one.")],
    as_of: AsOf = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Hold what a stack measured against what is calculated, day by day, and tell when their ratio changed.

    Only hours are compared of which the stack measured 45 minutes, and days with 20 of them. The first 60 days set
    the level. Exit code 1 says that the copy does not verify, not that a ratio changed.

    \b
      carbonledger stack boiler-1.co2 --against boiler-1.power
      carbonledger stack kiln.co2 --against kiln.coal --against kiln.clinker --output json
    """
    from carbon.stack_ratio import days, track

    copy = copy_of(member)
    found, offset = _newest(copy, [point, *against], as_of), copy.channel.genesis.utc_offset_minutes
    if point in against or any(fields["unit"] != "gCO2" for fields in found[point].values()):
        raise typer.BadParameter(f"{point!r} records no mass of its own to hold against others")
    compared = days(found[point].values(), (one for name in against for one in found[name].values()), offset)
    by_start = {one.start: one for one in track(compared)}
    show((_day(one, by_start.get(one.start), offset) for one in compared), output, DAYS)


def _newest(copy: "LedgerCopy", points: list[str], as_of: str | None) -> "dict[str, Windows]":
    from carbon.ledger.moment import MomentError, moment_of
    from consensus.log.follower import LedgerError
    from infra.stack import newest

    try:
        found = newest(copy, points, moment_of(as_of, copy.channel.genesis.utc_offset_minutes))
    except MomentError as error:
        raise typer.BadParameter(str(error)) from error
    except LedgerError as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error
    for name, windows in found.items():
        if not windows:
            raise typer.BadParameter(f"the ledger has no record of a point {name!r} up to then")
    return found


def _day(day: "Day", tracked: "Tracked | None", offset_minutes: int) -> dict[str, Any]:
    row = {"day": _date(day.start, offset_minutes), **day._asdict()}
    if tracked is None:
        return row
    row |= {"ratio": round(tracked.ratio, 4), "level": tracked.level and round(tracked.level, 4)}
    if tracked.change is not None:
        since, before, after = tracked.change
        row["change"] = f"{before:.3f} to {after:.3f} since {_date(since, offset_minutes)}"
    return row


def _date(at_ms: int, offset_minutes: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms, minutes=offset_minutes)).date().isoformat()


def uncertainty(
    subject: Subject,
    year: Year = None,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """How sure a subject's emissions are, point by point and in all: % with 95 % coverage.

    From what the points' registrations declare; what nothing is declared for is not in the last row, and its share is
    shown. The EU tier is that of a fuel's quantity or of a CEMS mass.

    \b
      carbonledger uncertainty coal-north --year 2016
    """
    view = view_of(member, as_of)
    grams = dict[str, int]()
    for part, emission_g in sight(view, subject, viewer, view.emissions(subject, year)):
        grams[part.point] = grams.get(part.point, 0) + emission_g
    present(view, _budget(grams, view.registry), output, BUDGET)


def _budget(grams: dict[str, int], registry: "Registry") -> Iterator[dict[str, Any]]:
    from carbon.uncertainty import budget, text

    points = [point for name in grams if (point := registry.points.get(name)) is not None]
    declared = {point.id: (point.uncertainty, str(point.emission)) for point in points if point.uncertainty is not None}
    found = budget(grams, declared)
    for row in found.rows:
        shown = {"uncertainty": text(row.percent), "eu_tier": _tier(registry.points.get(row.point), registry.factors)}
        yield {"point": row.point, **_share(row.emission_g, found.all_g), **shown}
    yield {"point": "declared", **_share(found.emission_g, found.all_g), "uncertainty": text(found.percent)}


def _tier(point: "Point | None", factors: "FactorSet") -> int | None:
    """The tier that a fuel's quantity, or a CO2 mass by CEMS, meets by its declared uncertainty."""
    from carbon.quantity import number
    from carbon.uncertainty import tier

    if point is None or point.uncertainty is None:
        return None
    percent, rule = float(number(point.uncertainty.quantity)), point.emission
    if point.is_mass:
        return tier(factors, "cems_co2", percent) if rule.gas == "CO2" else None
    return tier(factors, "fuel", percent) if rule.source == "combustion" and rule.unit != "Wh" else None


def _share(grams: int, of: int) -> dict[str, Any]:
    return {"emission_g": grams, "unit": "g CO2e", "share_percent": round(100 * grams / of, 1) if of else None}
