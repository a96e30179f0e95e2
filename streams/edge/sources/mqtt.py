"""MQTT 3.1.1: devices publish JSON (`streams.edge.message`) to topics of their own, QoS 1, or Sparkplug B; network
servers publish the frames of their modems.

A message is acknowledged (PUBACK) once it is kept, in the order in which it came [MQTT-4.6.0-2], and the session is
persistent: what is not acknowledged the broker sends again after the next connect. Without room the source disconnects
and comes back later; meanwhile the broker queues. A message that can't be taken is acknowledged and counted: it would
come for ever. At QoS 0 there is nobody to send again, so what finds no room is lost, and counted.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import aiomqtt
from paho.mqtt.client import topic_matches_sub
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.edge.message import RefusedError, measured
from streams.edge.sources import Arrival, Keep, NoRoom, RawReading
from streams.edge.sources.modems import Modem, Modems
from streams.edge.sources.refusals import Refusals
from streams.edge.sources.sparkplug import NAMESPACE, Command, Sparkplug, SparkplugDevice

UNDER_WAY = 200
"""Messages that may wait to be kept at one time; the broker's own window is smaller as a rule."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(_Settings):
    """Files of TLS: the authority that the broker must show, by default the system's; a client's own certificate."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """The context of a client that checks certificate and host name."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


class Device(_Settings):
    """A registered device: its topic, and the point of each name that its messages use."""

    name: str
    topic: str
    points: dict[str, str]


class Broker(_Settings):
    """Where a broker is and how a client shows who it is. `password_file` holds the password alone."""

    host: str
    port: int = Field(default=1883, ge=1, le=65_535)
    username: str | None = None
    password_file: Path | None = None
    tls: Tls | None = None

    @model_validator(mode="after")
    def _whose_password(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise ValueError("a password needs a username")
        return self

    def login(self) -> dict[str, Any]:
        """The arguments of aiomqtt's client. Raises OSError for a file that can't be read."""
        return {
            "hostname": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password_file.read_text().rstrip("\r\n") if self.password_file is not None else None,
            "tls_context": self.tls.context() if self.tls is not None else None,
        }


class MqttSettings(Broker):
    """A broker and the devices behind it; durations in seconds.

    `topics` are the filters subscribed to, but for Sparkplug. They may take in more than the topics of devices and
    modems: what comes there is refused and counted. With a `host_id` the gateway is that primary host application: edge
    nodes that wait for it keep what they measure while it is away.
    """

    kind: Literal["mqtt"] = "mqtt"
    client_id: str = Field(min_length=1)
    keepalive: int = Field(default=60, ge=1)
    first_wait: float = Field(default=1.0, gt=0)
    longest_wait: float = Field(default=60.0, gt=0)
    max_bytes: int = Field(default=262_144, ge=1, le=524_288)
    topics: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    modems: tuple[Modem, ...] = ()
    sparkplug: tuple[SparkplugDevice, ...] = ()
    host_id: str | None = Field(default=None, pattern="^[^/+#]+$")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        topics = [*(device.topic for device in self.devices), *(modem.topic for modem in self.modems)]
        if len(set(topics)) != len(topics):
            raise ValueError("two devices have one topic")
        if not (self.topics or self.sparkplug):
            raise ValueError("neither topics nor sparkplug: nothing would be heard")
        if unheard := [topic for topic in topics if not any(topic_matches_sub(sub, topic) for sub in self.topics)]:
            raise ValueError(f"no filter of topics takes in {unheard[0]}")
        return self


def state_topic(host_id: str) -> str:
    """Where a primary host says whether it is there (Sparkplug 3.0, 6.4.25)."""
    return f"{NAMESPACE}/STATE/{host_id}"


def state(since: int, *, online: bool) -> bytes:
    """What it says there; `since` is when its session began, ms UTC."""
    return json.dumps({"online": online, "timestamp": since}).encode()


def _now() -> int:
    return time.time_ns() // 1_000_000


class _Client(aiomqtt.Client):
    """aiomqtt's client, which acknowledges when it is told to."""

    def by_hand(self) -> Self:
        self._client.manual_ack_set(True)
        return self

    def acknowledge(self, message: aiomqtt.Message) -> None:
        self._client.ack(message.mid, message.qos)


Taken = tuple[aiomqtt.Message, asyncio.Task[None] | None]
"""A message, and its being kept; None for one that is not."""


class MqttSource:
    """The live source of one broker."""

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings
        self._devices = {device.topic: device for device in settings.devices}
        self._failures = 0
        self.refusals = Refusals(f"mqtt {settings.host}")
        self.counts = self.refusals.counts
        self._modems = Modems(settings.modems, self.refusals)
        self._sparkplug = Sparkplug(settings.sparkplug, self.refusals)

    async def serve(self, keep: Keep) -> NoReturn:
        """Receive until cancelled; connect again with a wait that doubles until something is kept."""
        while True:
            try:
                await self._session(keep)
            except* NoRoom:
                self.refusals.count("no_room", "disconnected until there is some")
            except* aiomqtt.MqttError as error:
                self.refusals.count("disconnected", str(error.exceptions[0]))
            if (task := asyncio.current_task()) is not None and task.cancelling():
                # an error on the way out has taken its place
                raise asyncio.CancelledError
            await asyncio.sleep(min(self._settings.longest_wait, self._settings.first_wait * 2**self._failures))
            self._failures = min(self._failures + 1, 16)

    async def _session(self, keep: Keep) -> None:
        since = _now()
        async with self._client(since) as client:
            for topic in [*self._settings.topics, *self._sparkplug.filters]:
                await client.subscribe(topic, qos=1)
            await self._show(client, since, online=True)
            await self._command(client, self._sparkplug.connected(since))
            try:
                await self._receive(client, keep)
            finally:
                # without it the broker's will says the same
                with suppress(aiomqtt.MqttError):
                    await self._show(client, since, online=False)

    def _client(self, since: int) -> _Client:
        settings = self._settings
        host = settings.host_id
        will = host and aiomqtt.Will(state_topic(host), state(since, online=False), qos=1, retain=True)
        return _Client(
            **settings.login(),
            identifier=settings.client_id,
            keepalive=settings.keepalive,
            clean_session=False,
            will=will or None,
        ).by_hand()

    async def _show(self, client: _Client, since: int, *, online: bool) -> None:
        if (host := self._settings.host_id) is not None:
            await client.publish(state_topic(host), state(since, online=online), qos=1, retain=True)

    async def _command(self, client: _Client, commands: Sequence[Command]) -> None:
        for command in commands:
            await client.publish(command.topic, command.payload, qos=0)

    async def _receive(self, client: _Client, keep: Keep) -> None:
        taken: asyncio.Queue[Taken] = asyncio.Queue(UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._acknowledge(client, taken))
            async for message in client.messages:
                arrival, commands = self._taken(message)
                await self._command(client, commands)
                kept = arrival and group.create_task(self._keep(keep, arrival, message.qos))
                await taken.put((message, kept))

    async def _acknowledge(self, client: _Client, taken: asyncio.Queue[Taken]) -> NoReturn:
        while True:
            message, kept = await taken.get()
            if kept is not None:
                await kept
                self._failures = 0
            client.acknowledge(message)

    async def _keep(self, keep: Keep, arrival: Arrival, qos: int) -> None:
        try:
            await keep(arrival)
        except NoRoom:
            if qos == 0:
                self.refusals.count("lost_at_qos_0", f"{arrival.device} without room")
            raise

    def _taken(self, message: aiomqtt.Message) -> tuple[Arrival | None, Sequence[Command]]:
        """The arrival of a message, None when it makes none or, counted, can't be taken; and what answers it."""
        topic = str(message.topic)
        try:
            if len(message.payload) > self._settings.max_bytes:
                raise RefusedError("too_large", f"{len(message.payload)} bytes")
            if topic.startswith(f"{NAMESPACE}/"):
                return self._sparkplug.take(topic, message.payload, _now())
            read = self._modems.take if topic in self._modems else self._read
            return read(topic, message.payload), ()
        except RefusedError as error:
            self.refusals.count(error.reason, f"{topic}: {error.detail}")
            return None, ()

    def _read(self, topic: str, payload: bytes) -> Arrival:
        device = self._devices.get(topic)
        if device is None:
            raise RefusedError("unknown_device", "no device is registered there")
        readings = []
        for name, at, value, flag in measured(payload):
            if (point := device.points.get(name)) is not None:
                readings.append(RawReading(point, at, value, flag))
            else:
                self.refusals.count("unknown_point", f"{device.name}: {name!r}")
        if not readings:
            raise RefusedError("no_readings", "nothing in it is of a registered point")
        return Arrival(device.name, payload, tuple(readings))
