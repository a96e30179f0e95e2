"""`carbonledger witness`: an independent eye on the ledger, which cosigns the one history that it sees."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.evidence import genesis_of

if TYPE_CHECKING:
    from consensus.log.genesis import Genesis
    from infra.witness import WitnessFolder

CHECK_FAILED = 1


def witness(
    folder: Annotated[Path, typer.Argument(help="The witness's own folder: key, last checkpoint, evidence of a fork.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the channel: all that is trusted.")],
    once: Annotated[bool, typer.Option("--once", help="Stop at the end of the topic, and print the note.")] = False,
    file: Annotated[Path | None, typer.Option(help="Read an exported ledger instead of the topic, once.")] = None,
    name: Annotated[str, typer.Option(help="The name of the witness's key.")] = "carbonledger/witness",
) -> None:
    """Follow the ledger topic with the genesis alone, check that it only grows, and cosign its checkpoints.

    Each block is verified from the checkpoint that was cosigned last. The cosignature (C2SP tlog-cosignature, Ed25519
    with the time) stands in witness.json in FOLDER, which is replaced as a whole and made durable before the
    cosignature is shown; --once prints the cosigned note. The key, witness.seed, is made at the first run; witness.vkey
    is its public half. CARBONLEDGER_BOOTSTRAP names the broker; default: that of the `up` that runs.

    Exit code 1 when the ledger has forked: both checkpoints are kept as evidence for `verify-evidence`, and this
    witness cosigns nothing more. With --once also when certified blocks don't verify or are missing.

    \b
      carbonledger witness var/witness --genesis genesis.json
      carbonledger witness var/witness --genesis genesis.json --once > cosigned.note
      carbonledger witness var/witness --genesis genesis.json --file ledger.export
    """
    from consensus.log.follower import LedgerError
    from consensus.log.witness import Forked
    from infra.witness import WitnessFolder, blocks_of

    known = genesis_of(genesis)
    own = WitnessFolder(folder, known, name)
    (folder / "witness.vkey").write_text(f"{own.key}\n")
    _refuse_after_a_fork(own)
    try:
        if file is not None:
            _run(own, iter([blocks_of(file)]), quiet=True)
            own.offset = 0  # a place in the file is none on the topic: that will be looked through again
        else:
            _run(own, _topic(own, known, once=once), quiet=once)
    except Forked as error:
        _refuse_after_a_fork(own)
        raise AssertionError("a fork is kept as evidence") from error
    except LedgerError as error:
        _refuse(str(error))
    if once or file is not None:
        _finish(own)


def _topic(own: "WitnessFolder", known: "Genesis", *, once: bool) -> Iterator[list[tuple[bytes, int]]]:
    from infra import services, settings
    from infra.processes import until_sigterm
    from infra.witness import follow

    client = services.client(settings.load())
    return follow(client, known.partition, own.offset, until_sigterm(), once=once)


def _run(own: "WitnessFolder", portions: Iterator[Iterable[tuple[bytes, int]]], *, quiet: bool) -> None:
    """Look at what comes; unless `quiet`, cosign whenever the ledger has grown, and say so."""
    import time

    said = ""
    for portion in portions:
        moved = [own.take(message, offset) for message, offset in portion]
        if any(moved) and not quiet:
            own.cosign(int(time.time()))
            position = own.witness.position
            print(f"height {position.height}, tree size {position.tree.size} cosigned", file=sys.stderr, flush=True)
        if own.witness.objection != said and not quiet:
            said = own.witness.objection
            print(f"carbonledger: {said or 'the ledger goes on'}", file=sys.stderr, flush=True)


def _finish(own: "WitnessFolder") -> None:
    import time

    if own.witness.position.height:
        sys.stdout.write(own.cosign(int(time.time())))
    if own.witness.objection:
        _refuse(f"after height {own.witness.position.height}: {own.witness.objection}")


def _refuse_after_a_fork(own: "WitnessFolder") -> None:
    fork = own.fork
    if fork is not None:
        _refuse(f"THE LEDGER HAS FORKED: {fork.proven.sentence}. Evidence: {fork.path}. Nothing more is cosigned")


def _refuse(reason: str) -> None:
    print(f"carbonledger: {reason}", file=sys.stderr)
    raise typer.Exit(CHECK_FAILED)
