"""The commands that read plans and early warnings from a member's copy: plan show, warnings."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.ledger import CHECK_FAILED
from infra.cli.output import Form, Output
from infra.cli.reading import AsOf, Member, Subject, Viewer, check_sight, may_look, present, view_of

if TYPE_CHECKING:
    from carbon.ledger.reads import View
    from carbon.planning.outlook import Outlook
    from carbon.planning.outlooks import Outlooks, Warned

G, DAY = "g CO2e", "day"
FIGURES = ("figure", "value", "unit")
MONTHS = ("month", "planned_g", "emitted_g", "difference_g", "unit")
WARNINGS = ("day", "subject", "kind", "level", "before", "severity", "told", "text")


def show_plan(
    subject: Subject,
    months: Annotated[bool, typer.Option("--months", help="Month by month instead: planned, emitted.")] = False,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Show a subject's plan against what it emitted, its available balance, and when that runs out as forecast.

    It stands at the end of the last day that all of its sources told whole. A forecast is a statistic, and posts
    nothing.

    \b
      carbonledger plan show coal-north
      carbonledger plan coal-north --months
      carbonledger plan coal-north --as-of 1200 --output json
    """
    view = view_of(member, as_of, outlooks=True, subject=subject)
    check_sight(view, subject, viewer)
    outlooks = _outlooks(view)
    if subject not in outlooks.last:
        print(f"carbonledger: no whole day of {subject} is on the ledger by height {view.height}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)
    outlook = outlooks.last[subject]
    if months:
        present(view, _months(outlooks, outlook), output, MONTHS)
    else:
        present(view, _figures(outlooks, outlook), output, FIGURES)


def _outlooks(view: "View") -> "Outlooks":
    assert view.outlooks is not None, "it was asked for them"
    return view.outlooks


def _figures(outlooks: "Outlooks", outlook: "Outlook") -> Iterator[dict[str, Any]]:
    from carbon.planning.days import date_of, day_of
    from carbon.planning.telling import forecast_of

    watch, offset = outlooks.watch, outlooks.watch.offset_minutes
    levels = watch.subjects[outlook.subject].levels
    told = forecast_of(outlook, levels, watch.rules, offset, 0)
    yield {"figure": "as of the end of", "value": str(date_of(outlook.day)), "unit": DAY}
    for name, figure, unit in _SHOWN:
        value = told.get(name)
        if unit == DAY and value is not None:
            value = str(date_of(day_of(value - 1, offset)))
        elif unit == "%" and value is not None:
            value = round(100 * value, 1)
        yield {"figure": figure, "value": value, "unit": unit}
    for held in told["levels"]:
        yield {"figure": f"early warning {held['kind']}", "value": held["level"], "unit": "level"}


_SHOWN = (
    ("year", "compliance year", "year"),
    ("emitted_g", "emitted in the year so far", G),
    ("planned_so_far_g", "planned for as long", G),
    ("plan_g", "planned for the year", G),
    ("year_end_g", "the year as forecast", G),
    ("low_80_g", "80 % likely at least", G),
    ("high_80_g", "80 % likely at most", G),
    ("low_95_g", "95 % likely at least", G),
    ("high_95_g", "95 % likely at most", G),
    ("available_g", "allowances available", G),
    ("exhausted_at", "used up, as forecast, at the end of", DAY),
    ("exhausted_early", "80 % likely not before", DAY),
    ("exhausted_late", "80 % likely not after", DAY),
    ("shortage_probability", "likelihood that they don't last the year", "%"),
    ("target_g", "the most that the target leaves for the year", G),
    ("reductions_g", "attested reductions", G),
    ("retired_g", "retired offsets", G),
    ("neutrality_gap_g", "gap to neutrality", G),
    ("silent", "sources that told nothing for a week", "sources"),
    ("method", "method of the forecast", ""),
    ("season", "what it knows of the year's course", ""),
)


def _months(outlooks: "Outlooks", outlook: "Outlook") -> Iterator[dict[str, Any]]:
    """Planned and emitted of each month; the month of the last whole day up to that day."""
    from carbon.planning.days import first_of
    from carbon.planning.plan import by_month

    plan = outlook.stated.plan
    if plan is None or plan.year != outlook.year:
        print(f"carbonledger: {outlook.subject} has no plan for {outlook.year}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)
    history = outlooks.watch.subjects[outlook.subject].until(outlook.day)
    first = first_of(plan.year)
    days = [0] * max(history.first - first, 0) + list(history.since(first).grams)
    for row in by_month(plan, days):
        difference = None if row.actual_g is None else row.actual_g - row.planned_g
        figures = {"planned_g": row.planned_g, "emitted_g": row.actual_g, "difference_g": difference}
        yield {"month": f"{plan.year}-{row.month:02}", **figures, "unit": G}


def warnings(
    subject: Annotated[str | None, typer.Argument(help="A subject's id in the registry; default: all.")] = None,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """List the early warnings so far: whom each is about, which level was reached or left, who was told, and why.

    \b
      carbonledger warnings
      carbonledger warnings lignite-upper --as-of 400 --output json
    """
    view = view_of(member, as_of, outlooks=True, subject=subject)
    if subject is not None:
        check_sight(view, subject, viewer)
    found = _outlooks(view).warned
    seen = (each for each in found if viewer is None or may_look(view, each.warning.outlook.subject, viewer))
    present(view, (_warning(view, each) for each in seen), output, WARNINGS)


def _warning(view: "View", warned: "Warned") -> dict[str, Any]:
    from carbon.planning.days import date_of
    from carbon.planning.warning import alerts_of

    warning = warned.warning
    told = alerts_of(warning, view.registry, view.structure.offset_minutes, warned.height)
    return {
        "day": str(date_of(warning.outlook.day)),
        "subject": warning.outlook.subject,
        "kind": warning.kind,
        "level": warning.level,
        "before": warning.rule.name(warning.before),
        "severity": warning.severity,
        "told": ", ".join(alert["subject"] for alert in told),
        "text": warning.text,
    }
