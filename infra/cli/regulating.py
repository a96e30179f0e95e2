"""What a regulator would submit, made from the rules in force: measures, decisions, and other rules.

The commands `measures`, `propose` and `rules` of `carbonledger regulator`.
"""

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.output import Form, Output
from infra.cli.oversight import OfYear, Region, overseen, refuse
from infra.cli.reading import AsOf, Member, Viewer, present, registered

PROPOSED = ("subject", "rule", "outcome", "amount_fen", "cut_g", "reasons")


class Level(StrEnum):
    """An alert's level."""

    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"


def measures(
    region: Region,
    year: OfYear,
    level: Annotated[Level, typer.Option(help="The alert's level.")],
    start: Annotated[str, typer.Option(help="First hour, ISO 8601.")],
    end: Annotated[str, typer.Option(help="First hour after it.")],
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
) -> None:
    """Write who would limit or stop what in heavy-pollution weather, as a file that `submit` takes.

    By the alert's level and the grades of the year; the rules are those in force on the ledger.

    \b
      carbonledger regulator measures region-demo --year 2016 --level red \\
        --start 2017-01-04T00:00 --end 2017-01-07T00:00 > alert.json
    """
    _, found = overseen(region, year, as_of, viewer, member)
    print(f"measures: {found.statements.rules['weather'].standing}", file=sys.stderr)
    head = {"kind": "weather", "region": region, "level": level.name, "start": start, "end": end}
    print(json.dumps(head | {"measures": found.measures(level.name)}, indent=2, ensure_ascii=False))


def propose(
    region: Region,
    year: OfYear,
    refused: Annotated[list[str], typer.Option(metavar="SUBJECT", help="Refused to correct.")] = [],  # noqa: B006
    allow: Annotated[list[str], typer.Option(metavar="ROW", help="A factor row of confidence D.")] = [],  # noqa: B006
    false_data: Annotated[
        list[str], typer.Option(metavar="SUBJECT=FEN", help="Stated false data, and gained so much by it, 0.01 CNY.")
    ] = [],  # noqa: B006
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write each to a file that `submit` takes.")] = None,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Show the decisions that the rules propose once the deadline has passed, with their reasons.

    With --false-data those for what an inspection found instead: its finding is yours to state, no record has it.
    Nothing is decided until a regulator signs one; a wrong one is taken back by a reversal.

    \b
      carbonledger regulator propose region-demo --year 2023 --allow ets_rules.deadline_2023
      carbonledger regulator propose region-demo --year 2023 --allow ets_rules.deadline_2023 \\
        --refused coal-north --to drafts
      carbonledger submit drafts/*.json --party authority
    """
    from carbon.compliance import ComplianceError
    from carbon.factors import FactorError

    view, found = overseen(region, year, as_of, viewer, member)
    print(f"rules: {found.statements.rules['conduct'].standing}", file=sys.stderr)
    if allow:
        print(f"from memory, allowed by name: {', '.join(allow)}", file=sys.stderr)
    gains = dict(map(_gain, false_data))
    for name in (*gains, *refused):
        registered(view, name)
    try:
        rows = found.false_data(gains, refused, allow) if gains else found.proposals(refused, allow)
    except (ComplianceError, FactorError) as error:
        refuse(error)
    if to is not None:
        write_drafts(to, rows)
    present(view, rows, output, PROPOSED)


def _gain(text: str) -> tuple[str, int]:
    name, _, gain = text.partition("=")
    if not (gain.isascii() and gain.isdigit()):
        raise typer.BadParameter(f"{text!r}: write SUBJECT=FEN, such as mill=0")
    return name, int(gain)


def write_drafts(folder: Path, contents: Iterable[Mapping[str, Any]]) -> None:
    """Write decisions as files that `submit` takes, `<subject>-<rule>.json` each."""
    from carbon import submission

    folder.mkdir(parents=True, exist_ok=True)
    for content in contents:
        words = {"kind": "decision"} | submission.plain(content)
        path = folder / f"{content['subject']}-{content['rule']}.json"
        path.write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n")


def rules(
    name: Annotated[str, typer.Argument(help="colour, grade, weather or conduct.")],
    source: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Your own, as TOML.")] = None,
) -> None:
    """Print the rules that ship, as TOML, or your own as a file that `submit` takes, once they are of the form.

    \b
      carbonledger regulator rules colour > colour.toml
      carbonledger regulator rules colour --from colour.toml > colour.json
      carbonledger submit colour.json --party authority
    """
    from carbon import rules
    from carbon.registry import canonical_json

    try:
        if source is None:
            sys.stdout.write(rules.shipped_toml(name))
            return
        text = canonical_json(tomllib.loads(source.read_text())).decode()
        rules.parse_rules(name, text)
    except OSError as error:
        raise typer.BadParameter(f"{source} can't be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        refuse(error)
    print(json.dumps({"kind": "ruleset", "name": name, "rules": text}, indent=2, ensure_ascii=False))
