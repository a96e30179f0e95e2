"""The supervisor with real child processes: order, restarts, signals, the lock, and what other terminals read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra import plan, runfile
from infra.errors import EnvironmentFault
from infra.plan import Process, State
from infra.supervisor import Supervisor

CHILD = """
import pathlib, signal, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
events = folder / "events"
def say(what):
    with events.open("a") as file: file.write(f"{what} {name}\\n")
def end(*_):
    say("stop"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
say("start")
(folder / f"{name}.ready").touch()
while True: time.sleep(1000)
"""
IGNORING = CHILD.replace("sys.exit(0)", "None")


class Stage:
    """Small real children in a folder, and what they and the supervisor said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    def process(self, name: str, *depends: str, source: str = CHILD) -> Process:
        ready = self.folder / f"{name}.ready"
        return Process(name, (sys.executable, "-c", source, name, str(self.folder)), depends, ready=ready.exists)

    def supervisor(self, *processes: Process) -> Supervisor:
        return Supervisor(processes, self.folder, self.said.append, "127.0.0.1:1")

    @property
    def events(self) -> list[str]:
        return (self.folder / "events").read_text().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def until(done: Callable[[], bool], supervisor: Supervisor) -> None:
    """Step until `done`; the test's own time limit is the bound."""
    while not done():
        supervisor.step()
        time.sleep(0.01)


def pid(supervisor: Supervisor, name: str) -> int:
    run = runfile.read(supervisor.data)
    assert run is not None
    (found,) = [member.pid for member in run.members if member.process == name]
    assert found is not None
    return found


def test_they_start_in_order_and_stop_in_reverse(stage: Stage) -> None:
    with stage.supervisor(stage.process("c", "b"), stage.process("b", "a"), stage.process("a")) as supervisor:
        until(lambda: supervisor.ready, supervisor)
        assert stage.events == ["start a", "start b", "start c"]
    assert stage.events[3:] == ["stop c", "stop b", "stop a"]


def test_a_killed_process_is_said_and_started_again_alone(stage: Stage) -> None:
    with stage.supervisor(stage.process("a"), stage.process("b", "a")) as supervisor:
        until(lambda: supervisor.ready, supervisor)
        other = pid(supervisor, "b")
        os.kill(pid(supervisor, "a"), signal.SIGKILL)
        until(lambda: stage.events.count("start a") == 2, supervisor)
        assert pid(supervisor, "b") == other
    assert stage.said == ["a was killed by SIGKILL, starts again in 0.5 s: somebody killed it, or memory ran out"]


def test_what_never_gets_ready_ends_everything_with_its_reason(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "FIRST_DELAY", 0.01)
    source = "print('No space left'); raise SystemExit(7)"
    broken = stage.process("broken", "a", source=source)
    explained = Process(broken.name, broken.argv, ("a",), ready=broken.ready, explain=lambda log: f"read {log.strip()}")
    with (
        pytest.raises(
            EnvironmentFault, match=r"broken can't be started, it ended with exit code 7 5 times: read No space left$"
        ),
        stage.supervisor(stage.process("a"), explained) as supervisor,
    ):
        until(lambda: False, supervisor)
    assert len(stage.said) == plan.GIVE_UP_AFTER - 1
    assert stage.events == ["start a", "stop a"]


def test_what_does_not_get_ready_in_time_is_killed(stage: Stage) -> None:
    slow = Process(
        "slow", (sys.executable, "-c", "import time; time.sleep(1000)"), ready=lambda: False, ready_within=0.1
    )
    with stage.supervisor(slow) as supervisor:
        until(lambda: supervisor.lives["slow"].failures == 1, supervisor)
    assert stage.said[0] == "slow did not get ready in time: killed"


def test_what_does_not_stop_in_time_is_killed(stage: Stage) -> None:
    held = stage.process("held", source=IGNORING)
    stubborn = Process(held.name, held.argv, ready=held.ready, stop_within=0.1)
    with stage.supervisor(stubborn) as supervisor:
        until(lambda: supervisor.ready, supervisor)
        held_pid = pid(supervisor, "held")
    assert stage.said == ["held did not stop in time: killed"]
    assert not psutil.pid_exists(held_pid)


def test_a_fault_in_a_ready_check_stops_everything(stage: Stage) -> None:
    def fault() -> bool:
        raise EnvironmentFault("the topics differ")

    wrong = Process("wrong", stage.process("wrong").argv, ("a",), ready=fault)
    with pytest.raises(EnvironmentFault, match="differ"), stage.supervisor(stage.process("a"), wrong) as supervisor:
        until(lambda: False, supervisor)
    assert all(life.state is State.STOPPED for life in supervisor.lives.values())


def test_a_second_one_on_the_same_folder_is_refused(stage: Stage) -> None:
    with stage.supervisor(stage.process("a")) as supervisor:
        until(lambda: supervisor.ready, supervisor)
        with pytest.raises(EnvironmentFault, match=rf"already runs .*\(process {os.getpid()}\): stop it with"):
            stage.supervisor(stage.process("b")).__enter__()
        assert runfile.running(stage.folder).pid == os.getpid()
    with pytest.raises(EnvironmentFault, match="Nothing runs"):
        runfile.running(stage.folder)


def test_the_state_file_tells_of_every_process(stage: Stage) -> None:
    with stage.supervisor(stage.process("a"), stage.process("b", "a")) as supervisor:
        until(lambda: supervisor.lives["a"].state is State.READY, supervisor)
        os.kill(pid(supervisor, "a"), signal.SIGKILL)
        until(lambda: supervisor.lives["a"].restarts == 1 and supervisor.ready, supervisor)
        run = runfile.running(stage.folder)
    a, b = run.members
    assert run.bootstrap == "127.0.0.1:1"
    assert (a.process, a.state, a.restarts, a.last_exit) == ("a", "ready", 1, -signal.SIGKILL)
    assert (b.process, b.state, b.restarts, b.last_exit) == ("b", "ready", 0, None)
    assert run.since <= a.since <= time.time()


def test_leftovers_of_a_killed_supervisor_are_ended(stage: Stage) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    born = psutil.Process(left.pid).create_time()
    spared = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    members = (
        runfile.Member("left", "ready", left.pid, born, 0, 0.0, None, None),
        runfile.Member("reused", "ready", spared.pid, born - 1000, 0, 0.0, None, None),
    )
    runfile.folder(stage.folder).mkdir()
    runfile.write(stage.folder, runfile.Run(1, 0.0, "", members))
    try:
        with stage.supervisor(stage.process("a")):
            assert not psutil.pid_exists(left.pid)
            assert spared.poll() is None, "a pid that somebody else has by now is not ours to kill"
    finally:
        left.kill()
        spared.kill()
        spared.wait()
    assert stage.said == ["left was left over from the last run: killed"]


RUN = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
from tests.infra.test_supervisor import Stage
stage = Stage(Path(sys.argv[2]))
with stage.supervisor(stage.process("a"), stage.process("b", "a", source=sys.argv[3])) as supervisor:
    supervisor.run(lambda: print("ready", flush=True))
"""


def start(folder: Path, source: str = CHILD) -> "subprocess.Popen[str]":
    """A supervisor in a process of its own, once its two children are ready."""
    command = [sys.executable, "-c", RUN, str(Path(__file__).parents[2]), str(folder), source]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_orderly_end(stage: Stage, number: signal.Signals) -> None:
    running = start(stage.folder)
    running.send_signal(number)
    running.communicate()
    assert running.returncode == 0
    assert stage.events == ["start a", "start b", "stop b", "stop a"]


def test_a_second_signal_kills_what_is_left(stage: Stage) -> None:
    running = start(stage.folder, IGNORING)
    running.send_signal(signal.SIGINT)
    while "stop b" not in stage.events:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == 0
    assert stage.events == ["start a", "start b", "stop b"], "a was killed too, before its turn to be asked"


def test_a_killed_supervisor_takes_its_children_along(stage: Stage) -> None:
    running = start(stage.folder)
    run = runfile.read(stage.folder)
    assert run is not None
    running.kill()
    running.communicate()
    for member in run.members:
        while member.pid is not None and psutil.pid_exists(member.pid):
            time.sleep(0.01)
    assert runfile.holder(stage.folder) is None
