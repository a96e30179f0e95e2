"""The vote log on disk: append-only, each entry chained to the last by digest, synced before anything is sent.

An entry is length (u32) ‖ SHA-256(previous digest ‖ length)[:8] ‖ SHA-256(previous digest ‖ bytes) ‖ bytes. Only an
incomplete last entry may be cut off: it was never synced, so nothing was sent for it. Any other damage stops the
member, which could otherwise sign a vote that conflicts with one it has forgotten. The length has a check of its own,
because a damaged one that reaches beyond the file would make all that follows look like a torn tail.
"""

import os
import struct
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

_LENGTH = struct.Struct(">I")
_CHECK = 8
_HEAD = _LENGTH.size + _CHECK + 32
ROTATE_BYTES = 16 << 20
FIRST = bytes(32)
"""What stands for the digest before the first entry."""


class DamagedVoteLog(Exception):
    """The vote log does not hold what was written: this member must not vote."""


def of_epoch(folder: Path, epoch: int) -> Path:
    """The vote log of an epoch. Those of earlier ones, which are over, are removed."""
    for path in _logs(folder):
        if _epoch(path) < epoch:
            path.unlink()
    return folder / f"votes.{epoch}.log"


def last_epoch(folder: Path) -> int:
    """The last epoch that there is a vote log of: in an earlier one its member votes no more."""
    return max(map(_epoch, _logs(folder)), default=0)


def _logs(folder: Path) -> list[Path]:
    return list(folder.glob("votes.*.log"))


def _epoch(path: Path) -> int:
    return int(path.suffixes[0][1:])


class VoteLog:
    """One member's vote log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600)
        self._entries, self._chain, self._size = whole(path.read_bytes(), str(path))
        self._file = path.open("r+b")
        self._file.truncate(self._size)
        self._file.seek(self._size)

    def append(self, entries: Iterable[bytes]) -> None:
        """Write entries and sync them, all by one sync."""
        data, self._chain = framed(entries, self._chain)
        self._file.write(data)
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._size += len(data)

    def taken(self) -> list[bytes]:
        """The entries that stood in the log when it was opened; they are not held any longer."""
        entries, self._entries = self._entries, []
        return entries

    @property
    def is_long(self) -> bool:
        """Whether it is time to write it anew."""
        return self._size > ROTATE_BYTES

    def rewrite(self, entries: list[bytes]) -> None:
        """Replace the log by an equivalent shorter one, at one stroke."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        log = VoteLog(fresh)
        log.append(entries)
        self._file.close()
        fresh.replace(self._path)
        _sync_folder(self._path.parent)
        self._file, self._chain, self._size = log._file, log._chain, log._size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _head(chain: bytes, length: bytes) -> bytes:
    return length + sha256(chain + length).digest()[:_CHECK]


def framed(entries: Iterable[bytes], chain: bytes = FIRST) -> tuple[bytes, bytes]:
    """The bytes of entries behind one of digest `chain`, and the digest of the last."""
    data = bytearray()
    for entry in entries:
        head = _head(chain, _LENGTH.pack(len(entry)))
        chain = sha256(chain + entry).digest()
        data += head + chain + entry
    return bytes(data), chain


def whole(data: bytes, name: str) -> tuple[list[bytes], bytes, int]:
    """Entries, last digest and length of the whole part of a log called `name`. Raises DamagedVoteLog."""
    place, chain = 0, FIRST
    entries: list[bytes] = []
    while len(data) - place >= _HEAD:
        head, digest = data[place : place + _HEAD - 32], data[place + _HEAD - 32 : place + _HEAD]
        if head != _head(chain, head[: _LENGTH.size]):
            raise _damaged(name, place)
        (length,) = _LENGTH.unpack_from(head)
        entry = data[place + _HEAD : place + _HEAD + length]
        if len(entry) < length:
            break
        chain = sha256(chain + entry).digest()
        if digest != chain:
            raise _damaged(name, place)
        entries.append(entry)
        place += _HEAD + length
    return entries, chain, place


def _damaged(name: str, place: int) -> DamagedVoteLog:
    return DamagedVoteLog(f"{name} is damaged at byte {place}: restore nothing, ask the other members, see docs")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
