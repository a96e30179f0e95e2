"""MQTT 3.1.1: devices publish JSON (`streams.edge.message`) to topics of their own, QoS 1.

A message is acknowledged (PUBACK) once it is kept, in the order in which it came [MQTT-4.6.0-2], and the session is
persistent: what is not acknowledged the broker sends again after the next connect. Without room the source disconnects
and comes back later; meanwhile the broker queues. A message that can't be taken is acknowledged and counted: it would
come for ever. At QoS 0 there is nobody to send again, so what finds no room is lost, and counted.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import aiomqtt
from paho.mqtt.client import topic_matches_sub
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.edge.message import RefusedError, measured
from streams.edge.sources import Arrival, Keep, NoRoom, RawReading
from streams.edge.sources.refusals import Refusals

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

    `topics` are the filters subscribed to. They may take in more than the devices' topics: what comes there is refused
    and counted.
    """

    kind: Literal["mqtt"] = "mqtt"
    client_id: str = Field(min_length=1)
    keepalive: int = Field(default=60, ge=1)
    first_wait: float = Field(default=1.0, gt=0)
    longest_wait: float = Field(default=60.0, gt=0)
    max_bytes: int = Field(default=262_144, ge=1, le=524_288)
    topics: tuple[str, ...] = Field(min_length=1)
    devices: tuple[Device, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        topics = [device.topic for device in self.devices]
        if len(set(topics)) != len(topics):
            raise ValueError("two devices have one topic")
        if unheard := [topic for topic in topics if not any(topic_matches_sub(sub, topic) for sub in self.topics)]:
            raise ValueError(f"no filter of topics takes in {unheard[0]}")
        return self


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
        async with self._client() as client:
            for topic in self._settings.topics:
                await client.subscribe(topic, qos=1)
            await self._receive(client, keep)

    def _client(self) -> _Client:
        settings = self._settings
        return _Client(
            **settings.login(), identifier=settings.client_id, keepalive=settings.keepalive, clean_session=False
        ).by_hand()

    async def _receive(self, client: _Client, keep: Keep) -> None:
        taken: asyncio.Queue[Taken] = asyncio.Queue(UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._acknowledge(client, taken))
            async for message in client.messages:
                arrival = self._arrival(message)
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

    def _arrival(self, message: aiomqtt.Message) -> Arrival | None:
        """The arrival of a message; None, and counted, when it can't be taken."""
        try:
            return self._read(str(message.topic), message.payload)
        except RefusedError as error:
            self.refusals.count(error.reason, f"{message.topic}: {error.detail}")
            return None

    def _read(self, topic: str, payload: bytes) -> Arrival:
        device = self._devices.get(topic)
        if device is None:
            raise RefusedError("unknown_device", "no device is registered there")
        if len(payload) > self._settings.max_bytes:
            raise RefusedError("too_large", f"{len(payload)} bytes")
        readings = []
        for name, at, value, flag in measured(payload):
            if (point := device.points.get(name)) is not None:
                readings.append(RawReading(point, at, value, flag))
            else:
                self.refusals.count("unknown_point", f"{device.name}: {name!r}")
        if not readings:
            raise RefusedError("no_readings", "nothing in it is of a registered point")
        return Arrival(device.name, payload, tuple(readings))
