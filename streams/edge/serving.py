"""A live gateway for as long as its process runs: made anew whenever what it goes by changes on the ledger.

What a registry changes for a gateway changes seldom. Then its parts end in order, as at its stop, and begin again on
the same store: what a device was not answered it sends again, and nothing that was answered is touched.
"""

import asyncio
from contextlib import suppress

import structlog

from carbon.registry import Registry
from schemas.observed import Observed
from streams.edge.config import LiveConfig, channel_of, gateway_of, kafka_of, terms
from streams.edge.store import Store
from streams.edge.terms import Terms, TermsError
from streams.registrations import Following, Registrations, in_force_by, standing_of

ASK_EVERY = 5.0
"""Seconds from one look for the registry in force to the next."""

_log = structlog.get_logger(__name__)


async def serve(config: LiveConfig, store: Store, stop: asyncio.Event, observed: Observed | None = None) -> None:
    """Serve until `stop`. Raises like `gateway_of`."""
    following = _following(config)
    if following is None:
        await gateway_of(config, store, observed=observed).run(stop)
        return
    reading = asyncio.create_task(asyncio.to_thread(following.run))
    try:
        while not stop.is_set():
            await _serve_by(config, store, following, stop, observed)
    finally:
        following.stop.set()
        await reading


async def _serve_by(
    config: LiveConfig, store: Store, following: Following, stop: asyncio.Event, observed: Observed | None
) -> None:
    """Serve by the registry that is in force now, until `stop` or until another one changes the terms."""
    height, registry = following.now
    over = asyncio.Event()
    gateway = gateway_of(config, store, (height, registry), observed)
    waiting = asyncio.create_task(_until_other(config, store, following, registry, stop))
    waiting.add_done_callback(lambda _: over.set())
    try:
        await gateway.run(over)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _until_other(
    config: LiveConfig, store: Store, following: Following, registry: Registry, stop: asyncio.Event
) -> None:
    """Wait until `stop`, or until a registry is in force by which the gateway goes otherwise than by this one."""
    mine, seen = terms(config, store, registry), registry
    while not stop.is_set():
        _, now = following.now
        if now is not seen and _are_other(config, store, mine, now):
            return
        seen = now
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_EVERY):
                await stop.wait()


def _are_other(config: LiveConfig, store: Store, mine: Terms, now: Registry) -> bool:
    try:
        return terms(config, store, now) != mine
    except TermsError as error:
        _log.error("the registry contradicts the settings: the gateway goes on by the former one", reason=str(error))
        return False


def _following(config: LiveConfig) -> Following | None:
    genesis, registry = channel_of(config)
    if genesis is None or registry is None:
        return None
    # an uplink that is away would fill the log with every attempt to connect; the status says how far behind it is
    kafka = {"log_level": "2", **kafka_of(config)}
    group, file = f"gateway-{config.gateway}-ledger", config.folder / "ledger.json"
    found = in_force_by(standing_of(file), registry)
    return Following(lambda: Registrations(kafka, genesis, registry, group, file), found)
