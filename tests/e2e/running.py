"""The demonstration and the command line as processes of their own, on a data folder of the test."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from infra import runfile

ROOT = Path(__file__).parents[2]
DAYS = 3
"""The gap and every planted reading are in the first three days."""

EMITTED = "SELECT subject, sum(balance) AS emitted FROM balances WHERE account LIKE 'emissions:%' GROUP BY subject"
"""What the accounts say that each subject emitted, g CO2e."""


def command(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`carbonledger --data DATA ARGUMENTS`, run to its end."""
    line = [sys.executable, "-m", "infra.cli", "--data", str(data), *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)


def rows(data: Path, *arguments: str) -> list[dict[str, Any]]:
    """What a command lists, for programs. Raises AssertionError when it fails."""
    done = command(data, *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def status_of(path: Path) -> dict[str, Any]:
    """What a process last wrote about itself; empty before its first word."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


class Service:
    """A command that supervises processes on a data folder: `demo` or `up`. Everything ends with the block."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        data.parent.mkdir(parents=True, exist_ok=True)
        self._log = data.with_name(data.name + ".log")
        line = [sys.executable, "-m", "infra.cli", "--data", str(data), *arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    @property
    def said(self) -> str:
        """Everything that it printed so far."""
        return self._log.read_text()

    def members(self) -> dict[str, runfile.Member]:
        """The processes that run now, by name."""
        run = runfile.read(self.data)
        return {member.process: member for member in (run.members if run else ()) if member.pid}

    def kill(self, name: str) -> bool:
        """kill -9 of one process, if it runs; whether it did."""
        member = self.members().get(name)
        if member is None or member.pid is None:
            return False
        try:
            if psutil.Process(member.pid).create_time() != member.born:
                return False
            os.kill(member.pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False
        return True

    def end(self) -> int:
        """Wait for its own end; the exit code."""
        return self.process.wait()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        if self.runs:
            self.process.terminate()
            try:
                self.process.wait(90)
            except subprocess.TimeoutExpired:
                self.process.kill()  # its children die with it
                self.process.wait()
