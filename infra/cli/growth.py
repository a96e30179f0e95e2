"""The commands about growth: the proof that the ledger of one checkpoint is the beginning of another's."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.evidence import genesis_of, json_of
from infra.cli.ledger import copy_of
from infra.cli.output import Form, Output, show

CHECK_FAILED = 1


def prove_growth(
    old: Annotated[int, typer.Argument(min=1, help="The earlier block height.")],
    new: Annotated[int | None, typer.Argument(min=1, help="The later one; default: the newest.")] = None,
    sizes: Annotated[bool, typer.Option("--sizes", help="OLD and NEW are tree sizes, not heights.")] = False,
    member: Annotated[int, typer.Option(help="Whose copy of the ledger to read.")] = 0,
) -> None:
    """Print the proof that the ledger only grew from one certified checkpoint to a later one.

    The proof is one JSON file with both checkpoints, that anybody verifies offline, with the genesis alone.

    \b
      carbonledger prove-growth 10 20 > growth.json
      carbonledger prove-growth --sizes 3000 12000
      carbonledger verify-growth growth.json --genesis var/ledger/channel/genesis.json
    """
    from consensus.log.follower import LedgerError
    from infra.copy import NotFound

    copy = copy_of(member)
    try:
        file = copy.growth(old, new, sizes=sizes)
    except (NotFound, LedgerError) as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error
    json.dump(file, sys.stdout, indent=1, ensure_ascii=False)
    print()


def verify_growth(
    file: Annotated[Path, typer.Argument(help="The growth proof.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the channel.")],
    output: Output = Form.TABLE,
) -> None:
    """Verify a growth proof offline, with the genesis alone: both certificates, and the consistency of the two trees.

    Exit code 0 when the ledger grew as it says, 1 when the proof does not hold, with the reason, 2 when a file can't be
    read as what it should be.

    \b
      carbonledger verify-growth growth.json --genesis genesis.json
    """
    from consensus.log import growth
    from consensus.log.proof import ProofRefused

    known, data = genesis_of(genesis), json_of(file)
    try:
        grown = growth.verify(data, known)
    except ProofRefused as error:
        print(f"carbonledger: the proof does not hold: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error
    rows = [
        {"which": which, "height": point.height, "tree_size": point.size, "root": point.root.hex()}
        for which, point in (("old", grown.old), ("new", grown.new))
    ]
    show(rows, output, ("which", "height", "tree_size", "root"))
