"""The processes of the product: which function each runs, after whom, when it is ready, and its consumer group.

A role's function is named, not imported, so that listing the roles costs nothing; `carbonledger run ROLE` imports and
calls it as `function(settings, *args)`. It returns at SIGTERM. To add a process, add an entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carbon.signers import Gateway
    from infra.channel import Channel
    from infra.settings import Settings


@dataclass(frozen=True)
class Role:
    """One kind of process. `target` is `package.module:function`."""

    name: str
    target: str
    args: tuple[str, ...] = ()
    depends: tuple[str, ...] = ("broker",)
    group: str | None = None
    ready: "Callable[[Settings], bool] | None" = None
    stop_within: float = 10.0

    def function(self) -> Callable[..., None]:
        """The function that is the process."""
        module, name = self.target.split(":")
        function: Callable[..., None] = getattr(import_module(module), name)
        return function


BROKER = Role("broker", "infra.services:become_broker", depends=(), stop_within=30.0)

_EVERYWHERE = (
    BROKER,
    Role("schemas", "infra.processes:schema_registry", depends=()),
    Role("ingest", "infra.processes:ingest", group="carbon.ingest", stop_within=20.0),
    Role("aggregate", "infra.processes:aggregate", group="carbon.aggregate", stop_within=20.0),
    Role("accounts", "infra.processes:accounts", group="carbon.accounts"),
    Role("forecast", "infra.processes:forecast", group="carbon.forecast"),
    Role("sink", "infra.processes:sink", group="carbon.clickhouse", stop_within=20.0),
    Role("webhooks", "infra.processes:webhooks", group="carbon.webhooks", stop_within=20.0),
    Role("health", "infra.processes:health"),
)


def roles_of(channel: "Channel") -> tuple[Role, ...]:
    """All processes of a channel, in the order in which they start: readers first, gateways last."""
    members = (
        Role(f"member-{index}", "infra.processes:member", (str(index),), group=f"carbon.member-{index}")
        for index in channel.played
    )
    gateways = (_gateway(gateway, channel.genesis.clock) for gateway in channel.registry.gateways.values())
    return (*_EVERYWHERE, *members, *(role for role in gateways if role is not None))


def _gateway(gateway: "Gateway", clock: str) -> Role | None:
    """The intake, or a gateway that replays; one that serves devices or attests runs where these are."""
    if gateway.kind == "intake":
        return Role("intake", "infra.processes:intake", (gateway.id,), group="carbon.intake")
    if clock == "live" or gateway.attests:
        return None
    return Role(f"gateway-{gateway.id}", "infra.processes:gateway", (gateway.id,))
