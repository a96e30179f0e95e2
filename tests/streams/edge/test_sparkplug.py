"""Sparkplug B: births, aliases, gaps and deaths as pure decisions, and one edge node on a real broker."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import aiomqtt
import pytest

from streams.edge.message import RefusedError
from streams.edge.sources import Arrival, RawReading
from streams.edge.sources.mqtt import MqttSettings, MqttSource
from streams.edge.sources.refusals import Refusals
from streams.edge.sources.sparkplug import ASK_AGAIN_MS, REBIRTH, Command, Sparkplug, SparkplugDevice
from streams.edge.sources.sparkplug_payload import Payload, value
from tests.streams.edge.mqtt_broker import Kept, mqtt_broker, serving

AT = 1_735_689_600_000
METER = SparkplugDevice(
    name="meter", group="plant", node="edge", device="meter", points={"energy": "plant/energy", "flow": "plant/flow"}
)
EDGE = SparkplugDevice(name="edge", group="plant", node="edge", points={"load": "plant/load"})
DOUBLE, UINT32, INT32 = 10, 7, 3


def payload(seq: int | None, *metrics: dict[str, Any], at: int | None = AT) -> bytes:
    made = Payload(timestamp=at, seq=seq)
    for metric in metrics:
        made.metrics.add(**metric)
    return made.SerializeToString()


def bdseq(number: int) -> dict[str, Any]:
    return {"name": "bdSeq", "datatype": 4, "long_value": number}


def metric(name: str, number: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": DOUBLE, "double_value": number, **more}


def topic(kind: str) -> str:
    return f"spBv1.0/plant/{kind}/edge" + ("/meter" if kind[0] == "D" else "")


class Host:
    """The host's view of one edge node, and all commands that it gave."""

    def __init__(self) -> None:
        self.refusals = Refusals("t")
        self.sparkplug = Sparkplug((METER, EDGE), self.refusals)
        self.commands: list[Command] = []
        self.now = AT

    def take(self, kind: str, data: bytes) -> Arrival | None:
        arrival, commands = self.sparkplug.take(topic(kind), data, self.now)
        self.commands += commands
        return arrival

    def born(self) -> "Host":
        self.take("NBIRTH", payload(0, bdseq(1), {"name": "load", "alias": 9, "datatype": INT32, "int_value": 1}))
        self.take(
            "DBIRTH", payload(1, metric("energy", 1.0, alias=1), metric("flow", 0.0, alias=2), metric("other", 0))
        )
        assert not self.commands
        return self


def reading(point: str, number: str, at: int = AT, flag: str = "N") -> RawReading:
    return RawReading(f"plant/{point}", at, Decimal(number), flag)


def test_a_birth_holds_readings_and_explains_the_aliases_of_what_follows() -> None:
    host = Host()
    birth = payload(0, bdseq(1), {"name": "load", "alias": 9, "datatype": INT32, "int_value": 2**32 - 5})
    assert host.take("NBIRTH", birth) == Arrival("edge", birth, (reading("load", "-5"),))
    born = payload(1, metric("energy", 1.5, alias=1), metric("flow", 0.1, alias=2, timestamp=AT - 1))
    assert host.take("DBIRTH", born) == Arrival(
        "meter", born, (reading("energy", "1.5"), reading("flow", "0.1", AT - 1))
    )
    data = payload(2, {"alias": 2, "double_value": 0.2}, {"alias": 1, "double_value": 3, "timestamp": AT + 7})
    assert host.take("DDATA", data) == Arrival("meter", data, (reading("flow", "0.2"), reading("energy", "3", AT + 7)))
    load = payload(3, {"alias": 9, "int_value": 2**32 - 6})
    assert host.take("NDATA", load) == Arrival("edge", load, (reading("load", "-6"),))
    assert (host.commands, host.refusals.counts) == ([], {})


def test_what_is_historical_keeps_its_own_time() -> None:
    data = payload(2, {"alias": 1, "double_value": 3, "timestamp": AT - 86_400_000, "is_historical": True})
    assert Host().born().take("DDATA", data).readings == (reading("energy", "3", AT - 86_400_000),)


def test_a_gap_is_counted_and_a_birth_asked_for_once_a_while() -> None:
    host = Host().born()
    assert host.take("DDATA", payload(4, {"alias": 1, "double_value": 3})).readings == (reading("energy", "3"),)
    assert host.refusals.counts == {"sequence_gap": 1}
    [command] = host.commands
    asked = Payload.FromString(command.payload).metrics[0]
    assert (command.topic, asked.name, asked.boolean_value) == ("spBv1.0/plant/NCMD/edge", REBIRTH, True)
    host.now += ASK_AGAIN_MS - 1
    host.take("DDATA", payload(6, {"alias": 1, "double_value": 3}))
    assert len(host.commands) == 1
    host.now += 1
    host.take("DDATA", payload(8, {"alias": 1, "double_value": 3}))
    assert len(host.commands) == 2


def test_the_number_after_255_is_0() -> None:
    host = Host().born()
    for number in [*range(2, 256), 0, 1]:
        host.take("DDATA", payload(number, {"alias": 1, "double_value": 3}))
    assert (host.commands, host.refusals.counts) == ([], {})


def test_without_a_birth_the_message_is_kept_as_it_came_and_a_birth_asked_for() -> None:
    host = Host()
    data = payload(7, {"alias": 1, "double_value": 3})
    assert host.take("DDATA", data) == Arrival("meter", data, ())
    assert (len(host.commands), host.refusals.counts) == (1, {"no_birth": 1})
    host.commands.clear()
    assert host.born().take("DDATA", payload(2, {"alias": 1, "double_value": 3})).readings == (reading("energy", "3"),)


def test_a_new_birth_of_the_node_forgets_the_devices() -> None:
    host = Host().born()
    host.take("NBIRTH", payload(0, bdseq(2)))
    assert host.take("DDATA", payload(1, {"alias": 1, "double_value": 3})).readings == ()


@pytest.mark.parametrize(("number", "readings"), [(1, 0), (0, 1)])
def test_a_death_counts_for_the_session_that_it_names(number: int, readings: int) -> None:
    host = Host().born()
    assert host.take("NDEATH", payload(None, bdseq(number))) is None
    assert len(host.take("DDATA", payload(2, {"alias": 1, "double_value": 3})).readings) == readings


def test_a_device_that_died_must_be_born_again() -> None:
    host = Host().born()
    assert host.take("DDEATH", payload(2)) is None
    assert host.take("DDATA", payload(3, {"alias": 1, "double_value": 3})).readings == ()
    assert host.refusals.counts == {"no_birth": 1}


def test_after_a_connect_every_node_is_asked_and_any_number_may_come() -> None:
    host = Host().born()
    assert [command.topic for command in host.sparkplug.connected(AT)] == ["spBv1.0/plant/NCMD/edge"]
    assert host.take("DDATA", payload(200, {"alias": 1, "double_value": 3})).readings == (reading("energy", "3"),)
    assert (host.commands, host.refusals.counts) == ([], {})


@pytest.mark.parametrize(("quality", "flag"), [(192, "N"), (0, "D"), (500, "B"), (7, "D")])
def test_the_quality_becomes_a_flag(quality: int, flag: str) -> None:
    data = payload(
        2, {"alias": 1, "double_value": 3, "properties": {"keys": ["Quality"], "values": [{"int_value": quality}]}}
    )
    assert Host().born().take("DDATA", data).readings == (reading("energy", "3", flag=flag),)


def test_what_cannot_be_a_reading_is_left_out_and_counted() -> None:
    host = Host().born()
    odd = payload(
        2, {"alias": 77, "int_value": 1}, {"name": "new", "int_value": 1}, {"alias": 1, "timestamp": 2**64 - 1}
    )
    assert host.take("DDATA", odd) is None
    assert host.take("DDATA", payload(3, {"alias": 1, "double_value": 3}, at=None)) is None
    assert host.refusals.counts == {"unknown_metric": 2, "bad_time": 2}


@pytest.mark.parametrize(
    ("fields", "datatype", "wanted"),
    [
        ({"int_value": 2**32 - 1}, 1, "-1"),
        ({"int_value": 2**32 - 1}, UINT32, "4294967295"),
        ({"long_value": 2**32 - 1}, UINT32, "4294967295"),
        ({"long_value": 2**64 - 1}, 4, "-1"),
        ({"long_value": 2**64 - 1}, 8, "18446744073709551615"),
        ({"float_value": 0.1}, 9, "0.1"),
        ({"double_value": 0.1}, 10, "0.1"),
        ({"string_value": "0.10"}, 12, "0.10"),
        ({"string_value": "on"}, 12, None),
        ({"boolean_value": True}, 11, None),
        ({"int_value": 5, "is_null": True}, 3, None),
        ({}, 3, None),
    ],
)
def test_values_are_exact(fields: dict[str, Any], datatype: int, wanted: str | None) -> None:
    made = Payload()
    made.metrics.add(**fields)
    assert value(made.metrics[0], datatype) == (None if wanted is None else Decimal(wanted))


@pytest.mark.parametrize(
    ("where", "data", "reason"),
    [
        ("spBv1.0/plant/DDATA/edge/stranger", payload(0), "unknown_device"),
        ("spBv1.0/plant/NDATA/stranger", payload(0), "unknown_device"),
        ("spBv1.0/plant/DDATA/edge", payload(0), "unknown_device"),
        ("spBv1.0/plant", payload(0), "unknown_device"),
        (topic("DDATA"), b"\xff", "not_a_payload"),
        (topic("DDATA"), b"\x2b" * 10_000, "not_a_payload"),
    ],
)
def test_what_is_no_message_of_a_device_is_refused(where: str, data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Host().sparkplug.take(where, data, AT)
    assert refused.value.reason == reason


def test_commands_and_what_is_unknown_to_the_standard_are_passed_over() -> None:
    assert [Host().take(kind, b"\xff") for kind in ("NCMD", "DCMD", "NOTHING")] == [None] * 3


def test_on_a_broker_the_host_shows_that_it_is_there_and_a_node_is_born_when_asked() -> None:
    kept = Kept()
    birth = payload(0, bdseq(1), {"name": "load", "alias": 9, "datatype": INT32, "int_value": 1})
    data = payload(1, {"alias": 9, "int_value": 2})
    states: list[bool] = []

    async def edge_node(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if str(message.topic) == "spBv1.0/STATE/host":
                states.append(json.loads(message.payload)["online"])
            else:
                await client.publish(topic("NBIRTH"), birth)
                await client.publish(topic("NDATA"), data)

    async def run() -> None:
        async with mqtt_broker() as port, aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe([(topic("NCMD"), 0), ("spBv1.0/STATE/host", 1)])
            settings = MqttSettings(host="127.0.0.1", port=port, client_id="g", sparkplug=(EDGE,), host_id="host")
            async with asyncio.TaskGroup() as group:
                node = group.create_task(edge_node(client))
                async with serving(MqttSource(settings).serve(kept)):
                    await kept.until(lambda: len(kept.arrivals) == 2)
                while len(states) < 2:
                    await asyncio.sleep(0.01)
                node.cancel()

    asyncio.run(run())
    assert states == [True, False]
    assert kept.arrivals == [
        Arrival("edge", birth, (reading("load", "1"),)),
        Arrival("edge", data, (reading("load", "2"),)),
    ]
