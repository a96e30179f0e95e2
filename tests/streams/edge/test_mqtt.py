"""MQTT with a real broker: what is kept is acknowledged, what isn't comes again."""

import asyncio
import subprocess
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import aiomqtt
import pytest
from pydantic import ValidationError

from infra.ports import free_port
from streams.edge.sources import Arrival, Keep, RawReading
from streams.edge.sources.mqtt import Device, MqttSettings, MqttSource
from tests.streams.edge.mqtt_broker import Kept, mqtt_broker, serving
from tests.streams.edge.mqtt_session import Session

DEVICE = Device(name="boiler", topic="meters/boiler", points={"energy": "plant/energy"})


def message(at: int) -> bytes:
    return b'{"at": %d, "values": {"energy": 1.50}}' % at


def arrival(at: int) -> Arrival:
    return Arrival("boiler", message(at), (RawReading("plant/energy", at, Decimal("1.50"), "N"),))


def settings(port: int, **changed: object) -> MqttSettings:
    fields = {"topics": ("meters/#",), "devices": (DEVICE,), "first_wait": 0.05, "longest_wait": 0.2, **changed}
    return MqttSettings(host="127.0.0.1", port=port, client_id="gateway", **fields)


def source(port: int, **changed: object) -> MqttSource:
    return MqttSource(settings(port, **changed))


async def publish(port: int, *payloads: bytes, topic: str = DEVICE.topic) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=1)


async def subscribed(port: int, kept: Kept) -> None:
    """Wait until the source hears: publish until something arrives."""
    before = kept.calls
    while kept.calls == before:
        with suppress(aiomqtt.MqttError):
            await publish(port, message(0))
        await asyncio.sleep(0.02)


def test_what_is_kept_is_what_was_published_in_order() -> None:
    async def run() -> None:
        kept = Kept()
        async with mqtt_broker() as port, serving(source(port).serve(kept)):
            await subscribed(port, kept)
            await publish(port, *map(message, range(1, 50)))
            await kept.until(lambda: len(kept.arrivals) == 50)
            assert kept.arrivals == [*map(arrival, range(50))]

    asyncio.run(run())


def test_a_gateway_that_dies_between_keep_and_acknowledgement_gets_it_again_and_keeps_it_once() -> None:
    async def run() -> None:
        kept = Kept()
        never = asyncio.Event()

        async def dying(one: Arrival) -> None:
            await kept(one)
            await never.wait()

        async with Session().up() as session:
            session.publish(DEVICE.topic, message(1), message(2))
            async with serving(source(session.port).serve(dying)):
                await kept.until(lambda: len(kept.arrivals) == 2)
            assert session.acknowledged == []
            async with serving(source(session.port).serve(kept)):
                await session.until_acknowledged(2)
        assert kept.repeats == 2
        assert kept.arrivals == [arrival(1), arrival(2)]

    asyncio.run(run())


def test_acknowledgements_go_out_in_order_and_none_before_its_message_is_kept() -> None:
    async def run() -> None:
        first, kept = asyncio.Event(), Kept()

        async def slow(one: Arrival) -> None:
            if one == arrival(1):
                await first.wait()
            await kept(one)

        async with Session().up() as session, serving(source(session.port).serve(slow)):
            session.publish(DEVICE.topic, message(1), message(2), message(3))
            await kept.until(lambda: len(kept.arrivals) == 2)
            assert session.acknowledged == []
            first.set()
            await session.until_acknowledged(3)
            assert session.acknowledged == [message(1), message(2), message(3)]

    asyncio.run(run())


def test_without_room_nothing_is_acknowledged_and_all_of_it_comes_again() -> None:
    async def run() -> None:
        kept = Kept()
        kept.full = True
        async with Session().up() as session:
            served = source(session.port)
            session.publish(DEVICE.topic, message(1), message(2), message(3))
            async with serving(served.serve(kept)):
                await kept.until(lambda: served.refusals.counts["no_room"] >= 2 and kept.calls > 3)
                assert session.acknowledged == []
                kept.full = False
                await session.until_acknowledged(3)
        assert kept.arrivals == [*map(arrival, (1, 2, 3))]

    asyncio.run(run())


def test_a_broker_that_goes_away_sends_the_rest_when_it_is_back() -> None:
    async def run() -> None:
        kept, session = Kept(), Session()
        async with serving(source(session.port).serve(kept)):
            async with session.up():
                session.publish(DEVICE.topic, message(1))
                await session.until_acknowledged(1)
            session.publish(DEVICE.topic, message(2))
            async with session.up():
                await session.until_acknowledged(2)
        assert kept.arrivals == [arrival(1), arrival(2)]

    asyncio.run(run())


def test_a_broker_that_restarts_is_found_again() -> None:
    async def run() -> None:
        kept = Kept()
        async with mqtt_broker() as port:
            task = serving((served := source(port)).serve(kept))
            await task.__aenter__()
            await subscribed(port, kept)
        async with mqtt_broker(port):
            await subscribed(port, kept)
            await publish(port, message(1))
            await kept.until(lambda: len(kept.arrivals) == 2)
            await task.__aexit__(None, None, None)
        assert served.refusals.counts["disconnected"] >= 1

    asyncio.run(run())


def test_what_cannot_be_taken_is_acknowledged_counted_and_never_ends_the_source() -> None:
    async def run() -> None:
        kept = Kept()
        async with mqtt_broker() as port:
            served = source(port, max_bytes=200)
            async with serving(served.serve(kept)):
                await subscribed(port, kept)
                await publish(port, b"\xff", b"x" * 201, b'{"at": 1, "values": {"other": 1}}', b"[]")
                await publish(port, message(5), topic="meters/stranger")
                await publish(port, b'{"at": 7, "values": {"other": 1, "energy": null}}')
                await kept.until(lambda: len(kept.arrivals) == 2)
        assert served.refusals.counts == {
            "not_a_reading": 1,
            "too_large": 1,
            "unknown_point": 2,
            "no_readings": 2,
            "unknown_device": 1,
        }
        assert kept.arrivals[1].readings == (RawReading("plant/energy", 7, None, "N"),)

    asyncio.run(run())


def test_it_ends_when_told_to_though_the_connection_breaks_on_the_way_out() -> None:
    class Breaking(MqttSource):
        began = 0

        async def _session(self, keep: Keep) -> None:
            self.began += 1
            assert self.began == 1
            try:
                await asyncio.Event().wait()
            finally:
                raise aiomqtt.MqttError("gone")

    async def run() -> None:
        task = asyncio.create_task(Breaking(settings(1)).serve(Kept()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [
        {"topics": ("other/#",)},
        {"topics": ()},
        {"devices": (DEVICE, DEVICE)},
        {"password_file": "secret"},
        {"qos": 2},
    ],
)
def test_settings_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        source(1883, **wrong)


@pytest.mark.extra("mosquitto")
def test_mosquitto_sends_again_what_a_gateway_that_died_had_not_acknowledged(tmp_path: Path) -> None:
    async def run(port: int) -> None:
        kept = Kept()
        never = asyncio.Event()

        async def dying(one: Arrival) -> None:
            await kept(one)
            await never.wait()

        async with serving(source(port).serve(dying)):
            await subscribed(port, kept)
            await publish(port, message(1))
            await kept.until(lambda: arrival(1) in kept.arrivals)
        await publish(port, message(2))
        repeats = kept.repeats
        async with serving(source(port).serve(kept)):
            await kept.until(lambda: arrival(2) in kept.arrivals)
        assert kept.repeats >= repeats + 2
        assert kept.arrivals == [*map(arrival, range(3))]

    config = tmp_path / "mosquitto.conf"
    port = free_port()
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen(["mosquitto", "-c", config]) as mosquitto:
        try:
            asyncio.run(run(port))
        finally:
            mosquitto.terminate()
