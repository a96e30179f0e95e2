"""Who asks: the owner of the data folder by its token, a reader by its own, everybody else as the public.

Tokens are 256 random bits, so a plain SHA-256 keeps them: there is nothing to guess. Both files are for their owner
alone (0600), and one that others may read is not trusted.
"""

import hmac
import json
import os
import secrets
from base64 import b64decode
from collections.abc import Mapping
from email.message import Message
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

OWNER = "owner"
PUBLIC = ("", "default")
"""Names under which nobody in particular asks, without a password."""
TOKEN_FILE = "clickhouse.token"  # noqa: S105
READERS_FILE = "clickhouse.readers"


class AccessError(ValueError):
    """Credentials that are wrong, or a file of them that can't be trusted."""


class Reader(NamedTuple):
    """A reader as the file keeps it: the party that it reads for, and the SHA-256 of its token, hex."""

    party: str
    digest: str


def owner_token(folder: Path) -> str:
    """The owner's token, made if there is none. Raises AccessError."""
    file = folder / TOKEN_FILE
    if not file.exists():
        _write(file, secrets.token_urlsafe(32) + "\n")
    return _read(file).strip()


def readers(folder: Path) -> dict[str, Reader]:
    """All readers by name. Raises AccessError."""
    file = folder / READERS_FILE
    if not file.exists():
        return {}
    try:
        return {name: Reader(**entry) for name, entry in json.loads(_read(file)).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise AccessError(f"{file} can't be read: {error}") from error


def add(folder: Path, name: str, party: str) -> str:
    """Let a reader in for a party, with another token if it was in before; the token, which is kept nowhere.

    Raises AccessError.
    """
    if name in (*PUBLIC, OWNER) or not name.isprintable() or ":" in name:
        raise AccessError(f"no reader can be called {name!r}")
    token = secrets.token_urlsafe(32)
    _keep(folder, readers(folder) | {name: Reader(party, _digest(token))})
    return token


def remove(folder: Path, name: str) -> bool:
    """Let a reader in no longer; whether it was in. Raises AccessError."""
    known = readers(folder)
    found = known.pop(name, None)
    _keep(folder, known)
    return found is not None


def party_of(folder: Path, name: str, password: str) -> str | None:
    """For whom somebody reads: a party's id, `owner`'s name for everything, None for the public. Raises AccessError."""
    if name in PUBLIC and not password:
        return None
    expected = _digest(owner_token(folder)) if name == OWNER else readers(folder).get(name, Reader("", "")).digest
    if not hmac.compare_digest(expected, _digest(password)):
        raise AccessError("password is incorrect, or there is no user with such name")
    return OWNER if name == OWNER else readers(folder)[name].party


def credentials(headers: Message, fields: Mapping[str, str]) -> tuple[str, str]:
    """Name and password of a request: of one way that ClickHouse knows, never of two. Raises AccessError."""
    ways = []
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        ways.append((headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")))
    if "Authorization" in headers:
        ways.append(_basic(headers["Authorization"]))
    if fields.get("user") or fields.get("password"):
        ways.append((fields.get("user", ""), fields.get("password", "")))
    if len(ways) > 1:
        raise AccessError("credentials stand in more than one place")
    return ways[0] if ways else ("", "")


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        name, colon, password = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError as error:
        raise AccessError("Authorization can't be read") from error
    if scheme.lower() != "basic" or not colon:
        raise AccessError("only basic authorization is known here")
    return name, password


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _keep(folder: Path, known: Mapping[str, Reader]) -> None:
    _write(folder / READERS_FILE, json.dumps({name: entry._asdict() for name, entry in known.items()}, indent=1) + "\n")


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def _read(file: Path) -> str:
    if file.stat().st_mode & 0o077:
        raise AccessError(f"{file} is open to others: chmod 600")
    return file.read_text()
