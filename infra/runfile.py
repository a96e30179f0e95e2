"""What a running `up` leaves in its data folder for other terminals: a lock that dies with it, and a state file.

`run/lock` is held with flock and names the holder's process id; `run/supervisor.json` says what runs.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from infra.errors import EnvironmentFault


@dataclass(frozen=True)
class Member:
    """One supervised process as the state file names it. `born` is its creation time, which tells reused pids apart."""

    process: str
    state: str
    pid: int | None
    born: float | None
    restarts: int
    since: float
    last_exit: int | None
    group: str | None


@dataclass(frozen=True)
class Run:
    """The state of one `up`: its supervisor, its broker's address and its processes. Times are Unix seconds."""

    pid: int
    since: float
    bootstrap: str
    members: tuple[Member, ...]


def folder(data: Path) -> Path:
    """Where the lock and the state file of a data folder are."""
    return data / "run"


def lock(data: Path) -> TextIO:
    """Hold the data folder until the returned file is closed. Raises EnvironmentFault when another `up` holds it."""
    folder(data).mkdir(parents=True, exist_ok=True)
    file = (folder(data) / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        refuse_if_held(data)
        raise
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def refuse_if_held(data: Path) -> None:
    """Raise EnvironmentFault when an `up` holds the data folder, before anything in it is touched."""
    if (pid := holder(data)) is not None:
        raise EnvironmentFault(
            f"carbonledger already runs on {data} (process {pid}): stop it with 'carbonledger down', "
            f"or give this one another folder with --data"
        )


def holder(data: Path) -> int | None:
    """Process id of the `up` that holds the data folder; None when none does."""
    path = folder(data) / "lock"
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int(file.read() or 0)
    return None


def write(data: Path, run: Run) -> None:
    """Replace the state file as a whole."""
    fresh = folder(data) / "supervisor.json.new"
    fresh.write_text(json.dumps(asdict(run), indent=1))
    fresh.replace(folder(data) / "supervisor.json")


def read(data: Path) -> Run | None:
    """The state file, of a run that goes on or of the last one; None when there was none."""
    path = folder(data) / "supervisor.json"
    if not path.exists():
        return None
    stored = json.loads(path.read_text())
    return Run(**{**stored, "members": tuple(Member(**member) for member in stored["members"])})


def running(data: Path) -> Run:
    """The state of the `up` that runs now. Raises EnvironmentFault when none does."""
    if holder(data) is None or (run := read(data)) is None:
        raise EnvironmentFault(
            f"Nothing runs on {data}: start it with 'carbonledger up', or name its folder with --data"
        )
    return run
