"""Settings of a live gateway: every mistake is named, no secret is repeated or left readable."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.edge import config
from streams.edge.config import ConfigError, SecretError, gateway_of, load, secret_files
from streams.edge.counter import Counted, Register
from streams.edge.downlink import Downlink
from streams.edge.gateway import GatewayConfig, replay_of
from streams.edge.live import LiveGateway
from streams.edge.sources.modbus import ModbusSource
from streams.edge.sources.table import TableReplay
from streams.edge.store import Store
from tests.small import genesis_bytes, registry_bytes, seed
from tests.streams.edge.test_commands import NOW, OPERATORS, POINT
from tests.streams.edge.test_commands import message as command

Given = dict[str, Any]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    for name, text in (("edge.seed", "07" * 32), ("kafka.password", "hush"), ("mqtt.password", "hush")):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    device = {"name": "boiler", "topic": "a/b", "points": {"co2": "boiler-co2"}}
    mqtt = {"kind": "mqtt", "host": "127.0.0.1", "client_id": "c", "topics": ["a/+"], "devices": [device]}
    mqtt |= {"username": "u", "password_file": str(tmp_path / "mqtt.password")}
    return {
        "gateway": "edge-1",
        "seed_file": str(tmp_path / "edge.seed"),
        "channel": "ab" * 32,
        "kafka": {"bootstrap.servers": "127.0.0.1:1", "log_level": "0", "sasl.username": "u"},
        "kafka_secrets": {"sasl.password": str(tmp_path / "kafka.password")},
        "folder": str(tmp_path / "edge"),
        "scales": {"boiler-co2": 3},
        "sources": [mqtt],
    }


def channel(folder: Path, registry: bytes) -> Given:
    """The settings that name a channel with this registry."""
    genesis = genesis_bytes(registry)
    (folder / "registry.json").write_bytes(registry)
    (folder / "genesis.json").write_bytes(genesis)
    named = {name: str(folder / f"{name}.json") for name in ("genesis", "registry")}
    return named | {"channel": sha256(genesis).hexdigest()}


def made(given: Given, tmp_path: Path) -> LiveGateway:
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(given))
    with Store(tmp_path / "store") as store:
        return gateway_of(load(file), store)


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump])
def test_json_and_yaml_say_the_same(given: Given, tmp_path: Path, dump: Callable[[Any], str]) -> None:
    (tmp_path / "edge.conf").write_text(dump(given))
    loaded = load(tmp_path / "edge.conf")
    assert (loaded.gateway, loaded.scales, loaded.sources[0].kind) == ("edge-1", {"boiler-co2": 3}, "mqtt")
    assert (loaded.store_file.name, loaded.status_file.name) == ("store.sqlite", "progress.json")
    assert {path.name for path in secret_files(loaded)} == {"edge.seed", "kafka.password", "mqtt.password"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"unheard": 1}, "unheard"),
        ({"channel": "AB"}, "channel"),
        ({"sources": []}, "sources"),
        ({"sources": [{"kind": "telegraph"}]}, "telegraph.*'modbus'"),
        ({"sources": None, "replay": {"kind": "table"}}, "replay"),
        ({"kafka": {"bootstrap.servers": "k", "sasl.password": "hush"}}, "sasl.password belongs into a file"),
        ({"kafka": {}}, "bootstrap.servers is missing"),
        ({"disk_bytes": 1_000_000}, "disk_bytes"),
        ({"packet": {"readings": 9_000}}, "packet.readings"),
        ({"packet": {"bytes": 1_000_000}}, "packet.bytes"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_repeated(given: Given, tmp_path: Path, changed: Given, says: str) -> None:
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(given | changed))
    with pytest.raises(ConfigError, match=says) as raised:
        load(file)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("text", [b"{", b"- a", b"\xff", b"a: [1"])
def test_a_file_that_holds_no_settings_is_said(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "edge.json").write_bytes(text)
    with pytest.raises(ConfigError, match=r"edge\.json"):
        load(tmp_path / "edge.json")
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path / "none")


def test_a_gateway_is_made_with_what_the_files_hold(given: Given, tmp_path: Path) -> None:
    gateway = made(given, tmp_path)
    assert list(gateway._sources) == ["0 mqtt"]
    assert (gateway._signer.seed, gateway._signer.channel) == (b"\7" * 32, b"\xab" * 32)
    assert gateway._uplink._kafka["sasl.password"] == "hush"


@pytest.mark.parametrize("name", ["edge.seed", "kafka.password", "mqtt.password"])
def test_a_secret_that_others_can_read_or_nobody_is_refused(given: Given, tmp_path: Path, name: str) -> None:
    (tmp_path / name).chmod(0o640)
    with pytest.raises(SecretError, match=f"{name}.*chmod 600") as raised:
        made(given, tmp_path)
    assert "hush" not in str(raised.value)
    (tmp_path / name).unlink()
    with pytest.raises(SecretError, match="can't be read"):
        made(given, tmp_path)


def test_every_kind_of_source_is_one_that_can_be_made() -> None:
    kinds = {one.model_fields["kind"].default for one in config.Source.__origin__.__args__}
    assert {"hj212", "mqtt", "modbus"} <= kinds
    for one in config.Source.__origin__.__args__:
        settings = one.model_construct(devices=(), host="", port=0, topics=())
        assert config.source_of(settings, lambda: False, {}) is not None


def test_names_of_files_are_meant_from_where_the_process_stands(given: Given, tmp_path: Path) -> None:
    given["seed_file"] = os.path.relpath(tmp_path / "edge.seed")
    assert made(given, tmp_path)._signer.seed == b"\7" * 32


def test_a_file_with_a_loggers_password_is_a_secret_itself(given: Given, tmp_path: Path) -> None:
    device = {"mn": "88888880000001", "password": "hush12"}
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(given | {"sources": [{"kind": "hj212", "port": 0, "devices": [device]}]}))
    file.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600") as raised:
        load(file)
    assert "hush" not in str(raised.value)
    file.chmod(0o600)
    assert load(file).gateway == "edge-1"


def test_a_file_with_a_replay_is_one_of_a_gateway_that_replays(given: Given, tmp_path: Path) -> None:
    table = {"kind": "table", "path": "t.csv", "format": "csv", "time": {"column": "at", "zone": "UTC"}}
    table |= {"points": {"kWh": {"point": "p"}}}
    stated = {name: given[name] for name in ("gateway", "seed_file", "channel")}
    stated |= {"kafka": {"bootstrap.servers": "k"}, "store": "s", "replay": table}
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(stated))
    loaded = load(tmp_path / "edge.yaml")
    assert isinstance(loaded, GatewayConfig)
    assert isinstance(replay_of(loaded.replay), TableReplay)


def test_the_operators_of_the_registry_set_how_modbus_is_read(given: Given, tmp_path: Path) -> None:
    register = {"point": POINT, "address": 0, "type": "u16"}
    group = {"every_ms": 1_000, "sampling": {"slowest_ms": 5_000}, "registers": [register]}
    modbus = {"kind": "modbus", "devices": [{"name": "m", "host": "127.0.0.1", "groups": [group]}]}
    given |= channel(tmp_path, registry_bytes(gateways=2, operators=OPERATORS))
    (tmp_path / "edge.seed").write_text(seed("gw-0").hex())
    given |= {"gateway": "gw-0", "run": 0, "sources": [modbus]}
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(given))
    with Store(tmp_path / "store") as store:
        gateway = gateway_of(load(tmp_path / "edge.yaml"), store)
        source, (_, downlink) = gateway._sources["0 modbus"], gateway._links
        assert isinstance(source, ModbusSource) and isinstance(downlink, Downlink)
        assert source._rules[POINT].bounds == (1_000, 5_000)
        digest = bytes.fromhex(given["channel"])
        downlink.take(command(channel=digest, first=3_000, last=3_000), NOW)
        assert source._rules[POINT].bounds == (3_000, 3_000)
        assert source._slow_down() is False
        gateway.inbox.slow_down = True
        assert source._slow_down() is True


def test_a_registry_or_genesis_that_can_not_be_used_is_said(given: Given, tmp_path: Path) -> None:
    given |= channel(tmp_path, registry_bytes())
    for name, other in (("registry", registry_bytes(points=4)), ("genesis", genesis_bytes(b"other"))):
        path = tmp_path / f"{name}.json"
        right = path.read_bytes()
        for wrong, says in ((b"{}", "can't be used"), (other, f"{name}.json is (not the registry|the genesis of)")):
            path.write_bytes(wrong)
            with pytest.raises(ConfigError, match=says):
                made(given, tmp_path)
        path.unlink()
        with pytest.raises(ConfigError, match=rf"{name}.json can't be read"):
            made(given, tmp_path)
        path.write_bytes(right)
    with pytest.raises(ConfigError, match="a registry needs the genesis"):
        made({name: value for name, value in given.items() if name != "genesis"}, tmp_path)
    with pytest.raises(ConfigError, match="is the genesis of"):
        made(given | {"registry": None, "channel": "ab" * 32}, tmp_path)


REGISTER = {"counter": 10**6, "rate": 500, "emission": {"rule": "none"}, "max": 10**6 - 1, "scale": 1}
COUNTED = {"plant-0-0": REGISTER, "plant-0-1": {"time": "start", "scale": 1}}


def counting(given: Given, tmp_path: Path, more: Given) -> Given:
    given |= channel(tmp_path, registry_bytes(more=more)) | {"gateway": "gw-0"}
    return given | {"counters": {"plant-0-0": "plant-0-1"}, "scales": {"plant-0-0": 1, "plant-0-1": 1}}


def test_counters_are_as_the_registry_has_them(given: Given, tmp_path: Path) -> None:
    gateway = made(counting(given, tmp_path, COUNTED), tmp_path)
    counted = {"plant-0-0": Counted("plant-0-1", Register(10**6, 2_000), 900_000, 1)}
    assert (gateway._packer._counters, gateway.inbox._most) == (counted, 2_730)


@pytest.mark.parametrize(
    ("changed", "more", "says"),
    [
        ({"counters": {"plant-0-0": "plant-0-9"}}, COUNTED, "not both registered at gw-0"),
        ({"gateway": "gw-1"}, COUNTED, "not both registered at gw-1"),
        ({"counters": {"plant-0-0": "plant-0-1", "plant-0-2": "plant-0-1"}}, COUNTED, "two registers"),
        ({"scales": {"plant-0-0": 2}}, COUNTED, "plant-0-0 has 1 decimal places in the registry"),
        ({"scales": {}}, COUNTED | {"plant-0-1": {"time": "start"}}, "scale"),
        ({}, COUNTED | {"plant-0-1": {"time": "start", "scale": 1, "step_seconds": 1800}}, "step"),
        ({}, COUNTED | {"plant-0-1": {"scale": 1}}, "of time start"),
        ({}, COUNTED | {"plant-0-0": {"scale": 1}}, "as a counter"),
        ({"registry": None}, COUNTED, "counters need the registry"),
        ({"packet": {"readings": 2_731}}, COUNTED, "at most 2730 readings"),
    ],
)
def test_counters_that_the_registry_has_otherwise_are_refused(
    given: Given, tmp_path: Path, changed: Given, more: Given, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        made(counting(given, tmp_path, more) | changed, tmp_path)
