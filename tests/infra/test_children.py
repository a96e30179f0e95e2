"""Child processes: they die with their parent, take their own children with them, and hold their lock."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra import children
from infra.children import Child, tail, trim
from infra.errors import EnvironmentFault

FOR_EVER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(1000)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(1000)",
)


def wait_for(text: str, log: Path) -> str:
    """The log, once `text` is in it. The test's own time limit is the bound."""
    while text not in (said := tail(log)):
        time.sleep(0.01)
    return said


@pytest.mark.parametrize(
    "pipe", [True, pytest.param(False, marks=pytest.mark.skipif(sys.platform != "linux", reason="prctl"))]
)
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path, pipe: bool) -> None:
    log = tmp_path / "log"
    script = (
        "import time; from pathlib import Path; from infra.children import Child;"
        f"print(Child({FOR_EVER!r}, Path({str(log)!r}), pipe={pipe}).pid, flush=True); time.sleep(1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    wait_for("up", log)
    parent.kill()
    parent.communicate()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def test_the_guard_leaves_with_its_child(tmp_path: Path) -> None:
    child = Child(FOR_EVER, tmp_path / "log", pipe=True)
    (guard,) = [
        p for p in psutil.Process().children() if p.pid != child.pid and f"kill -KILL {child.pid}" in p.cmdline()[-1]
    ]
    assert child.stop(5) == -signal.SIGTERM
    assert not guard.is_running()


def test_what_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    child = Child(STUBBORN, tmp_path / "log")
    wait_for("up", tmp_path / "log")
    assert child.stop(0.1) == -signal.SIGKILL


def test_a_kill_takes_the_whole_process_group(tmp_path: Path) -> None:
    child = Child(("/bin/sh", "-c", "sleep 1000 & echo $!; wait"), tmp_path / "log")
    grandchild = psutil.Process(int(wait_for("\n", tmp_path / "log")))
    child.kill()
    child.wait()
    while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def test_a_lock_is_held_as_long_as_the_child_lives(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    child = Child(FOR_EVER, tmp_path / "log", lock=lock)
    with pytest.raises(EnvironmentFault, match="in use by another process"):
        Child(FOR_EVER, tmp_path / "log", lock=lock)
    child.kill()
    child.wait()
    Child(FOR_EVER, tmp_path / "log", lock=lock).stop(5)


def test_a_program_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="/no/such/program could not be started"):
        Child(("/no/such/program",), tmp_path / "log")


def test_a_large_log_is_set_aside_and_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_BYTES", 100)
    log = tmp_path / "log"
    with log.open("a") as writer:
        writer.write("x" * 101)
        writer.flush()
        trim(log)
        writer.write("after")
    assert log.read_text() == "after"
    assert (tmp_path / "log.1").read_text() == "x" * 101


def test_the_tail_is_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("old new")
    assert tail(log, since=4) == "new"
    assert tail(log, size=2) == "ew"
    assert tail(log, since=400) == "old new", "a log that shrank has been set aside: all of it is new"
