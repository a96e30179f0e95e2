"""Child processes that can't outlive the process that started them.

On Linux the kernel kills the child when its parent dies (`PR_SET_PDEATHSIG`). Elsewhere a shell waits at the end of a
pipe whose other end only the parent holds, and kills the child when the pipe closes, however the parent died.
Each child leads a process group of its own, so a Ctrl-C in the terminal reaches the parent alone, which then stops
its children in order.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.errors import EnvironmentFault

_PR_SET_PDEATHSIG = 1
LOG_BYTES = 8_000_000
"""The size from which a log is set aside as `<name>.log.1`; so a process keeps at most twice as much."""


class Child:
    """One running child process, whose output goes to the end of `log`.

    With `lock` the child holds that file until it is gone, so that nobody else starts on its data meanwhile.
    Raises EnvironmentFault if it can't start or the lock is held.
    """

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        lock: Path | None = None,
        pipe: bool = sys.platform != "linux",
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        trim(log)
        held = [hold(lock)] if lock else []
        try:
            with log.open("ab") as out:
                self.log_start = out.tell()
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(env or {})},
                    pass_fds=held,
                    start_new_session=True,
                    preexec_fn=None if pipe else _die_with_parent(),
                )
        except OSError as error:
            raise EnvironmentFault(f"{argv[0]} could not be started: {error}") from error
        finally:
            # the child's copy holds the lock from here on
            for descriptor in held:
                os.close(descriptor)
        self._guard = _guard(self.pid) if pipe else None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, minus the signal's number if one killed it; None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._release()
        return code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, as by `poll`. Raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout)
        self._release()
        return code

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill it and its process group."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def stop(self, within: float) -> int:
        """Ask it to stop, kill it after `within` seconds, and give its exit code."""
        self.terminate()
        try:
            return self.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    def _release(self) -> None:
        # the guard goes first: were the pipe closed under it, it would kill a pid that may be somebody else's by now
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None


def _die_with_parent() -> Callable[[], None]:
    parent, prctl = os.getpid(), ctypes.CDLL(None, use_errno=True).prctl

    def between_fork_and_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the kernel was told
            os._exit(1)

    return between_fork_and_exec


def _guard(pid: int) -> subprocess.Popen[bytes]:
    script = f"read _; kill -KILL {pid}"
    return subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)


def hold(lock: Path) -> int:
    """Lock a file, and give the descriptor that holds it, in this process and in those that inherit it.

    Raises EnvironmentFault when somebody else holds it.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise EnvironmentFault(
            f"{lock.parent} is in use by another process: stop it first (carbonledger down), "
            f"or name another folder with --data"
        ) from None
    return descriptor


def trim(log: Path) -> None:
    """Set a log that has grown too large aside. Its writer appends, so it goes on at the start of the emptied file."""
    if log.is_file() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)


def tail(log: Path, since: int = 0, size: int = 20_000) -> str:
    """The end of a log as text: at most its last `size` bytes, and what stands after byte `since` of it."""
    if not log.is_file():
        return ""
    now = log.stat().st_size
    with log.open("rb") as file:
        # a log that is shorter than it was has been set aside meanwhile: all of it is new
        file.seek(max(since if since <= now else 0, now - size))
        return file.read().decode(errors="replace")
