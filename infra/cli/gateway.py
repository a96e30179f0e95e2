"""`carbonledger gateway`: the live edge gateway, which devices send to and whose packets are evidence."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.errors import ENVIRONMENT_EXIT, EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from streams.edge.config import LiveConfig
    from streams.edge.store import Store


def gateway(
    config: Annotated[Path, typer.Option(help="The gateway's settings, JSON or YAML.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the settings and their secrets.")] = False,
) -> None:
    """Run an edge gateway in the foreground until Ctrl-C or SIGTERM: devices in, signed packets out.

    What a device sends is on disk before it is answered; a second start goes on where the first one ended, however it
    ended. While the uplink is away everything is kept, within disk_bytes. How it stands is in progress.json in its
    folder, each second. docs/gateway.md says what it takes on disk, and what happens when that is full.

    \b
      carbonledger gateway --check --config edge.yaml
      carbonledger gateway --config edge.yaml

    \b
    A whole edge.yaml, for one broker of MQTT devices that publish JSON:
      gateway: edge-1
      run: 1
      seed_file: edge.seed                # 64 hex digits; chmod 600
      channel: "<64 hex digits: the genesis digest>"
      kafka: {bootstrap.servers: "kafka:9093", security.protocol: SASL_SSL,
              sasl.mechanism: SCRAM-SHA-512, sasl.username: edge-1}
      kafka_secrets: {sasl.password: kafka.password}     # chmod 600
      folder: /var/lib/carbonledger/edge-1
      disk_bytes: 1073741824
      packet: {readings: 1000, age: 10, silence: 60}
      scales: {boiler-co2: 3}
      sources:
        - kind: mqtt
          host: 127.0.0.1
          client_id: edge-1
          topics: ["site/+/measured"]
          devices: [{name: boiler, topic: site/boiler/measured,
                     points: {co2: boiler-co2}}]

    With `replay` instead of `sources` it replays a table, as docs/sources.md shows.

    \b
    Exit codes: 0 ended as asked, 2 the settings are wrong, 3 the environment is in the way.
    """
    from functools import partial

    from infra import endpoints, logging, settings, tracing
    from schemas.metrics import LIVE, REPLAY
    from schemas.observed import PROCESS
    from streams.edge import config as edge
    from streams.edge import gateway as replay

    own = settings.load()
    logging.configure(own.log, own.log_level, "gateway")
    try:
        loaded = edge.load(config)
    except edge.ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    except edge.SecretError as error:
        raise EnvironmentFault(str(error)) from error
    if not check:
        tracing.start(f"gateway-{loaded.gateway}")
    if isinstance(loaded, edge.LiveConfig):
        _run(
            loaded, partial(endpoints.serving, loaded.folder, LIVE, PROCESS, own.metrics_host, own.metrics_port), check
        )
    elif not check:
        with endpoints.serving(loaded.store.parent, REPLAY, PROCESS, own.metrics_host, own.metrics_port):
            failed = replay.main(loaded, PROCESS)
        raise typer.Exit(ENVIRONMENT_EXIT if failed else 0)


def _run(config: "LiveConfig", serving: "Callable[[], AbstractContextManager[int]]", check: bool) -> None:
    import sqlite3
    from tempfile import TemporaryDirectory

    import uvloop
    from confluent_kafka import KafkaException

    from streams.edge.config import ConfigError, SecretError, gateway_of
    from streams.edge.signer import SeedError
    from streams.edge.store import Store, StoreError

    try:
        if check:
            with TemporaryDirectory() as folder, Store(Path(folder) / "store") as empty:
                gateway_of(config, empty)
            _say(config, f"the settings can be used{_channel(config)}")
            return
        with config.open() as store, serving():
            uvloop.run(_serve(config, store))
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    except KafkaException as error:
        raise typer.BadParameter(f"kafka: {error}") from error
    except (SecretError, SeedError, StoreError, sqlite3.Error, OSError) as error:
        raise EnvironmentFault(f"{config.gateway}: {error}") from error


async def _serve(config: "LiveConfig", store: "Store") -> None:
    import asyncio
    import signal

    from schemas.observed import PROCESS
    from streams.edge.serving import serve

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _say(config, f"serving; {config.status_file} says how it stands")
    await serve(config, store, stop, PROCESS)


def _channel(config: "LiveConfig") -> str:
    from streams.edge.config import channel_of

    genesis, registry = channel_of(config)
    if genesis is None:
        return ""
    return f"; channel {genesis.channel}, by its genesis" + (", with the registry that it names" if registry else "")


def _say(config: "LiveConfig", what: str) -> None:
    kinds = ", ".join(source.kind for source in config.sources)
    print(f"{config.gateway} ({kinds}): {what}", file=sys.stderr, flush=True)
