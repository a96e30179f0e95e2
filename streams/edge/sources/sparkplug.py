"""Sparkplug B as a host application sees it, without IO (Sparkplug 3.0, sections 4 to 6).

An edge node's birth says what its aliases mean. Sequence numbers run over all messages of a node, so a gap shows what
was lost: then, and whenever a birth is missing, a new one is asked for. A message whose birth is not known is kept as
it came, without readings. A metric's own time is its reading's, whether it is historical or not.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from pydantic import BaseModel, ConfigDict

from carbon.packet import AT_LIMIT
from streams.edge.message import MAX_VALUES, RefusedError
from streams.edge.sources import Arrival, RawReading
from streams.edge.sources.refusals import Refusals
from streams.edge.sources.sparkplug_payload import BOOLEAN, Payload, value

NAMESPACE = "spBv1.0"
REBIRTH = "Node Control/Rebirth"
ASK_AGAIN_MS = 10_000

_FLAGS = {192: "N", 500: "B"}
"""The property Quality: good, and stale; anything else is a fault."""


class SparkplugDevice(BaseModel):
    """A registered device, or with `device` None the edge node itself, and the point of each of its metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    node: str
    device: str | None = None
    points: dict[str, str]


class Command(NamedTuple):
    """A message to an edge node."""

    topic: str
    payload: bytes


class _Place(NamedTuple):
    group: str
    kind: str
    node: str
    device: str | None


@dataclass
class _Node:
    """What is known of an edge node: the next sequence number, the births, and when the last one was asked for."""

    following: int | None = None
    session: int | None = None
    born: dict[str | None, dict[str, int]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    asked: int | None = None


class Sparkplug:
    """The host's view of the nodes. Times in ms UTC."""

    def __init__(self, devices: tuple[SparkplugDevice, ...], refusals: Refusals) -> None:
        self._devices = {(device.group, device.node, device.device): device for device in devices}
        self._nodes = {(device.group, device.node): _Node() for device in devices}
        self._refusals = refusals

    @property
    def filters(self) -> list[str]:
        """The topic filters to subscribe to."""
        nodes = [(group, node) for group, node in self._nodes]
        return [f"{NAMESPACE}/{group}/+/{node}{tail}" for group, node in nodes for tail in ("", "/+")]

    def connected(self, now: int) -> list[Command]:
        """The commands after a connect: what went by meanwhile is not known, so every node is to be born again."""
        for node in self._nodes.values():
            node.following, node.asked = None, now
        return [_rebirth(*place, now) for place in self._nodes]

    def take(self, topic: str, data: bytes, now: int) -> tuple[Arrival | None, list[Command]]:
        """The arrival of a message, if it makes one, and the commands that answer it. Raises RefusedError."""
        place = _place(topic)
        node = self._nodes.get((place.group, place.node))
        if node is None:
            raise RefusedError("unknown_device", "no edge node of this name is registered")
        if place.kind not in _KINDS:
            return None, []
        try:
            payload = Payload.FromString(data)
            whole = self._follow(node, place, payload)
            arrival = self._arrival(node, place, payload, data)
        except (DecodeError, UnicodeDecodeError) as error:
            raise RefusedError("not_a_payload", str(error)) from error
        if whole or (node.asked is not None and now - node.asked < ASK_AGAIN_MS):
            return arrival, []
        node.asked = now
        return arrival, [_rebirth(place.group, place.node, now)]

    def _follow(self, node: _Node, place: _Place, payload: Any) -> bool:
        """Take note of births, deaths and sequence numbers; whether nothing is missing."""
        if place.kind == "NDEATH":
            self._die(node, payload)
            return True
        if place.kind == "NBIRTH":
            node.session, node.names, node.born, node.asked = _session(payload), {}, {}, None
        gap = place.kind != "NBIRTH" and node.following not in (None, payload.seq)
        if gap:
            self._refusals.count("sequence_gap", f"{place.node}: {payload.seq} where {node.following} was due")
        node.following = (payload.seq + 1) % 256
        if place.kind in ("NBIRTH", "DBIRTH"):
            node.names |= {m.alias: m.name for m in payload.metrics if m.HasField("alias")}
            node.born[place.device] = {m.name: m.datatype for m in payload.metrics}
        elif place.kind == "DDEATH":
            node.born.pop(place.device, None)
        return not gap and (place.kind == "DDEATH" or place.device in node.born)

    def _die(self, node: _Node, payload: Any) -> None:
        # a will that comes late belongs to a session before
        if node.session == _session(payload):
            node.born, node.following = {}, None

    def _arrival(self, node: _Node, place: _Place, payload: Any, data: bytes) -> Arrival | None:
        if place.kind in ("NDEATH", "DDEATH"):
            return None
        device = self._devices.get((place.group, place.node, place.device))
        if device is None:
            if place.device is None:
                return None  # a node that only carries devices
            raise RefusedError("unknown_device", "it is not registered at its edge node")
        born = node.born.get(place.device)
        if born is None:
            self._refusals.count("no_birth", f"{device.name}: kept without readings")
            return Arrival(device.name, data, ())
        readings = [
            reading
            for metric in payload.metrics
            if (reading := self._reading(metric, payload, born, node.names, device)) is not None
        ]
        if len(readings) > MAX_VALUES:
            raise RefusedError("too_large", f"{len(readings)} values in one message")
        return Arrival(device.name, data, tuple(readings)) if readings else None

    def _reading(
        self, metric: Any, payload: Any, born: dict[str, int], names: dict[int, str], device: SparkplugDevice
    ) -> RawReading | None:
        name = metric.name if metric.HasField("name") else names.get(metric.alias)
        if name is None or name not in born:
            self._refusals.count("unknown_metric", f"{device.name}: {name or metric.alias!r} is not in the birth")
            return None
        point = device.points.get(name)
        if point is None:
            return None
        timed = metric if metric.HasField("timestamp") else payload
        if not timed.HasField("timestamp") or timed.timestamp >= AT_LIMIT:
            self._refusals.count("bad_time", f"{device.name}: {name}")
            return None
        return RawReading(point, timed.timestamp, value(metric, born[name]), _flag(metric))


_KINDS = {"NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"}


def _place(topic: str) -> _Place:
    parts = topic.split("/")
    if len(parts) not in (4, 5) or (parts[2][:1] == "D") != (len(parts) == 5):
        raise RefusedError("unknown_device", "not a topic of an edge node or device")
    return _Place(parts[1], parts[2], parts[3], parts[4] if len(parts) == 5 else None)


def _session(payload: Any) -> int | None:
    numbers = [metric.long_value or metric.int_value for metric in payload.metrics if metric.name == "bdSeq"]
    return numbers[0] if numbers else None


def _flag(metric: Any) -> str:
    properties = dict(zip(metric.properties.keys, metric.properties.values, strict=False))
    quality = properties.get("Quality")
    return "N" if quality is None else _FLAGS.get(quality.int_value, "D")


def _rebirth(group: str, node: str, now: int) -> Command:
    payload = Payload(timestamp=now)
    payload.metrics.add(name=REBIRTH, timestamp=now, datatype=BOOLEAN, boolean_value=True)
    return Command(f"{NAMESPACE}/{group}/NCMD/{node}", payload.SerializeToString())
