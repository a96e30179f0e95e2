"""The register on disk: the events of subscriptions, one JSON object a line, and the secrets, one file each.

Both are their owner's alone. A line is appended under a lock and durable before it counts; a line that a crash left
unfinished is cut off by the next writer.
"""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sinks.webhooks.subscription import Event, Register, fold

EVENTS, SECRETS = "subscriptions.jsonl", "secrets"
SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64."""


class RegisterFolder:
    """A folder of subscriptions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / SECRETS).mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)

    def events(self) -> list[Event]:
        """All events, in their order."""
        path = self._folder / EVENTS
        return _lines(path.read_bytes()) if path.exists() else []

    @property
    def size(self) -> int:
        """Bytes of the events: another size means that something was added."""
        path = self._folder / EVENTS
        return path.stat().st_size if path.exists() else 0

    def append(self, event: Event) -> Register:
        """Check an event against all before it, keep it, and return what stands then. Raises SubscriptionError."""
        with self._locked() as file:
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            register = fold(_lines(whole))
            register.apply(event)
            file.truncate(len(whole))
            file.seek(len(whole))
            file.write(json.dumps(event, ensure_ascii=False, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return register

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        handle = os.open(self._folder / EVENTS, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    # -- secrets

    def new_secret(self, subscription: str, number: int) -> str:
        """Make a secret of a subscription, durably; `whsec_…`, to be shown to its subscriber once."""
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        handle = os.open(self._secret_file(subscription, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        return secret

    def secret(self, subscription: str, number: int) -> str:
        """A secret. Raises OSError when its file is missing, PermissionError when others can read it."""
        path = self._secret_file(subscription, number)
        if path.stat().st_mode & 0o077:
            raise PermissionError(f"others can read {path}: chmod 600 it, and rotate the secret if they may have")
        return path.read_text().strip()

    def forget(self, subscription: str) -> None:
        """Remove the secrets of a subscription that was removed."""
        for path in (self._folder / SECRETS).glob(f"{subscription}.*"):
            path.unlink(missing_ok=True)

    def _secret_file(self, subscription: str, number: int) -> Path:
        return self._folder / SECRETS / f"{subscription}.{number}"


def _lines(data: bytes) -> list[Event]:
    """The events of whole lines; an unfinished last line counts for nothing."""
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
