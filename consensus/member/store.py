"""What a member keeps and could rebuild: its copy of the ledger, and its archive of the gateways' signed packets."""

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

from carbon import packet as packets
from carbon import window as windows
from carbon.packet import ZERO_DIGEST, Packet, PacketError
from carbon.registry import Registry
from carbon.window import ForkError, PacketFacts, Run, WindowKey
from consensus import state as states
from consensus.log import package as packages
from consensus.log import proof
from consensus.log.committee import Committee, in_charge
from consensus.log.follower import Follower, LedgerError, Position, VerifiedBlock, certificate_signers
from consensus.log.genesis import Genesis
from consensus.replay import check_payloads, replay
from consensus.state import State
from schemas import codec
from schemas.codec import CodecError

SNAPSHOT_EVERY = 16
"""Blocks from one snapshot of the state to the next."""
FACTS_HELD = 96
"""Packets whose facts stay in memory."""
EARLY_HELD = 1_024
"""Packets of a run that may wait for one before them."""
WATERMARKS_HELD = 1_024
"""Watermarks of a run that stay in memory; there are twice as many before the older half goes."""

CHECKS_NOTED = 64
"""Blocks checked from one note of how far the check has come to the next."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS block (height INTEGER PRIMARY KEY, package BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot (height INTEGER PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS after_block (one INTEGER PRIMARY KEY CHECK (one = 1), position TEXT, state BLOB);
CREATE TABLE IF NOT EXISTS checked (one INTEGER PRIMARY KEY CHECK (one = 1), position TEXT);
"""
_ARCHIVE = """
CREATE TABLE IF NOT EXISTS packet (gateway TEXT, run INTEGER, sequence INTEGER, digest BLOB, sent_at INTEGER,
    lost INTEGER, message BLOB, PRIMARY KEY (gateway, run, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watermark (gateway TEXT, run INTEGER, watermark INTEGER, sequence INTEGER,
    PRIMARY KEY (gateway, run, watermark, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS early (gateway TEXT, run INTEGER, first INTEGER, message BLOB,
    PRIMARY KEY (gateway, run, first)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS late (gateway TEXT, run INTEGER, point TEXT, window INTEGER, sequence INTEGER,
    PRIMARY KEY (gateway, run, point, window, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read (topic TEXT, partition INTEGER, position INTEGER, PRIMARY KEY (topic, partition));
"""
_WATERMARKS = """
INSERT INTO watermark
SELECT gateway, run, max(sent_at) OVER (PARTITION BY gateway, run ORDER BY sequence), sequence FROM packet
"""
_PLACES = """
SELECT watermark, sequence, sent_at, lost, digest FROM watermark CROSS JOIN packet USING (gateway, run, sequence)
WHERE gateway = ? AND run = ? """
_NEWEST = _PLACES + "ORDER BY watermark DESC, sequence DESC LIMIT ?"
_LAST_BEFORE = _PLACES + "AND watermark < ? ORDER BY watermark DESC, sequence DESC LIMIT 1"
_FIRST_REACHING = _PLACES + "AND watermark >= ? ORDER BY watermark, sequence LIMIT 1"


def _open(path: Path, schema: str, synchronous: str) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
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
        self._database = _open(path, _LEDGER, "FULL")

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
            header, digest = _certified(genesis, committees, last[1])
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
        follower, state = Follower(genesis), State(1000 * genesis.evidence_horizon_seconds)
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


def _certified(genesis: Genesis, committees: Sequence[Committee], package: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and digest of a block whose certificate holds. Raises CodecError, LedgerError."""
    block = codec.decode("block", codec.decode_bare("block-package", package)["block"])
    header, digest = codec.decode_bare("block-header", block["header"]), sha256(block["header"]).digest()
    certificate_signers(genesis, in_charge(committees, header["height"]), header, digest, block["checkpoint"])
    return header, digest


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


class DamagedArchive(Exception):
    """A packet is not what its gateway signed any more. Set aside, the archive is filled from the topic again."""


class _Place(NamedTuple):
    """A packet's place in its run, and what its watermark must follow from."""

    watermark: int
    sequence: int
    sent_at: int
    lost: int
    digest: bytes


_START = _Place(-1, 0, -1, 0, ZERO_DIGEST)


class ArchivedRun(Run):
    """A run of an archive: its newest watermarks stay in memory, older ones are looked up.

    What is read is held against the packets: a watermark that has changed comes to stand out of its turn, or is not
    what its packet's sending time makes it. Raises DamagedArchive.
    """

    def __init__(self, database: sqlite3.Connection, gateway: str, run: int) -> None:
        super().__init__()
        self._database, self._key = database, (gateway, run)
        newest = self._places(_NEWEST, WATERMARKS_HELD)[::-1]
        for first in newest[:1]:
            self.base, self.floor, self.head = first.sequence, first.watermark, first.digest
        for before, place in pairwise(newest):
            self._check(before, place)
            self.extend(place.lost, place.sent_at, place.digest)

    def _places(self, query: str, value: int) -> list[_Place]:
        return [_Place(*row) for row in self._database.execute(query, (*self._key, value))]

    def _check(self, before: _Place, place: _Place) -> None:
        due = (before.sequence + 1, max(before.watermark, place.sent_at))
        if (place.sequence - place.lost, place.watermark) != due or before.sent_at > before.watermark:
            raise DamagedArchive(f"{self._key[0]} run {self._key[1]}: a watermark near {place.sequence} has changed")

    def append(self, packet: Packet) -> int:
        """Add the next packet; returns the watermark after it."""
        watermark = super().append(packet)
        self._database.execute("INSERT INTO watermark VALUES (?, ?, ?, ?)", (*self._key, watermark, packet.sequence))
        if len(self.watermarks) > 2 * WATERMARKS_HELD:
            self.drop_before(self.last - WATERMARKS_HELD + 1)
        return watermark

    def first_reaching(self, time: int) -> int | None:
        """The first sequence whose watermark is at or past `time`; None when there is none yet."""
        if time > self.floor:
            return super().first_reaching(time)
        (before,) = self._places(_LAST_BEFORE, time) or [_START]
        (place,) = self._places(_FIRST_REACHING, time) or [before]
        self._check(before, place)
        return place.sequence


class Archive:
    """The packets of every gateway, as signed; what the evidence half is computed from. Raises DamagedArchive."""

    def __init__(self, path: Path, registry: Registry, channel: bytes, lateness_ms: int) -> None:
        # what is lost here at a crash is read again from the topic: the positions stand in the same transaction
        try:
            self._database = _open(path, _ARCHIVE, "NORMAL")
        except sqlite3.DatabaseError as error:
            raise DamagedArchive(str(error)) from error
        self._registry, self._channel, self._lateness_ms = registry, channel, lateness_ms
        self._runs: dict[tuple[str, int], ArchivedRun] = {}
        self._facts: OrderedDict[tuple[str, int, int], PacketFacts] = OrderedDict()
        if self._database.execute("SELECT 1 FROM watermark LIMIT 1").fetchone() is None:
            self._database.execute(_WATERMARKS)
        self._database.execute("BEGIN")

    def positions(self, topic: str) -> dict[int, int]:
        """Where reading of a topic goes on, by partition."""
        rows = self._database.execute("SELECT partition, position FROM read WHERE topic = ?", (topic,))
        return dict(rows.fetchall())

    def commit(self, positions: dict[str, dict[int, int]]) -> None:
        """Make what was added durable together with how far each topic was read, by partition."""
        rows = [(topic, part, place) for topic, places in positions.items() for part, place in places.items()]
        self._database.executemany("INSERT OR REPLACE INTO read VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")

    def add(self, message: bytes) -> Packet | None:
        """Archive a packet; None for one that is held already or has to wait for one before it.

        Raises PacketError for a message that is no evidence, ForkError for a second packet at one place of a run.
        """
        packet = packets.verify(message, self._registry, self._channel)
        run = self.run(packet.gateway, packet.run)
        if packet.sequence <= run.last:
            self._again(packet)
            return None
        if not run.follows(packet):
            self._wait(packet, message)
            return None
        self._take(run, packet, message)
        while (later := self._next_early(run, packet.gateway, packet.run)) is not None:
            self._take(run, *later)
        return packet

    def _again(self, packet: Packet) -> None:
        key = (packet.gateway, packet.run, packet.sequence)
        row = self._database.execute(
            "SELECT digest FROM packet WHERE (gateway, run, sequence) = (?, ?, ?)", key
        ).fetchone()
        if row is None or row[0] != packet.digest:
            raise ForkError(f"{packet.gateway} run {packet.run}: two packets claim sequence {packet.sequence}")

    def _wait(self, packet: Packet, message: bytes) -> None:
        run = (packet.gateway, packet.run)
        (waiting,) = self._database.execute("SELECT count(*) FROM early WHERE (gateway, run) = (?, ?)", run).fetchone()
        if waiting < EARLY_HELD:
            row = (*run, packet.sequence - packet.lost, message)
            self._database.execute("INSERT OR REPLACE INTO early VALUES (?, ?, ?, ?)", row)

    def _next_early(self, run: ArchivedRun, gateway: str, number: int) -> tuple[Packet, bytes] | None:
        """The packet that waited for the run's last one. Of another branch it counts for nothing, and harms nothing."""
        key = (gateway, number, run.last + 1)
        row = self._database.execute(
            "SELECT message FROM early WHERE (gateway, run, first) = (?, ?, ?)", key
        ).fetchone()
        if row is None:
            return None
        self._database.execute("DELETE FROM early WHERE (gateway, run, first) = (?, ?, ?)", key)
        try:
            packet = packets.verify(row[0], self._registry, self._channel)
            return (packet, row[0]) if run.follows(packet) else None
        except ForkError:
            return None
        except PacketError as error:
            raise DamagedArchive(str(error)) from error

    def _take(self, run: Run, packet: Packet, message: bytes) -> None:
        row = (packet.gateway, packet.run, packet.sequence, packet.digest, packet.sent_at, packet.lost, message)
        self._database.execute("INSERT INTO packet VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        run.append(packet)
        if self._may_be_late(run, packet):
            self._note_late(run, packet)

    def _may_be_late(self, run: Run, packet: Packet) -> bool:
        """Whether a window of the packet's earliest reading could have closed before it came."""
        spans = [p.window_seconds for name in packet.points if (p := self._registry.points.get(name)) is not None]
        if not len(packet) or not spans:
            return False
        latest_end = int(packet.at.min()) + 1000 * max(spans)
        closing = run.first_reaching(latest_end + self._lateness_ms)
        return closing is not None and closing < packet.sequence

    def _note_late(self, run: Run, packet: Packet) -> None:
        for point, start in self._analysed(packet).groups:
            end = start + 1000 * self._registry.points[point].window_seconds
            closing = run.first_reaching(end + self._lateness_ms)
            if closing is not None and closing < packet.sequence:
                row = (packet.gateway, packet.run, point, start, packet.sequence)
                self._database.execute("INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?, ?)", row)

    def run(self, gateway: str, run: int) -> ArchivedRun:
        """The packets of a run that arrived without a hole."""
        known = self._runs.get((gateway, run))
        if known is None:
            known = self._runs[gateway, run] = ArchivedRun(self._database, gateway, run)
        return known

    def facts(self, gateway: str, run: int, sequence: int) -> PacketFacts | None:
        """What follows from one packet of such a run; None for a sequence that was stated lost."""
        key = (gateway, run, sequence)
        known = self._facts.get(key)
        if known is not None:
            self._facts.move_to_end(key)
            return known
        query = "SELECT message, digest, sent_at, lost FROM packet WHERE (gateway, run, sequence) = (?, ?, ?)"
        row = self._database.execute(query, key).fetchone()
        return None if row is None else self._analysed(self._intact(*row))

    def _intact(self, message: bytes, *kept: object) -> Packet:
        try:
            packet = packets.decode_body(packets.body_of(message))
        except (PacketError, CodecError) as error:
            raise DamagedArchive(str(error)) from error
        if (packet.digest, packet.sent_at, packet.lost) != kept:
            raise DamagedArchive(f"{packet.gateway} run {packet.run}, packet {packet.sequence} has changed")
        return packet

    def message(self, gateway: str, run: int, sequence: int) -> bytes | None:
        """A packet as its gateway sent it."""
        key = (gateway, run, sequence)
        row = self._database.execute(
            "SELECT message FROM packet WHERE (gateway, run, sequence) = (?, ?, ?)", key
        ).fetchone()
        return None if row is None else bytes(row[0])

    def late(self, gateway: str, run: int, key: WindowKey) -> Sequence[int]:
        """The packets behind a window's closing packet that hold readings of it."""
        query = "SELECT sequence FROM late WHERE (gateway, run, point, window) = (?, ?, ?, ?) ORDER BY sequence"
        return [row[0] for row in self._database.execute(query, (gateway, run, *key))]

    def _analysed(self, packet: Packet) -> PacketFacts:
        facts = windows.analyse(packet, self._registry)
        self._facts[packet.gateway, packet.run, packet.sequence] = facts
        if len(self._facts) > FACTS_HELD:
            self._facts.popitem(last=False)
        return facts

    def close(self) -> None:
        """Close the file."""
        self._database.close()


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


def read_messages(path: Path, gateway: str, run: int, first: int, last: int) -> list[bytes]:
    """The packets of a range from a member's archive, as their gateway sent them. Raises sqlite3.Error."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    query = "SELECT message FROM packet WHERE (gateway, run) = (?, ?) AND sequence BETWEEN ? AND ? ORDER BY sequence"
    try:
        return [bytes(row[0]) for row in database.execute(query, (gateway, run, first, last))]
    finally:
        database.close()
