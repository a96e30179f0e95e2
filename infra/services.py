"""The product as a plan for the supervisor: the roles of `infra.roles`, with the settings of this run."""

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra import broker, runfile
from infra.plan import Process
from infra.ports import listens
from infra.roles import BROKER, Role
from infra.settings import PREFIX, Settings
from infra.topics import ensure_topics
from schemas.topics import Bounds, catalogue


@dataclass(frozen=True)
class Services:
    """What `up` keeps alive, and the address of the broker that it is about."""

    processes: tuple[Process, ...]
    bootstrap: str


def plan(
    settings: Settings, say: Callable[[str], None], roles: Iterable[Role] = (BROKER,), *, brief: bool = False
) -> Services:
    """The processes of all roles, for days or for a `brief` run.

    The embedded broker's folder is made ready; a cluster's topics are created.

    Raises EnvironmentFault, also when another `up` runs on the data folder.
    """
    runfile.refuse_if_held(settings.data)
    if settings.embedded_broker:
        launch = prepare_broker(settings, say, brief=brief)
        others = (_process(role, settings, launch.bootstrap) for role in roles if role.name != "broker")
        return Services((_broker(launch, settings), *others), launch.bootstrap)
    ensure_topics(settings.client(), catalogue(), Bounds())
    # nothing can depend on a broker that isn't ours to start
    processes = tuple(_process(role, settings, settings.bootstrap) for role in roles if role.name != "broker")
    return Services(processes, settings.bootstrap)


def prepare_broker(settings: Settings, say: Callable[[str], None], *, brief: bool = False) -> broker.Launch:
    """The embedded broker of these settings, formatted. Raises EnvironmentFault."""
    return broker.prepare(
        settings.data / "broker",
        message_bytes=Bounds().message_bytes,
        port=settings.port,
        heap_mb=settings.heap_mb,
        brief=brief,
        say=say,
    )


def become_broker(settings: Settings) -> None:
    """Role `broker`: this process turns into the broker."""
    broker.run(prepare_broker(settings, lambda line: print(line, file=sys.stderr)))


def client(settings: Settings) -> dict[str, Any]:
    """A Kafka client's configuration: of the cluster in the settings, or of the broker of the `up` that runs.

    With JSON lines its own go the same way. Raises EnvironmentFault when there is neither.
    """
    kafka = settings.client(settings.bootstrap or runfile.running(settings.data).bootstrap)
    return kafka if settings.log == "console" else {**kafka, "logger": logging.getLogger("librdkafka")}


def _broker(launch: broker.Launch, settings: Settings) -> Process:
    own = settings.client(launch.bootstrap)

    def ready() -> bool:
        """It answers, and has the topics, so that whoever depends on it finds them."""
        if not listens(launch.port) or not broker.answers(own):
            return False
        ensure_topics(own, catalogue(), Bounds())
        return True

    return Process(
        "broker",
        launch.argv,
        ready=ready,
        lock=launch.lock,
        explain=broker.explain,
        ready_within=broker.READY_WITHIN,
        stop_within=broker.STOP_WITHIN,
    )


def _process(role: Role, settings: Settings, bootstrap: str) -> Process:
    depends = tuple(name for name in role.depends if name != "broker" or settings.embedded_broker)
    return Process(
        role.name,
        (sys.executable, "-m", "infra.cli", "run", role.name),
        depends=depends,
        ready=partial(role.ready, settings) if role.ready else None,
        group=role.group,
        # the port in the settings is that of `up`; each process takes a free one
        env={f"{PREFIX}BOOTSTRAP": bootstrap, f"{PREFIX}DATA": str(settings.data), f"{PREFIX}METRICS_PORT": "0"},
        stop_within=role.stop_within,
    )
