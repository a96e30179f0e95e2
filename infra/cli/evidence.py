"""The commands about evidence: what members keep against each other, and its check by anybody, offline."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output, show

if TYPE_CHECKING:
    from consensus.log.genesis import Genesis
    from consensus.member.evidence import Kept

CHECK_FAILED = 1
COLUMNS = ("id", "kind", "convicts", "members", "height", "found", "kept_by", "text")

app = typer.Typer(no_args_is_help=True, help="Evidence that members keep: equivocation, double and wrong verdicts.")


def _kept() -> "Iterator[tuple[int, Kept]]":
    """(Member, evidence) of all members whose folders are here, each piece checked."""
    from consensus.member.evidence import FOLDER, EvidenceFolder
    from infra import channel, settings

    data = settings.load().data
    genesis = channel.load(data).genesis
    for folder in sorted((data / "members").glob("*"), key=lambda folder: int(folder.name)):
        for kept in EvidenceFolder(folder / FOLDER, genesis).at_start:
            yield int(folder.name), kept


def _row(kept: "Kept") -> dict[str, Any]:
    import datetime

    found = datetime.datetime.fromtimestamp(kept.at_ms / 1000, datetime.UTC)
    proven = kept.proven
    said = {"id": proven.id, "kind": proven.kind, "convicts": proven.convicts, "height": proven.height}
    return said | {"members": list(proven.members), "found": f"{found:%Y-%m-%dT%H:%M:%SZ}", "text": proven.sentence}


@app.command("list")
def listed(output: Output = Form.TABLE) -> None:
    """List the evidence that members keep, each deed once: against whom, whether it convicts, who keeps it.

    \b
      carbonledger evidence list
      carbonledger evidence list --output json
    """
    rows: dict[str, dict[str, Any]] = {}
    for member, kept in _kept():
        row = rows.setdefault(kept.proven.id, _row(kept) | {"kept_by": []})
        row["kept_by"].append(member)
    show(rows.values(), output, COLUMNS)


@app.command("export")
def export(name: Annotated[str, typer.Argument(metavar="ID", help="An id that `evidence list` shows.")]) -> None:
    """Print one piece of evidence: one JSON file that anybody checks offline, with the genesis alone.

    \b
      carbonledger evidence export evidence/two_commits/3/0.2.17 > evidence.json
      carbonledger verify-evidence evidence.json --genesis var/ledger/channel/genesis.json
    """
    for _, kept in _kept():
        if kept.proven.id == name:
            sys.stdout.write(kept.path.read_text())
            return
    print(f"carbonledger: no member keeps evidence {name!r}: see 'carbonledger evidence list'", file=sys.stderr)
    raise typer.Exit(CHECK_FAILED)


def verify_evidence(
    file: Annotated[Path, typer.Argument(help="The evidence file.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the channel.")],
    output: Output = Form.TABLE,
) -> None:
    """Check evidence offline, with the genesis alone: who signed what, and whether an honest member could have.

    Exit code 0 when it proves what it says, 1 when it proves nothing, with the reason, 2 when a file can't be read as
    what it should be. A wrong verdict convicts nobody by itself: `convicts` says so.

    \b
      carbonledger verify-evidence evidence.json --genesis genesis.json
    """
    from consensus.log import evidence

    known, data = genesis_of(genesis), json_of(file)
    try:
        proven = evidence.check(data, known)
    except evidence.EvidenceRefused as error:
        print(f"carbonledger: it proves nothing: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error
    row = {"kind": proven.kind, "convicts": proven.convicts, "members": list(proven.members)}
    row |= {"names": list(proven.names), "height": proven.height, "id": proven.id, "text": proven.sentence}
    show([row], output, row)


def genesis_of(path: Path) -> "Genesis":
    """The genesis of a file. Raises a usage error (exit code 2) for what is none."""
    from consensus.log import genesis as geneses

    try:
        return geneses.parse(path.read_bytes())
    except (OSError, geneses.GenesisError) as error:
        raise typer.BadParameter(f"the genesis {path} can't be used: {error}") from error


def json_of(path: Path) -> Any:
    """The JSON of a file. Raises a usage error (exit code 2) for what is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path} can't be read as JSON: {error}") from error
