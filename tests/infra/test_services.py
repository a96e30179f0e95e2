"""The plan made from roles and settings, and a role in the foreground."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra import channel, plan, services
from infra.broker import answers, explain
from infra.demo import parameters
from infra.roles import BROKER, Role, roles_of
from infra.settings import Settings

ROLE = Role("sample", "tests.infra.test_services:record", args=("7",), depends=("broker",), group="carbon.sample")
CALLS: list[tuple[Settings, str]] = []


def record(settings: Settings, number: str) -> None:
    """What the sample role runs."""
    CALLS.append((settings, number))


def test_a_roles_function_is_called_with_its_arguments() -> None:
    own = Settings()
    ROLE.function()(own, *ROLE.args)
    assert [(own, "7")] == CALLS


def test_the_roles_make_a_plan_that_can_be_met(tmp_path: Path) -> None:
    roles = roles_of(channel.create(tmp_path, parameters.load(), days=2))
    planned = services.plan(Settings(data=tmp_path), print, roles)
    names = [process.name for process in planned.processes]
    assert names == [role.name for role in roles]
    assert {f"member-{index}" for index in range(7)} < set(names)
    assert {"ingest", "aggregate", "accounts", "sink", "gateway-edge-east"} < set(names)
    plan.check(planned.processes)


def test_gateways_that_serve_devices_are_started_where_these_are(tmp_path: Path) -> None:
    made = channel.create(tmp_path, parameters.load(), days=2)
    east = replace(made.registry.gateways["edge-east"], kind="attester")
    attested = replace(made.registry, gateways={**made.registry.gateways, east.id: east})
    live = replace(made, genesis=replace(made.genesis, clock="live"))
    with_gateways = {role.name for role in roles_of(made)}
    assert {role.name for role in roles_of(replace(made, registry=attested))} == with_gateways - {"gateway-edge-east"}
    left_out = with_gateways - {role.name for role in roles_of(live)}
    assert left_out == {f"gateway-{g.id}" for g in made.registry.gateways.values() if g.kind == "gateway"}


def test_with_the_embedded_broker_a_role_waits_for_it(tmp_path: Path) -> None:
    planned = services.plan(Settings(data=tmp_path), print, (BROKER, ROLE))
    broker, sample = planned.processes
    assert (broker.name, sample.depends, sample.group) == ("broker", ("broker",), "carbon.sample")
    assert sample.argv == (sys.executable, "-m", "infra.cli", "run", "sample")
    named = {"BOOTSTRAP": planned.bootstrap, "DATA": str(tmp_path), "METRICS_PORT": "0"}
    assert sample.env == {f"CARBONLEDGER_{name}": value for name, value in named.items()}
    plan.check(planned.processes)


@pytest.mark.broker
def test_with_a_cluster_no_broker_is_started(tmp_path: Path, broker: str) -> None:
    planned = services.plan(Settings(data=tmp_path, bootstrap=broker), print, (BROKER, ROLE))
    (sample,) = planned.processes
    assert (sample.name, sample.depends, planned.bootstrap) == ("sample", (), broker)
    assert not (tmp_path / "broker").exists()


@pytest.mark.broker
def test_the_broker_runs_in_the_foreground_as_the_process_that_was_started(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "infra.cli", "--data", str(tmp_path), "run", "broker"]
    running = subprocess.Popen(line, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
    try:
        config = tmp_path / "broker" / "server.properties"
        while not config.exists() or not answers(_client(config)):
            assert running.poll() is None
        second = subprocess.run(line, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert second.returncode == 3
        assert "is in use by another process" in second.stderr
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate()


def _client(config: Path) -> dict[str, str]:
    listeners = next(text for text in config.read_text().splitlines() if text.startswith("listeners="))
    return {"bootstrap.servers": listeners.split("//")[1].split(",")[0]}


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("java.io.IOException: No space left on device", "the disk is full: free some space"),
        ("java.lang.OutOfMemoryError: Java heap space", "raise CARBONLEDGER_HEAP_MB"),
        ("There is insufficient memory for the Java Runtime Environment to continue.", "lower CARBONLEDGER_HEAP_MB"),
        ("java.io.FileNotFoundException: meta.properties (Permission denied)", "give it to this user"),
    ],
)
def test_what_java_says_becomes_what_to_do(line: str, advice: str) -> None:
    assert advice in (explain(f"some\n{line}\nlines") or "")
