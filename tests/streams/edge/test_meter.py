"""A direct meter: its message, and that it is told only what is true."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from infra.ports import free_port
from streams.edge import meter
from streams.edge.message import RefusedError
from streams.edge.sources import RawReading
from streams.edge.sources.mqtt import Broker, Device, MqttSettings, MqttSource
from streams.intake import read
from tests.infra.copies import Invoke, invoker
from tests.streams.edge.mqtt_broker import Kept, mqtt_broker, serving
from tests.streams.world import World

AT = 1_735_689_600_000


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def test_the_intake_reads_what_a_meter_says() -> None:
    world = World({"gw": ["p-1"]})
    value = Decimal("0.1000000000000000000001")
    assert read(meter.message("p-1", AT, value, "T"), world.registry, "gw") == RawReading("p-1", AT, value, "T")


@pytest.mark.parametrize(
    ("at", "value", "flag"), [(AT, "NaN", "N"), (AT, "Infinity", "N"), (-1, "1", "N"), (AT, "1", "NN")]
)
def test_what_no_gateway_would_take_is_not_sent(at: int, value: str, flag: str) -> None:
    with pytest.raises(RefusedError):
        meter.message("p-1", at, Decimal(value), flag)


def test_by_mqtt_it_arrives_at_the_gateway_that_knows_the_meter(invoke: Invoke) -> None:
    kept = Kept()
    device = Device(name="shop", topic="meters/shop", points={"grid": "shop/grid"})

    async def run() -> None:
        async with mqtt_broker() as port:
            settings = MqttSettings(host="127.0.0.1", port=port, client_id="g", topics=("meters/#",), devices=(device,))
            options = ["--mqtt", f"127.0.0.1:{port}", "--topic", "meters/shop", "--at", "2025-01-01T00:00:00Z"]
            async with serving(MqttSource(settings).serve(kept)):
                while not kept.arrivals:
                    said = await asyncio.to_thread(invoke, "meter", "send", "grid", "12.50", *options)
                    assert said == (0, "", "")

    asyncio.run(run())
    assert kept.arrivals[0].readings == (RawReading("shop/grid", AT, Decimal("12.50"), "N"),)


def test_without_a_broker_it_is_not_taken() -> None:
    port = free_port()
    with pytest.raises(meter.NotTakenError):
        asyncio.run(meter.send_by_mqtt(Broker(host="127.0.0.1", port=port), "meters/shop", b"{}"))
    with pytest.raises(meter.NotTakenError):
        meter.send_by_kafka({"bootstrap.servers": f"127.0.0.1:{port}"}, "p-1", b"{}", timeout=0.2)


def test_by_kafka_it_is_taken() -> None:
    meter.send_by_kafka({"test.mock.num.brokers": 1}, "p-1", meter.message("p-1", AT, Decimal(1)))


@pytest.mark.parametrize(
    "wrong",
    [
        ["p-1", "twelve"],
        ["p-1", "1", "--at", "2025-01-01T00:00:00"],
        ["p-1", "1", "--topic", "meters/shop"],
        ["p-1", "1", "--mqtt", "127.0.0.1"],
        ["p-1", "1", "--mqtt", "127.0.0.1:mqtt", "--topic", "meters/shop"],
        ["p-1", "1", "--mqtt", "127.0.0.1", "--topic", "meters/shop", "--password-file", "secret"],
    ],
)
def test_a_wrong_command_line_is_a_usage_error(invoke: Invoke, wrong: list[str]) -> None:
    assert invoke("meter", "send", *wrong)[0] == 2


def test_the_command_says_what_is_in_the_way(invoke: Invoke) -> None:
    assert "Nothing runs" in (said := invoke("meter", "send", "p-1", "1"))[2]
    assert said[0] == 3
    code, _, wrong = invoke("meter", "send", "p-1", "1", "--mqtt", f"127.0.0.1:{free_port()}", "--topic", "meters/shop")
    assert (code, "not taken, send it again" in wrong) == (3, True)


def test_the_help_teaches_by_example(invoke: Invoke) -> None:
    assert " carbonledger meter send shop-1/grid 12.50" in invoke("meter", "send", "--help")[1]
