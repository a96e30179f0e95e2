"""The commands about the ledger: verify, export, prove, verify-proof, resolve, checkpoint.

They read the topic beside a running `up`, or a member's copy with nothing running; what they show is checked first.
"""

import json
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carbon.refusal import label
from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from carbon.identity import CarbonCode
    from consensus.log.follower import VerifiedBlock
    from infra.channel import Channel
    from infra.copy import Found, LedgerCopy

CHECK_FAILED = 1
SAY_EVERY = 0.2
"""Seconds between two words on how far verification is."""

Member = Annotated[int, typer.Option(help="Whose copy of the ledger to read when nothing runs.")]
Code = Annotated[
    str,
    typer.Argument(help="A carbon code of a record, a reading or a submission, as `query` and `submit` show it."),
]


def this_channel() -> "Channel":
    """The channel of the data folder. Raises EnvironmentFault."""
    from infra import channel, settings

    return channel.load(settings.load().data)


def copy_of(member: int) -> "LedgerCopy":
    """A member's copy of the ledger. Raises EnvironmentFault."""
    from infra import settings
    from infra.copy import LedgerCopy

    return LedgerCopy(settings.load().data, this_channel(), member)


def verify(
    file: Annotated[
        Path | None, typer.Option(help="An exported ledger; default: the topic, or a member's copy.")
    ] = None,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file; default: that of the data folder.")] = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Replay the ledger with the genesis alone: certificates, hashes, heights, roots, payloads, state digests.

    Exit code 1 at the first thing that does not hold, with the reason.

    \b
      carbonledger verify                               the running ledger, or member 0's copy
      carbonledger verify --member 3
      carbonledger verify --file ledger.export --genesis genesis.json
    """
    from consensus.log import genesis as geneses
    from infra import verification
    from infra.channel import folder_of
    from infra.settings import load

    path = genesis or folder_of(load().data) / "genesis.json"
    try:
        known = geneses.parse(path.read_bytes())
    except (OSError, geneses.GenesisError) as error:
        raise EnvironmentFault(f"the genesis {path} can't be used: {error}") from error
    source, packages = ("file", verification.from_file(file)) if file else _ledger(known, member)
    progress = _Progress()
    report = verification.verify(known, packages, progress)
    progress.end()
    row = {
        "source": source,
        "verdict": "refused" if report.refused else "verified",
        "height": report.height,
        "records": report.size,
        "accepted": report.accepted,
        "rejected": report.rejected,
        "reason": report.refused or None,
    }
    show([row], output, row)
    if report.refused:
        print(f"carbonledger: refused after height {report.height}: {report.refused}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)


class _Progress:
    """Says on a terminal how far verification is and how fast, a few times a second."""

    def __init__(self) -> None:
        self._records, self._began, self._said = 0, monotonic(), 0.0

    def __call__(self, block: "VerifiedBlock", payloads: list[bytes]) -> None:
        self._records += len(payloads)
        now = monotonic()
        if sys.stderr.isatty() and now - self._said > SAY_EVERY:
            self._said = now
            rate = self._records / max(now - self._began, SAY_EVERY)
            said = f"height {block.height:,}, {self._records:,} records, {rate:,.0f} a second"
            print(f"\r{said:70}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line to what was said last."""
        if self._said:
            print(file=sys.stderr)


def _ledger(genesis: Any, member: int) -> tuple[str, Any]:
    """The running ledger's topic, or a member's copy."""
    from infra import runfile, settings, verification

    own = settings.load()
    try:
        bootstrap = own.bootstrap or runfile.running(own.data).bootstrap
    except EnvironmentFault:
        return f"copy of member {member}", copy_of(member).packages()
    return "topic", verification.from_topic(own.client(bootstrap), genesis)


def export(file: Annotated[Path, typer.Argument(help="Where to write it.")], member: Member = 0) -> None:
    """Write the whole ledger to one file, for `verify --file` on another machine.

    \b
      carbonledger export ledger.export
    """
    from infra import verification

    try:
        count = verification.to_file(file, copy_of(member).packages())
    except OSError as error:
        raise EnvironmentFault(f"{file} can't be written: {error}") from error
    print(f"{count} blocks in {file}", file=sys.stderr)


def checkpoint(member: Member = 0, output: Output = Form.TABLE) -> None:
    """Print the newest checkpoint: a signed note (C2SP tlog-checkpoint) with the signatures of 2f + 1 members.

    \b
      carbonledger checkpoint > checkpoint.note
    """
    newest = copy_of(member).newest()
    if output is Form.JSON:
        show([{"height": newest.height, "checkpoint": newest.checkpoint}], output, ("height", "checkpoint"))
    else:
        sys.stdout.write(newest.checkpoint)


def prove(code: Code, member: Member = 0) -> None:
    """Print the proof that a record, a submission, or a single raw reading, is in the certified ledger.

    The proof is one JSON file that anybody verifies offline, with the genesis alone.

    \b
      carbonledger query "SELECT code FROM records LIMIT 1"
      carbonledger prove '99.1000.1/coal-north.….20160101T000000Z-PT3600S.…' > proof.json
      carbonledger verify-proof proof.json --genesis var/ledger/channel/genesis.json
    """
    copy = copy_of(member)
    found, reading = _find(copy, code)
    json.dump(copy.prove(found, reading), sys.stdout, indent=1)
    print()


def _parse(text: str) -> "CarbonCode":
    from carbon import identity

    try:
        return identity.parse(text)
    except identity.CodeError as error:
        raise typer.BadParameter(str(error)) from error


def _find(copy: "LedgerCopy", text: str) -> tuple["Found", Any]:
    """What a code stands for, and for a reading its packets and leaf hash. Exits with 1 when there is none."""
    from consensus.log.follower import LedgerError
    from infra import submission
    from infra.copy import NotFound

    code = _parse(text)
    try:
        return (submission.find(copy, code), None) if submission.is_meant(code, copy) else copy.find(code)
    except (NotFound, LedgerError) as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error


def verify_proof(
    proof: Annotated[Path, typer.Argument(help="The proof file.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the channel.")],
    rejected: Annotated[bool, typer.Option("--accept-rejected", help="Exit with 0 for a rejected record too.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Verify a proof offline, with the genesis alone: no broker, no trust in who handed it over.

    Prints the verdict. Exit code 1 for a proof that does not hold, and for a rejected record unless it is asked for.

    \b
      carbonledger verify-proof proof.json --genesis genesis.json
    """
    from consensus.log import genesis as geneses
    from consensus.log import proof as proofs

    try:
        known, data = geneses.parse(genesis.read_bytes()), json.loads(proof.read_text())
        shown = proofs.verify(data, known)
    except (OSError, ValueError, RecursionError) as error:
        print(f"carbonledger: the proof does not hold: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error
    row = {
        "verdict": "accepted" if shown.leaf.accepted else "rejected",
        "reason": None if shown.leaf.accepted else label(shown.leaf.reason),
        "leaf_index": shown.leaf_index,
        "tree_size": shown.tree_size,
        "height": shown.height,
    } | proofs.describe(shown)
    show([row], output, row)
    if not shown.leaf.accepted and not rejected:
        raise typer.Exit(CHECK_FAILED)


def resolve(code: Code, member: Member = 0, output: Output = Form.TABLE) -> None:
    """Show what a carbon code stands for: the datum, its packet and gateway, the verdicts, its place in the ledger.

    Of a submission: what it states and who signed it.

    \b
      carbonledger resolve '99.1000.1/coal-north.….20160101T000000Z-PT3600S.…' --output json
    """
    from consensus.log.leaf import SUBMISSION
    from infra import submission

    copy = copy_of(member)
    found, reading = _find(copy, code)
    is_submission = found.leaf.leaf.kind == SUBMISSION
    row = submission.describe(copy, found) if is_submission else copy.describe(found, reading)
    if output is Form.JSON:
        show([row], output, row)
    else:
        show(({"what": key, "value": value} for key, value in row.items()), output, ("what", "value"))
