"""The command `carbonledger`: one module a command group, each importing what it needs when it runs."""

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.cli import (
    accounts,
    command,
    committee,
    compliance,
    demo,
    evidence,
    factors,
    gateway,
    growth,
    ledger,
    meter,
    outlook,
    oversight,
    plan,
    query,
    registry,
    regulating,
    regulator,
    run,
    schemas,
    simulate,
    stack,
    status,
    submit,
    tables,
    topics,
    up,
    webhooks,
    witness,
)
from infra.errors import ENVIRONMENT_EXIT, EnvironmentFault

app = typer.Typer(
    name="carbonledger",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="""Carbon accounting that nobody has to take on trust.

\b
  carbonledger up                    start everything, until Ctrl-C
  carbonledger status                what runs, how far behind, how high the ledger
  carbonledger status --output json  the same for a program
  carbonledger --data /srv/co2 up    with its data in another folder

\b
Exit codes:
  0  done
  1  a check failed: the data is not what it claims to be
  2  the command line could not be understood
  3  the environment is in the way (a port, a disk, nothing runs): the message says what to do

Settings are environment variables: CARBONLEDGER_DATA, CARBONLEDGER_BOOTSTRAP, CARBONLEDGER_KAFKA,
CARBONLEDGER_PORT, CARBONLEDGER_HEAP_MB, CARBONLEDGER_CLICKHOUSE, CARBONLEDGER_WEBHOOK_NETWORKS,
CARBONLEDGER_LOG (console or json), CARBONLEDGER_LOG_LEVEL.""",
)

DataFolder = Annotated[
    Path | None, typer.Option("--data", help="The folder of broker, ledger, tables and logs. Default: var/ledger")
]


@app.callback()
def _common(data: DataFolder = None) -> None:
    if data is not None:
        # by the environment, so that the processes we start live in the same folder
        os.environ["CARBONLEDGER_DATA"] = str(data)


app.command("up")(up.up)
app.command("down")(up.down)
app.command("status")(status.status)
app.command("demo")(demo.demo)
app.command("gateway")(gateway.gateway)
app.command("command")(command.command)
app.command("query")(query.query)
app.command("account")(accounts.account)
app.command("statement")(accounts.statement)
app.command("structure")(accounts.structure)
app.command("warnings")(outlook.warnings)
app.command("stack")(stack.stack)
app.command("uncertainty")(stack.uncertainty)
app.command("region")(regulator.region)
app.command("verify")(ledger.verify)
app.command("export")(ledger.export)
app.command("checkpoint")(ledger.checkpoint)
app.command("prove")(ledger.prove)
app.command("verify-proof")(ledger.verify_proof)
app.command("prove-growth")(growth.prove_growth)
app.command("verify-growth")(growth.verify_growth)
app.command("witness")(witness.witness)
app.command("resolve")(ledger.resolve)
app.add_typer(evidence.app, name="evidence")
app.command("verify-evidence")(evidence.verify_evidence)
app.add_typer(committee.app, name="committee")
app.add_typer(registry.app, name="registry")
app.command("submit")(submit.submit)
app.add_typer(factors.app, name="factors")
app.add_typer(compliance.app, name="compliance")
for _command in (regulating.measures, regulating.propose, regulating.rules):
    oversight.app.command()(_command)
app.add_typer(oversight.app, name="regulator")
app.command("simulate")(simulate.simulate)
app.add_typer(meter.app, name="meter")
app.add_typer(plan.app, name="plan")
app.add_typer(schemas.app, name="schemas")
app.add_typer(tables.app, name="tables")
app.add_typer(topics.app, name="topics")
app.add_typer(webhooks.app, name="webhooks")
app.command("run", hidden=True)(run.run)


COLLECT = (50_000, 20, 100)
"""Python's collector looks for cycles, of which there are few here. At its own pace it takes a third of the time of
whatever makes objects a record (`docs/benchmarks.md`)."""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a check failed, 2 usage, 3 the environment is in the way."""
    gc.set_threshold(*COLLECT)
    try:
        app()
    except EnvironmentFault as fault:
        print(f"carbonledger: {fault}", file=sys.stderr)
        sys.exit(ENVIRONMENT_EXIT)
