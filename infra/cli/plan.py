"""The commands `plan`: a subject's plan and outlook, and how good forecasts and warnings would have been."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from infra.cli import outlook
from infra.cli.output import Form, Output, show

if TYPE_CHECKING:
    from carbon.planning.backtest import Warned


class _SubjectFirst(TyperGroup):
    """`plan SUBJECT` is short for `plan show SUBJECT`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


app = typer.Typer(
    no_args_is_help=True,
    cls=_SubjectFirst,
    help="""The plan of a year against the actual, forecasts, and how good they are.

\b
  carbonledger plan coal-north
  carbonledger plan backtest""",
)
app.command("show")(outlook.show_plan)

FORECASTS = (
    "subjects",
    "method",
    "forecasts",
    "year_error_percent",
    "held_80_percent",
    "held_95_percent",
    "width_80_percent",
    "dates",
    "date_error_days",
    "date_error_90_days",
    "date_held_80_percent",
)
WARNINGS = ("subjects", "level", "ran_out", "warned", "days_before", "taken_again", "lasted", "false")


@app.command()
def backtest(
    subject: Annotated[list[str] | None, typer.Argument(help="Subjects of the demonstration. Default: all.")] = None,
    warnings: Annotated[bool, typer.Option("--warnings", help="The levels of early warning instead.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Forecast SimBench's year from every seventh day on, and compare with what came.

    For each method the error of the year's emissions, how many of the intervals held, and the error of the day on
    which allowances run out: shares of the year's emissions stand in for them. With --warnings: how long before that
    day each level was taken, and how often for allowances that lasted. It is one year of sixteen subjects, eight of
    which follow one electricity market: docs/early-warning.md says what follows from that.

    \b
      carbonledger plan backtest
      carbonledger plan backtest coal-north retail-park
      carbonledger plan backtest --warnings --output json
    """
    from carbon import factors
    from infra.demo import daily, parameters

    declared = parameters.load()
    plants = [plant.id for plant in declared.plants]
    enterprises = [enterprise.id for enterprise in declared.enterprises]
    everybody = plants + enterprises
    unknown = sorted(set(subject or ()) - set(everybody))
    if unknown:
        raise typer.BadParameter(f"no such subject: {', '.join(unknown)}; there are {', '.join(everybody)}")
    groups = {"plants": plants, "enterprises": enterprises, "all": everybody}
    if subject:
        groups = {name: [name] for name in subject}
    series = daily.emissions(declared, factors.load(), subject or everybody)
    chosen = {name: [series[member] for member in members] for name, members in groups.items()}
    if warnings:
        show(_warnings(chosen), output, WARNINGS)
    else:
        show(_forecasts(chosen), output, FORECASTS)


def _forecasts(groups: dict[str, list[list[int]]]) -> Iterator[dict[str, Any]]:
    from carbon.planning.backtest import METHODS, cases, score

    for name, series in groups.items():
        for method in METHODS:
            found = score(case for grams in series for case in cases(grams, method))
            yield {
                "subjects": name,
                "method": method.name,
                "forecasts": found.forecasts,
                "year_error_percent": round(found.year_error, 1),
                "held_80_percent": round(found.inner_held),
                "held_95_percent": round(found.outer_held),
                "width_80_percent": round(found.inner_width, 1),
                "dates": found.dates,
                "date_error_days": round(found.date_error, 1),
                "date_error_90_days": round(found.date_error_90),
                "date_held_80_percent": round(found.date_held),
            }


def _warnings(groups: dict[str, list[list[int]]]) -> Iterator[dict[str, Any]]:
    from carbon.planning import rules
    from carbon.planning.backtest import level_scores, warned

    shipped = rules.default()
    rule = shipped.rule("balance_short")
    assert rule is not None
    for name, series in groups.items():
        some: list[Warned] = [case for grams in series for case in warned(grams, shipped)]
        for found in level_scores(some, rule):
            yield {
                "subjects": name,
                "level": found.level,
                "ran_out": found.ran_out,
                "warned": found.warned,
                "days_before": found.days_before,
                "taken_again": found.again,
                "lasted": found.lasted,
                "false": found.false,
            }
