"""`carbonledger command`: an operator's signed command to a gateway."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.evidence import genesis_of
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from carbon.registry import Registry
    from consensus.log.genesis import Genesis

REFUSED = 1
FOLLOWED = "followed"
"""Folder of what was read of channels' registries, below the data folder."""


def command(
    gateway: Annotated[str, typer.Argument(help="The gateway's id.")],
    point: Annotated[str, typer.Argument(help="The point's id.")],
    operator: Annotated[str, typer.Option(help="Your id in the registry.")],
    seed_file: Annotated[Path, typer.Option(help="Your key: a file of 64 hex digits, chmod 600.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the channel.")],
    registry: Annotated[Path, typer.Option(help="The registry file that the genesis names.")],
    interval: Annotated[int | None, typer.Option(help="Read the point every so many ms.")] = None,
    bounds: Annotated[tuple[int, int] | None, typer.Option(help="Read it within these bounds, in ms.")] = None,
    backfill: Annotated[
        tuple[str, str] | None, typer.Option(help="Send [FROM, TO) again, ms UTC or ISO 8601 with an offset.")
    ] = None,
    number: Annotated[int | None, typer.Option(help="Its number. Default: the time, ms UTC.")] = None,
    valid: Annotated[int, typer.Option(help="Seconds for which it may be obeyed, counted from its number.")] = 3600,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the ledger, and then for the outcome.")] = 30.0,
) -> None:
    """Command one gateway, once, and wait for its signed outcome: obeyed, or refused by which rule.

    Give one of --interval, --bounds and --backfill. What the regulation of the point doesn't allow is refused. The
    same command again, with its --number, gets the same answer and is not obeyed twice. CARBONLEDGER_BOOTSTRAP names
    the broker. The gateway's key is that of the registry in force, read from the ledger first. docs/sampling.md.

    Exit code 1 when the gateway refuses, 3 when it doesn't answer in time.

    \b
      carbonledger command edge-1 stack-1/co2 --interval 2000 --operator control-room \\
        --seed-file operator.seed --genesis genesis.json --registry registry.json
    """
    kind, first, last = _order(interval, bounds, backfill)
    number = time.time_ns() // 1_000_000 if number is None else number
    fields: dict[str, str | int] = {"operator": operator, "gateway": gateway, "number": number}
    fields |= {"until": number + valid * 1000, "kind": kind, "point": point, "first": first, "last": last}
    channel = genesis_of(genesis)
    reason = _send(gateway, fields, seed_file, channel, _registry(registry, channel), wait)
    if reason is None:
        raise EnvironmentFault(f"{gateway} has not answered in {wait:g} s: send it again with --number {number}")
    print(f"{gateway} {number}: {reason}")
    if reason != "obeyed":
        raise typer.Exit(REFUSED)


def _order(
    interval: int | None, bounds: tuple[int, int] | None, backfill: tuple[str, str] | None
) -> tuple[str, int, int]:
    from streams.edge.message import RefusedError, instant_of

    orders: list[tuple[str, int, int]] = []
    if interval is not None:
        orders.append(("interval", interval, interval))
    if bounds is not None:
        orders.append(("bounds", *bounds))
    if backfill is not None:
        try:
            start, end = map(instant_of, backfill)
        except RefusedError as error:
            raise typer.BadParameter(f"--backfill: {error}") from None
        orders.append(("backfill", start, end))
    if len(orders) != 1:
        raise typer.BadParameter("give one of --interval, --bounds and --backfill")
    return orders[0]


def _send(
    gateway: str,
    fields: dict[str, str | int],
    seed_file: Path,
    channel: "Genesis",
    registry: "Registry",
    wait: float,
) -> str | None:
    from confluent_kafka import KafkaException

    from infra import services, settings
    from infra.channel import read_seed
    from streams.edge import commands, operator

    own = settings.load()
    try:
        message = commands.sign(read_seed(seed_file), channel.digest, **fields)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"no command: {error}") from None
    try:
        now = _in_force(services.client(own), channel, registry, own.data / FOLLOWED, wait)
        return operator.send(services.client(own), gateway, message, now, channel.digest, wait)
    except KafkaException as error:
        raise EnvironmentFault(f"the broker has not taken it: {error}") from error


def _in_force(
    kafka: dict[str, str], channel: "Genesis", registry: "Registry", folder: Path, seconds: float
) -> "Registry":
    """The registry in force where the ledger ends, by which a gateway signs. Raises EnvironmentFault, KafkaException.

    How far it was read is kept in the folder: the next command goes on from there.
    """
    from contextlib import closing

    from streams.registrations import Registrations

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{channel.digest.hex()}.json"
    with closing(Registrations(kafka, channel, registry, "operator", file)) as reader:
        if not reader.catch_up(seconds):
            raise EnvironmentFault(f"the ledger was not read to its end in {seconds:g} s: once more goes on from there")
        return reader.in_force()[1]


def _registry(path: Path, genesis: "Genesis") -> "Registry":
    from carbon import factors
    from carbon import registry as registries

    try:
        registry = registries.parse(path.read_bytes(), factors.load())
    except (OSError, registries.RegistryError) as error:
        raise typer.BadParameter(f"the registry {path} can't be used: {error}") from error
    if registry.digest != genesis.registry:
        raise typer.BadParameter(f"{path} is not the registry that the genesis names")
    return registry
