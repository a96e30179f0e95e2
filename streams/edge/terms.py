"""What a gateway goes by, pure: its run, scales, registers and operators, as a registry has them.

A gateway's settings say what it was set up for; what is in force is the registry's word, which changes with the ledger.
Two registries of equal terms are the same to the gateway.
"""

from collections.abc import Mapping
from typing import NamedTuple

from carbon.registry import Registry
from carbon.signers import Gateway, Operator
from streams.edge.counter import HOUR_MS, Counted, Register


class TermsError(ValueError):
    """Settings that contradict the registry."""


class Stated(NamedTuple):
    """What the settings state: the public keys at hand by their run, the scales of points, and its registers."""

    gateway: str
    keys: Mapping[int, bytes]
    scales: Mapping[str, int]
    counters: Mapping[str, str]


class Terms(NamedTuple):
    """What holds: the run to sign in, and why nothing of it may be sent yet, empty when it may.

    `operators` may command the gateway; `future_ms` is how far a reading may be ahead of its packet.
    """

    run: int
    silent: str
    scales: Mapping[str, int]
    counters: Mapping[str, Counted]
    operators: Mapping[str, Operator]
    future_ms: int


def terms_of(registry: Registry, stated: Stated, standing: int) -> Terms:
    """The terms of a gateway by a registry; `standing` is the run to go on in while none of its keys counts.

    Raises TermsError.
    """
    run, silent = _run(registry.gateways.get(stated.gateway), stated.keys, standing)
    registered = {point.id: point.scale for point in registry.points_of.get(stated.gateway, ())}
    for point in stated.scales.keys() & registered.keys():
        if stated.scales[point] != registered[point]:
            raise TermsError(f"scales: {point} has {registered[point]} decimal places in the registry")
    operators = {name: one for name, one in registry.operators.items() if stated.gateway in one.gateways}
    scales = {**stated.scales, **registered}
    return Terms(run, silent, scales, _counters(registry, stated), operators, registry.limits.future_ms)


def _run(gateway: Gateway | None, keys: Mapping[int, bytes], standing: int) -> tuple[int, str]:
    if gateway is None:
        return standing, "the gateway is not registered"
    if gateway.revoked:
        return standing, f"the key of run {gateway.run} is revoked"
    if keys.get(gateway.run) != gateway.key:
        return standing, f"run {gateway.run} is registered, with a key that is not at hand"
    return gateway.run, ""


def _counters(registry: Registry, stated: Stated) -> dict[str, Counted]:
    if len(set(stated.counters.values())) < len(stated.counters):
        raise TermsError("counters: two registers have one point for what they count")
    return {name: _counted(registry, stated.gateway, name, amount) for name, amount in stated.counters.items()}


def _counted(registry: Registry, gateway: str, name: str, amount: str) -> Counted:
    point, other = registry.points.get(name), registry.points.get(amount)
    if point is None or other is None or {point.gateway, other.gateway} != {gateway}:
        raise TermsError(f"counters: {name} and {amount} are not both registered at {gateway}")
    if point.counter is None or point.rate is None or point.time != "step" or other.time != "start":
        raise TermsError(f"counters: {name} is to be registered as a counter of time step, {amount} of time start")
    if (point.unit, point.step_ms, point.scale) != (other.unit, other.step_ms, other.scale):
        raise TermsError(f"counters: {name} and {amount} differ in unit, step or scale")
    register = Register(point.counter, -(-point.rate * HOUR_MS // point.step_ms))
    return Counted(amount, register, point.step_ms, point.scale)
