"""The command line as a person uses it, in processes of its own, on a real embedded broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra import channel, runfile
from infra.cli.output import Form, show
from infra.demo import parameters
from infra.endpoints import addresses
from infra.ports import free_port
from infra.roles import roles_of
from schemas.metrics import DROPPED, REJECTIONS, shown_by
from schemas.topics import catalogue
from tests.infra.copies import Invoke, invoker
from tests.infra.test_endpoints import asked
from tests.tracing import Collector, collecting

ROOT = Path(__file__).parents[2]


def command(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "infra.cli", "--data", str(data), *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)


def rows(data: Path, *arguments: str) -> list[dict[str, Any]]:
    done = command(data, *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


class Up:
    """A running `carbonledger up`."""

    def __init__(self, data: Path, collector: Collector) -> None:
        self.data, self.collector = data, collector
        self.channel = channel.create(data, parameters.load(), days=2)
        line = [sys.executable, "-m", "infra.cli", "--data", str(data), "up"]
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "CARBONLEDGER_LOG": "json"}
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **more})

    def until(self, text: str) -> str:
        """The first line that it says with `text` in it."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if text in line)

    def end(self) -> str:
        """The rest of what it said, once it has ended."""
        assert self.process.stderr is not None
        rest = self.process.stderr.read()
        self.process.wait()
        return rest


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with collecting() as collector:
        running = Up(tmp_path_factory.mktemp("cli") / "ledger", collector)
        try:
            running.until("Everything runs")
            yield running
        finally:
            running.process.terminate()
            running.end()


def broker_pid(data: Path) -> int:
    found = runfile.running(data).members[0].pid
    assert found is not None
    return found


@pytest.mark.broker
def test_status_shows_what_runs(up: Up) -> None:
    listed = {row["process"]: row for row in rows(up.data, "status")}
    assert {"schemas", "ingest", "aggregate", "accounts", "sink", "intake", "member-0", "member-6"} < set(listed)
    broker = listed["broker"]
    assert (broker["process"], broker["state"], broker["restarts"]) == ("broker", "ready", 0)
    assert psutil.pid_exists(broker["pid"])
    shown = command(up.data, "status")
    assert shown.stdout.split()[:2] == ["process", "state"]
    assert str(broker["pid"]) in shown.stdout


@pytest.mark.broker
def test_each_process_shows_each_metric_of_its_kind_and_gets_ready(up: Up) -> None:
    """The list of schemas.metrics, held against the processes themselves."""
    wanted, deadline = {"up", *(role.name for role in roles_of(up.channel))} - {"broker"}, time.monotonic() + 200
    while not (endpoints := addresses(up.data)).keys() >= wanted:
        assert time.monotonic() < deadline, wanted - endpoints.keys()
        time.sleep(0.2)
    listed = {row["process"]: row.get("endpoint") for row in rows(up.data, "status")}
    assert {process: listed[process] for process in wanted - {"up"}} == {p: endpoints[p] for p in wanted - {"up"}}
    for process, address in endpoints.items():
        kind, deadline = process.partition("-")[0], time.monotonic() + 200
        while (missing := without_value(address, kind)) or asked(address, "/ready")[0] != 200:
            assert time.monotonic() < deadline, (process, missing, asked(address, "/ready"))
            time.sleep(0.2)
        assert asked(address, "/live")[0] == 200


STAGES = {
    ("carbonledger.gateway", "gateway.send"),
    ("carbonledger.ingest", "ingest"),
    ("carbonledger.aggregate", "aggregate"),
    ("carbonledger.aggregate", "aggregate.propose"),
    ("carbonledger.member", "member.judge"),
    ("carbonledger.member", "member.block"),
    ("carbonledger.accounts", "carbon.accounts"),
}


@pytest.mark.broker
def test_one_trace_goes_from_a_packet_to_a_balance(up: Up) -> None:
    """By the headers of real messages, through every process; what else became of a block is linked."""
    collector, deadline = up.collector, time.monotonic() + 200
    while True:
        posted = {span.trace_id for service, span in collector.spans.copy() if service == "carbonledger.accounts"}
        if any(collector.stages_of(trace) >= STAGES for trace in posted):
            break
        assert time.monotonic() < deadline, [collector.stages_of(trace) for trace in posted][:5]
        time.sleep(0.2)
    proposed = [span for _, span in collector.spans.copy() if span.name == "aggregate.propose"]
    assert any(span.links for span in proposed), "a batch points to the packets that it is made of"


def without_value(address: str, kind: str) -> list[str]:
    """The metrics of a kind of process that it has no value of, but for those that need something to go wrong."""
    families = {one.name: one for one in text_string_to_metric_families(asked(address, "/metrics")[1].decode())}
    missing = []
    for metric in shown_by(kind):
        family = families.get(metric.name.removesuffix("_total"))
        if family is None:  # nothing has come to it yet
            missing.append(metric.name)
            continue
        assert family.type == metric.kind
        assert {label for sample in family.samples for label in sample.labels} <= {*metric.labels, "le"}
        if not family.samples and metric not in (REJECTIONS, DROPPED):
            missing.append(metric.name)
    return missing


@pytest.mark.broker
def test_the_topics_are_there(up: Up) -> None:
    listed = rows(up.data, "topics", "list")
    assert [row["topic"] for row in listed] == [topic.name for topic in catalogue()]
    assert {row["state"] for row in listed} == {"ok"}
    assert rows(up.data, "topics", "create") == []


@pytest.mark.broker
def test_a_second_up_is_refused(up: Up) -> None:
    refused = command(up.data, "up")
    assert refused.returncode == 3
    assert f"already runs on {up.data} (process {up.process.pid}): stop it with 'carbonledger down'" in refused.stderr


@pytest.mark.broker
def test_a_killed_broker_is_said_and_comes_back_on_its_port(up: Up) -> None:
    before = runfile.running(up.data)
    os.kill(broker_pid(up.data), signal.SIGKILL)
    assert "broker was killed by SIGKILL, starts again in 0.5 s" in up.until("broker")
    while runfile.running(up.data).members[0].state != "ready" or runfile.running(up.data).members[0].restarts != 1:
        time.sleep(0.05)
    assert runfile.running(up.data).bootstrap == before.bootstrap
    assert {row["state"] for row in rows(up.data, "topics", "list")} == {"ok"}


@pytest.mark.broker
def test_down_stops_everything_and_keeps_the_data(up: Up) -> None:
    broker = broker_pid(up.data)
    assert command(up.data, "down").returncode == 0
    assert "the data stays" in up.end()
    for log in (up.data / "log").glob("*.log"):
        if log.name == "broker.log":  # Kafka's own lines
            continue
        for line in log.read_text().splitlines():
            event = json.loads(line)
            assert {"event", "level", "timestamp"} <= set(event) and event["process"] == log.stem, line
    assert up.process.returncode == 0
    assert not psutil.pid_exists(broker)
    assert (up.data / "broker" / "logs" / "ledger.blocks-0").is_dir()
    after = command(up.data, "status")
    assert (after.returncode, after.stdout) == (3, "")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    """The command in this process, on a folder of its own."""
    return invoker(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("name", ["status", "down", "topics list", "topics create"])
def test_that_nothing_runs_is_said(invoke: Invoke, tmp_path: Path, name: str) -> None:
    hint = f"Nothing runs on {tmp_path}: start it with 'carbonledger up', or name its folder with --data"
    assert invoke(*name.split()) == (3, "", f"carbonledger: {hint}\n")


def test_a_taken_port_says_what_to_do(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("CARBONLEDGER_PORT", str(port))
        code, _, said = invoke("up")
    assert code == 3
    assert f"Port {port} is taken: stop what listens there, or set CARBONLEDGER_PORT to another" in said


def test_a_wrong_command_line_is_a_usage_error(invoke: Invoke, tmp_path: Path) -> None:
    channel.create(tmp_path, parameters.load(), days=2)
    assert invoke("fly")[0] == 2
    assert invoke("status", "--output", "xml")[0] == 2
    code, _, said = invoke("run", "captain")
    assert code == 2
    assert "there is no role 'captain', only broker" in said


@pytest.mark.parametrize(
    "name",
    [
        "up",
        "down",
        "status",
        "run",
        "topics list",
        "topics create",
        "tables admit",
        "tables dismiss",
        "tables readers",
        "tables roles",
        "tables ddl",
    ],
)
def test_every_help_teaches_by_example(invoke: Invoke, name: str) -> None:
    code, said, _ = invoke(*name.split(), "--help")
    examples = said.split("Usage:")[1].split("\n", 1)[1]
    assert code == 0
    assert f" carbonledger {name}" in examples


def test_help_names_the_exit_codes(invoke: Invoke) -> None:
    assert "3  the environment is in the way" in invoke("--help")[1]


def test_help_imports_nothing_heavy() -> None:
    script = "import sys, infra.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    heavy = {"confluent_kafka", "pydantic", "structlog", "jgo", "numpy", "psutil", "faust", "chdb", "asyncio"}
    assert not heavy & set(loaded.split())


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"name": "x" * 300, "count": 5}, {"name": None, "count": None}], Form.TABLE, ("name", "count"))
    assert "x" * 300 in capsys.readouterr().out


def test_json_is_an_array_of_objects_with_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"name": "a"}, {"name": "ü", "count": 5, "more": 1}], Form.JSON, ("name", "count"))
    assert json.loads(capsys.readouterr().out) == [{"name": "a", "count": None}, {"name": "ü", "count": 5}]
    show([], Form.JSON, ("name",))
    assert json.loads(capsys.readouterr().out) == []
