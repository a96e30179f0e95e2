"""A member's copy of the ledger on disk: how it is kept and resumed, and held against the certificates."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from consensus import state as states
from consensus.log import package as packages
from consensus.log import proof
from consensus.log.follower import Follower, LedgerError, Position, VerifiedBlock, certified
from consensus.log.genesis import Genesis
from consensus.replay import check_payloads, replay
from consensus.state import State
from schemas import codec
from schemas.codec import CodecError

SNAPSHOT_EVERY = 16
"""Blocks from one snapshot of the state to the next."""
CHECKS_NOTED = 64
"""Blocks checked from one note of how far the check has come to the next."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS block (height INTEGER PRIMARY KEY, package BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot (height INTEGER PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS after_block (one INTEGER PRIMARY KEY CHECK (one = 1), position TEXT, state BLOB);
CREATE TABLE IF NOT EXISTS checked (one INTEGER PRIMARY KEY CHECK (one = 1), position TEXT);
"""


def open_database(path: Path, schema: str, synchronous: str) -> sqlite3.Connection:
    """A database of a member's, made where there is none. Raises sqlite3.DatabaseError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    # blocks and packets are large: fewer and larger pages take two thirds of the time. A file that exists keeps its own
    database.execute("PRAGMA page_size=16384")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={synchronous}")
    database.executescript(schema)
    return database


def set_aside(path: Path) -> None:
    """Keep a damaged file to be looked at, and make room for a new one."""
    path.replace(path.with_suffix(".damaged"))
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)


class LedgerFile:
    """A member's own copy of the ledger."""

    def __init__(self, path: Path) -> None:
        self._database = open_database(path, _LEDGER, "FULL")

    @classmethod
    def opened(cls, path: Path, genesis: Genesis) -> tuple[Self, int | None]:
        """The copy in `path`, sound at its end, and the first height that is gone because it was damaged, if any is.

        All of it is checked only where its end is not sound, or `suspect` was said of it. What is gone comes again from
        the other members. A file that SQLite can't read is set aside as `.damaged`.
        """
        try:
            file = cls(path)
            is_sound = not _mark(path).exists() and file._is_sound_at_its_end(genesis)
            gone = None if is_sound else file.check(genesis)
        except sqlite3.DatabaseError:
            set_aside(path)
            file, gone = cls(path), 1
        _mark(path).unlink(missing_ok=True)
        return file, gone

    def _is_sound_at_its_end(self, genesis: Genesis) -> bool:
        """Whether what a member goes on from, the last position and state, is what 2f + 1 members signed."""
        last = self._database.execute("SELECT height, package FROM block ORDER BY height DESC LIMIT 1").fetchone()
        after = self._database.execute("SELECT position, state FROM after_block").fetchone()
        if last is None or after is None:
            return last is after
        try:
            position = Position.load(json.loads(after[0]))
            committees = proof.committees(position.epochs, genesis)
            message = codec.decode_bare("block-package", last[1])["block"]
            _, header, digest = certified(genesis, committees, message)
            knows_all = State.load(after[1], 0).committees(genesis.committee) == committees
        except (CodecError, ValueError, KeyError, TypeError, AssertionError):
            return False
        names = ("height", "time", "accepted", "rejected", "tree_size", "root")
        tree, counts = position.tree, (position.accepted, position.rejected)
        stated = (position.height, position.time, *counts, tree.size, tree.root())
        is_last = last[0] == position.height and digest == position.digest
        return (
            is_last
            and knows_all
            and stated == tuple(map(header.get, names))
            and states.digest(after[1]) == header["state"]
        )

    def check(self, genesis: Genesis) -> int | None:
        """Hold the copy against what 2f + 1 members signed, and cut it off before the first damage; at which height.

        Every byte of every block counts, payloads included. Raises sqlite3.DatabaseError.
        """
        self.note_checked(None)
        follower = Follower(genesis)
        sound, state = follower.position, b""
        with suppress(LedgerError):
            for height, package in self._database.execute("SELECT height, package FROM block ORDER BY height"):
                state = _opened(follower, height, package)[0].header["state"]
                sound = follower.position
        after = self._database.execute("SELECT position, state FROM after_block").fetchone()
        (blocks,) = self._database.execute("SELECT count(*) FROM block").fetchone()
        if after is None and blocks == 0:
            return None
        if after is not None and after[0] == json.dumps(sound.dump()) and states.digest(after[1]) == state:
            return None
        self._cut(genesis, sound.height)
        return sound.height + 1

    def _cut(self, genesis: Genesis, height: int) -> None:
        """Set the copy back to a height up to which its blocks are sound."""
        follower, state = Follower(genesis), State(1000 * genesis.evidence_horizon_seconds, genesis.utc_offset_minutes)
        rows = self._database.execute("SELECT height, package FROM block WHERE height <= ? ORDER BY height", (height,))
        for row in rows:
            replay(state, *_opened(follower, *row))
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("DELETE FROM block WHERE height > ?", (height,))
            self._database.execute("DELETE FROM snapshot WHERE height > ?", (height,))
            self._database.execute("DELETE FROM after_block")
            if height:
                after = (json.dumps(follower.position.dump()), state.text())
                self._database.execute("INSERT INTO after_block VALUES (1, ?, ?)", after)

    def checked(self) -> Position | None:
        """Up to where the check under way has come, in this life or an earlier one."""
        row = self._database.execute("SELECT position FROM checked").fetchone()
        return row and Position.load(json.loads(row[0]))

    def note_checked(self, position: Position | None) -> None:
        """Keep how far the check has come; None lets the next one begin at the first block."""
        self._database.execute("DELETE FROM checked")
        if position is not None:
            self._database.execute("INSERT INTO checked VALUES (1, ?)", (json.dumps(position.dump()),))

    def resume(self) -> tuple[Position, bytes] | None:
        """Position and state text after the last block kept."""
        row = self._database.execute("SELECT position, state FROM after_block").fetchone()
        return row and (Position.load(json.loads(row[0])), row[1])

    def keep(self, package: bytes, position: Position, state: bytes) -> None:
        """Keep the next certified block and what stands after it, in one transaction."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("INSERT INTO block VALUES (?, ?)", (position.height, package))
            if position.height % SNAPSHOT_EVERY == 0:
                self._database.execute("INSERT INTO snapshot VALUES (?, ?)", (position.height, state))
            after = (json.dumps(position.dump()), state)
            self._database.execute("INSERT OR REPLACE INTO after_block VALUES (1, ?, ?)", after)

    def package(self, height: int) -> bytes | None:
        """The block-package of a height."""
        row = self._database.execute("SELECT package FROM block WHERE height = ?", (height,)).fetchone()
        return None if row is None else bytes(row[0])

    def snapshot(self, height: int) -> bytes | None:
        """The state text after a height, of every SNAPSHOT_EVERY-th; its digest stands in that block's header."""
        row = self._database.execute("SELECT state FROM snapshot WHERE height = ?", (height,)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _opened(follower: Follower, height: int, package: bytes) -> tuple[VerifiedBlock, bytes, list[bytes]]:
    """The next block of a copy, checked, with its salts and payloads. Raises LedgerError."""
    message, salts, payloads = packages.read(package)
    block = follower.accept(message)
    if block is None or block.height != height:
        raise LedgerError(f"block {height}: something else stands in its place")
    check_payloads(block, salts, payloads)
    return block, salts, payloads


def suspect(path: Path) -> None:
    """Have the next start check all of a copy before anything else."""
    _mark(path).touch()


def _mark(path: Path) -> Path:
    return path.with_suffix(".suspect")


class CopyCheck:
    """Holds a copy against the certificates while the member is idle, up to where it stood when the member started.

    Each life goes on where the last one was; once all was checked, the next begins with the first block.
    """

    def __init__(self, file: LedgerFile, genesis: Genesis) -> None:
        kept = file.resume()
        self._file, self._end = file, kept[0].height if kept else 0
        self._follower = Follower(genesis, file.checked())

    def step(self) -> None:
        """Check the next block, if one is left. Raises LedgerError, sqlite3.DatabaseError."""
        height = self._follower.height + 1
        if height > self._end:
            return
        package = self._file.package(height)
        if package is None:
            raise LedgerError(f"block {height} is missing")
        _opened(self._follower, height, package)
        if height == self._end:
            self._file.note_checked(None)
        elif height % CHECKS_NOTED == 0:
            self._file.note_checked(self._follower.position)


def read_package(path: Path, height: int) -> bytes | None:
    """The block-package of one height of a member's ledger. Raises sqlite3.Error."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        row = database.execute("SELECT package FROM block WHERE height = ?", (height,)).fetchone()
        return None if row is None else bytes(row[0])
    finally:
        database.close()


def read_packages(path: Path) -> Iterator[bytes]:
    """The block-packages of a member's ledger, read beside the member or without it. Raises sqlite3.Error."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        for row in database.execute("SELECT package FROM block ORDER BY height"):
            yield bytes(row[0])
    finally:
        database.close()
