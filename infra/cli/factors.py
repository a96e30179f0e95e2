"""The commands about factor sets: `show` one, `check` a folder of tables, `diff` two, and `load` one into the registry.

A set is named by a folder of CSV files, by the version that ships, by a version that the ledger knows, or as in-force.
"""

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.committee import CHECK_FAILED, Copy
from infra.cli.output import Form, Output, show
from infra.cli.registry import history_of, refuse, write_draft
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from carbon.factors import Factor, FactorSet

app = typer.Typer(no_args_is_help=True, help="Factor sets: the tables that emissions are computed with.")

IN_FORCE = "in-force"
Tables = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with one CSV file a table.")]
SET = "A folder of tables, a version, or in-force."


@app.command("show")
def show_set(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="Only rows whose table.name holds this.")] = "",
    of: Annotated[str, typer.Option("--set", metavar="SET", help=f"{SET} Default: the one that ships.")] = "",
    confidence: Annotated[str, typer.Option(help="Only rows of these, such as CD.")] = "ABCD",
    member: Copy = 0,
    output: Output = Form.TABLE,
) -> None:
    """List the rows of a set, each with its unit, confidence and source.

    A is read in the official text, B second-hand, C derived and re-checked, D from memory: used only when allowed.

    \b
      carbonledger factors show lignite
      carbonledger factors show --confidence D
      carbonledger factors show --set in-force grid_factors.CN.national
    """
    from carbon.factors import load

    rows = _rows(of or load().version, member)
    found = [row for name, row in sorted(rows.items()) if text in name and row.confidence in confidence]
    columns = ("name", "value", "unit", "confidence", "from", "until", "source", "clause")
    show(
        ({**vars(row), "name": row.id, "from": _day(row.start), "until": _day(row.end)} for row in found),
        output,
        columns,
    )


@app.command("check")
def check(folder: Tables) -> None:
    """Check a folder of tables: units, values, doubles, standard coal against its NCV. The first error of each file.

    Exit code 1 when something does not hold.

    \b
      carbonledger factors check factors-2027
    """
    from carbon.factors import digest_of
    from carbon.factors.rows import FactorError, read

    tables, rows, faults = _read(folder), 0, []
    for name, data in tables.items():
        try:
            rows += len(read(name, data))
        except FactorError as error:
            faults.append(str(error))
    for fault in faults:
        print(f"carbonledger: {folder}/{fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(CHECK_FAILED)
    print(f"{folder}: {rows} rows in {len(tables)} tables, digest {digest_of(tables).hex()}")


@app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(metavar="SET", help=SET)],
    after: Annotated[str, typer.Argument(metavar="SET", help=SET)],
    member: Copy = 0,
    output: Output = Form.TABLE,
) -> None:
    """List the rows that two sets do not have in common, and what of each changed.

    \b
      carbonledger factors diff in-force factors-2027
      carbonledger factors diff 2026-1 2027-1
    """
    from carbon.factors.difference import differences

    found = differences(_rows(before, member), _rows(after, member))
    rows = ({"name": d.name, "what": d.what, "before": _said(d.before), "after": _said(d.after)} for d in found)
    show(rows, output, ("name", "what", "before", "after"))


@app.command("load")
def load(
    folder: Tables,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the change of the registry.")],
    version: Annotated[str, typer.Option("--id", help="The version of the set; never one that is known.")],
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="Valid from this day, such as 2027-01-01.")],
    first: Annotated[int | None, typer.Option(help="First height at which it is in force; default: 200 on.")] = None,
    member: Copy = 0,
) -> None:
    """Write the change of the registry that puts a set into force, for its registrar to read, sign and submit.

    Says which points it closes: those that it counts otherwise, whose windows recorded before are corrected no more.

    \b
      carbonledger factors load factors-2027 change.json --id 2027-1 --from 2027-01-01
      carbonledger registry submit change.json --registrar authority --seed-file authority.seed
    """
    from carbon.factors import FactorError
    from carbon.factors.succession import entry_of

    try:
        entry = entry_of(version, date.fromisoformat(start), _read(folder))
    except FactorError as error:
        raise refuse(f"{folder}/{error}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{start!r} is no day: write 2027-01-01") from error
    write_draft(file, lambda _: [("factors", entry)], [], first, member)


def _rows(name: str, member: int) -> "Mapping[str, Factor]":
    """The rows of the set that a folder, a version or in-force names, which standard error says."""
    from carbon.factors import FactorError, digest_of, rows_of

    if Path(name).is_dir():
        tables = _read(Path(name))
        try:
            rows, digest, said = rows_of(tables), digest_of(tables), name
        except FactorError as error:
            raise refuse(f"{name}/{error}") from error
    else:
        known = _known(name, member)
        rows, digest, said = known.rows, known.digest, f"set {known.version}, valid from {known.start}"
    print(f"{said}, digest {digest.hex()}", file=sys.stderr)
    return rows


def _known(version: str, member: int) -> "FactorSet":
    from carbon.factors import load

    if version == load().version:
        return load()
    history = history_of(member)
    if version == IN_FORCE:
        return history.registries[history.at(history.height + 1)].factors
    sets = history.registries[max(history.registries)].sets
    for known in sets:
        if known.version == version:
            return known
    raise typer.BadParameter(f"no folder {version!r}, and no set; there are {', '.join(s.version for s in sets)}")


def _read(folder: Path) -> dict[str, bytes]:
    try:
        tables = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix == ".csv"}
    except OSError as error:
        raise EnvironmentFault(f"{folder} can't be read: {error}") from error
    if not tables:
        raise EnvironmentFault(f"{folder} holds no .csv files")
    return tables


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _said(row: "Factor | None") -> str | None:
    return None if row is None else f"{row.value} {row.unit} ({row.confidence})"
