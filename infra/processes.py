"""The composition root: what each process is made of. Every function is a role's target and returns at SIGTERM."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from infra import channel as channels
from infra import metrics, services
from infra.errors import EnvironmentFault
from infra.settings import Settings
from schemas.observed import PROCESS

STORES = "stores"
ACCOUNTS = "accounts.sqlite"
ANOMALIES = "anomalies.sqlite"
WEBHOOKS = "webhooks"
"""Folder of what the processes keep, below the data folder."""


def until_sigterm() -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT came since this was called."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped.is_set


def _security(settings: Settings) -> dict[str, Any]:
    client = services.client(settings)
    del client["bootstrap.servers"]
    return client


def member(settings: Settings, index: str) -> None:
    """One member of the committee."""
    from consensus.member.config import KeyPair, MemberConfig
    from consensus.member.process import run

    channel = channels.load(settings.data)
    name, folder = f"member-{index}", settings.data / "members" / index
    kafka = services.client(settings)

    def keys() -> tuple[KeyPair, ...]:
        return channels.member_keys(channel.folder, name)

    config = MemberConfig(kafka, channel.genesis, channel.registry, name, keys, folder, observed=PROCESS)
    run(config, until_sigterm())


def accounts(settings: Settings) -> None:
    """The account processor."""
    from streams.accounts import Accounts, AccountsConfig, kept_sums

    channel = channels.load(settings.data)
    store = settings.data / STORES / ACCOUNTS
    PROCESS.shows("books", partial(metrics.balanced, partial(kept_sums, store)))
    processor = Accounts(AccountsConfig(services.client(settings), channel.genesis, channel.registry, store, PROCESS))
    stopped = until_sigterm()
    while not stopped():
        processor.step()
    processor.close()


def forecast(settings: Settings) -> None:
    """The forecast processor."""
    from streams.accounts import AccountsConfig
    from streams.forecast import Forecasts

    channel = channels.load(settings.data)
    store = settings.data / STORES / "forecast.sqlite"
    processor = Forecasts(AccountsConfig(services.client(settings), channel.genesis, channel.registry, store, PROCESS))
    stopped = until_sigterm()
    while not stopped():
        processor.step()
    processor.close()


def anomalies(settings: Settings) -> None:
    """The anomaly processor."""
    from infra import copy as copies
    from streams.anomaly.processor import Anomalies, AnomalyConfig

    channel = channels.load(settings.data)
    in_force = partial(copies.registry_in_force, settings.data, channel)
    store = settings.data / STORES / ANOMALIES
    ledger = services.client(settings), channel.genesis, channel.registry
    processor = Anomalies(AnomalyConfig(*ledger, in_force, store, settings.false_alarms, PROCESS))
    stopped = until_sigterm()
    while not stopped():
        processor.step()
    processor.close()


def ingest(settings: Settings) -> None:
    """A Faust worker that verifies and validates packets."""
    from infra import copy as copies
    from streams import ingest
    from streams.faust_app import Kafka

    channel = channels.load(settings.data)
    kafka = Kafka(services.client(settings)["bootstrap.servers"], _security(settings))
    folder = settings.data / STORES / "ingest"
    in_force = partial(copies.registry_in_force, settings.data, channel)
    ingest.main(ingest.IngestConfig(kafka, channel.genesis.digest, in_force, folder, observed=PROCESS))


def aggregate(settings: Settings) -> None:
    """A Faust worker that makes records of windows and proposes them."""
    from infra import copy as copies
    from streams import aggregate
    from streams.faust_app import Kafka

    channel = channels.load(settings.data)
    kafka = Kafka(services.client(settings)["bootstrap.servers"], _security(settings))
    folder, seed = settings.data / STORES / "aggregate", channel.seed(channels.AGGREGATOR)
    in_force = partial(copies.registry_in_force, settings.data, channel)
    config = aggregate.AggregateConfig(
        kafka, channel.genesis, in_force, channels.AGGREGATOR, seed, folder, observed=PROCESS
    )
    aggregate.main(config)


def sink(settings: Settings) -> None:
    """The ClickHouse sink, owner of the embedded tables."""
    from sinks.clickhouse import sink
    from sinks.clickhouse.reference import Reference

    channel = channels.load(settings.data)
    sink.main(
        sink.Config(
            bootstrap=services.client(settings)["bootstrap.servers"],
            data_dir=settings.data / STORES,
            reference=Reference.of(channel.registry),
            genesis=channel.folder / "genesis.json",
            url=settings.clickhouse.get_secret_value(),
            cluster=settings.clickhouse_cluster,
            kafka=_security(settings),
            observed=PROCESS,
        )
    )


def health(settings: Settings) -> None:
    """Tells how the pipeline stands, and what is wrong with it."""
    from infra import copy as copies
    from infra import health

    channel = channels.load(settings.data)
    in_force = partial(copies.registry_in_force, settings.data, channel)
    store, source = settings.data / STORES / "health.json", channel.genesis.origin
    config = health.HealthConfig(services.client(settings), settings.data, store, source, in_force, PROCESS)
    health.tell(config, until_sigterm())


def webhooks(settings: Settings) -> None:
    """The dispatcher of alerts to webhooks."""
    from sinks.webhooks import addresses, dispatcher

    channel = channels.load(settings.data)
    try:
        allowed = addresses.networks(settings.webhook_networks)
    except ValueError as error:
        raise EnvironmentFault(f"CARBONLEDGER_WEBHOOK_NETWORKS is no list of networks: {error}") from error
    folder = settings.data / STORES / WEBHOOKS
    config = dispatcher.Config(folder, channel.genesis.origin, allowed, observed=PROCESS)
    dispatcher.main(config, services.client(settings))


def gateway(settings: Settings, name: str) -> None:
    """An edge gateway that replays its part of the demonstration."""
    from infra.demo import parameters, scenario
    from streams.edge import gateway

    channel = channels.load(settings.data)
    declared = parameters.load()
    folder = settings.data / "gateways" / name
    folder.mkdir(parents=True, exist_ok=True)
    gateway.main(
        gateway.GatewayConfig(
            gateway=name,
            run=channel.registry.gateways[name].run,
            seed_file=channel.seed_file(name),
            channel=channel.genesis.digest.hex(),
            kafka=services.client(settings),
            store=folder / "packets.sqlite",
            replay=scenario.replay_settings(declared, name, channel.days),
            scales={point.id: point.scale for point in channel.registry.points_of[name]},
            progress=folder / "progress.json",
        ),
        PROCESS,
    )


def intake(settings: Settings, name: str) -> None:
    """The intake gateway: single readings of other producers, packed and signed."""
    from infra import copy as copies
    from streams import intake

    channel = channels.load(settings.data)
    config = intake.IntakeConfig(
        kafka=services.client(settings),
        channel=channel.genesis.digest,
        in_force=partial(copies.registry_in_force, settings.data, channel),
        gateway=name,
        seed=channel.seed(name),
        data_dir=settings.data / "gateways" / name,
        replay=channel.genesis.clock == "replay",
        observed=PROCESS,
    )
    intake.main(config)


def schema_registry(settings: Settings) -> None:
    """The read-only schema registry on loopback."""
    from schemas import server

    def say(url: str) -> None:
        (settings.data / "run" / "schemas.url").write_text(url + "\n")

    server.serve(say=say, turned=PROCESS.turned)
