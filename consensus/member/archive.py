"""A member's archive: the gateways' signed packets, what their watermarks are, and what follows from them.

It can be filled again from the topic, so what is damaged is set aside, and never judged by.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from carbon import packet as packets
from carbon import window as windows
from carbon.packet import ZERO_DIGEST, Packet, PacketError
from carbon.registry import Point, Registry
from carbon.window import ForkError, PacketFacts, Run, WindowKey
from consensus.member.store import open_database
from schemas.codec import CodecError

FACTS_HELD = 96
"""Packets whose facts stay in memory."""
EARLY_HELD = 1_024
"""Packets of a run that may wait for one before them."""
WATERMARKS_HELD = 1_024
"""Watermarks of a run that stay in memory; there are twice as many before the older half goes."""

_ADOPTED, _REFUSED = "registry adopted", "packets refused"
"""Kept beside the positions of topics: the newest registry height that packets were read under, at partition 0; where
the first packet stands, by partition, that it refused and a later one may not."""
_MAY_COME = frozenset({"unknown_gateway", "wrong_signature", "wrong_run"})

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
    """The packets of every gateway, as signed; what the evidence half is computed from. Raises DamagedArchive.

    A packet is evidence if its gateway signed it by any of `registries`, by height, which grow with the ledger: what of
    it counts, `under` says by one of them.
    """

    def __init__(self, path: Path, registries: Mapping[int, Registry], channel: bytes, lateness_ms: int) -> None:
        # what is lost here at a crash is read again from the topic: the positions stand in the same transaction
        try:
            self._database = open_database(path, _ARCHIVE, "NORMAL")
        except sqlite3.DatabaseError as error:
            raise DamagedArchive(str(error)) from error
        self._registries, self._channel, self._lateness_ms = registries, channel, lateness_ms
        self._runs: dict[tuple[str, int], ArchivedRun] = {}
        self._facts: OrderedDict[tuple[str, int, int, int], PacketFacts] = OrderedDict()
        self._adopted = self.positions(_ADOPTED).get(0, 0)
        self._refused = self.positions(_REFUSED)
        if self._database.execute("SELECT 1 FROM watermark LIMIT 1").fetchone() is None:
            self._database.execute(_WATERMARKS)
        self._database.execute("BEGIN")

    def positions(self, topic: str) -> dict[int, int]:
        """Where reading of a topic goes on, by partition."""
        rows = self._database.execute("SELECT partition, position FROM read WHERE topic = ?", (topic,))
        return dict(rows.fetchall())

    def commit(self, positions: dict[str, dict[int, int]]) -> None:
        """Make what was added durable together with how far each topic was read, by partition."""
        kept = positions | {_ADOPTED: {0: self._adopted}, _REFUSED: self._refused}
        rows = [(topic, part, place) for topic, places in kept.items() for part, place in places.items()]
        self._database.execute("DELETE FROM read WHERE topic = ?", (_REFUSED,))
        self._database.executemany("INSERT OR REPLACE INTO read VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")

    def adopt(self) -> dict[int, int] | None:
        """Read packets by registries that have come since; from where on, by partition, they are to be read again.

        None when none has come.
        """
        newest = max(self._registries)
        if newest == self._adopted:
            return None
        before = {name for height, r in self._registries.items() if height <= self._adopted for name in r.points}
        self._look_back(p for name, p in self._registries[newest].points.items() if name not in before)
        again, self._refused, self._adopted = self._refused, {}, newest
        return again

    def refused(self, reason: str, partition: int, offset: int) -> None:
        """Remember where a packet stands that a later registry may know."""
        if reason in _MAY_COME:
            self._refused[partition] = min(offset, self._refused.get(partition, offset))

    def _look_back(self, points: Iterable[Point]) -> None:
        """Note the late packets of points that nobody knew when they came."""
        query = "SELECT message, digest, sent_at, lost FROM packet WHERE gateway = ? AND sent_at >= ?"
        starts: dict[str, int] = {}
        for point in points:
            starts[point.gateway] = min(point.start, starts.get(point.gateway, point.start))
        for gateway, start in starts.items():
            for row in self._database.execute(query, (gateway, start)).fetchall():
                packet = self._intact(*row)
                self._note_late(self.run(gateway, packet.run), packet)

    def add(self, message: bytes) -> Packet | None:
        """Archive a packet; None for one that is held already or has to wait for one before it.

        Raises PacketError for a message that is no evidence, ForkError for a second packet at one place of a run.
        """
        packet = self._verified(message)
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

    def _verified(self, message: bytes) -> Packet:
        newest, *older = (registry for _, registry in sorted(self._registries.items(), reverse=True))
        try:
            return packets.verify(message, newest, self._channel)
        except PacketError as error:
            for registry in older:
                with suppress(PacketError):
                    return packets.verify(message, registry, self._channel)
            raise error

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
            packet = self._verified(row[0])
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
        known = self._registries[max(self._registries)].points
        points = [point for name in packet.points if (point := known.get(name)) is not None]
        if not len(packet) or not points:
            return False
        earliest, spans = int(packet.at.min()), {1000 * point.window_seconds for point in points}
        first_end = min(earliest // span * span + span for span in spans)
        closing = run.first_reaching(first_end + self._lateness_ms)
        return closing is not None and closing < packet.sequence

    def _note_late(self, run: Run, packet: Packet) -> None:
        """Note a packet for the windows of its readings that it came too late for, whether they count or not."""
        for point, start, end in self._windows(packet):
            closing = run.first_reaching(end + self._lateness_ms)
            if closing is not None and closing < packet.sequence:
                row = (packet.gateway, packet.run, point, start, packet.sequence)
                self._database.execute("INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?, ?)", row)

    def _windows(self, packet: Packet) -> Iterator[tuple[str, int, int]]:
        """Point, start and end of each window that a reading of a packet is in."""
        points = self._registries[max(self._registries)].points
        for place, name in enumerate(packet.points):
            if name in points:
                span = 1000 * points[name].window_seconds
                for start in np.unique(packet.at[packet.point == place] // span).tolist():
                    yield name, span * start, span * (start + 1)

    def under(self, height: int) -> "Under":
        """What of the packets counts by the registry of a height."""
        return Under(self, height)

    def run(self, gateway: str, run: int) -> ArchivedRun:
        """The packets of a run that arrived without a hole."""
        known = self._runs.get((gateway, run))
        if known is None:
            known = self._runs[gateway, run] = ArchivedRun(self._database, gateway, run)
        return known

    def facts(self, gateway: str, run: int, sequence: int, height: int) -> PacketFacts | None:
        """What follows from one packet of such a run by the registry of a height; None for a sequence stated lost."""
        key = (gateway, run, sequence, height)
        known = self._facts.get(key)
        if known is not None:
            self._facts.move_to_end(key)
            return known
        query = "SELECT message, digest, sent_at, lost FROM packet WHERE (gateway, run, sequence) = (?, ?, ?)"
        row = self._database.execute(query, key[:3]).fetchone()
        if row is None:
            return None
        facts = self._facts[key] = windows.analyse(self._intact(*row), self._registries[height])
        if len(self._facts) > FACTS_HELD:
            self._facts.popitem(last=False)
        return facts

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

    def close(self) -> None:
        """Close the file."""
        self._database.close()


@dataclass(frozen=True)
class Under:
    """An archive as the contract sees it by one registry."""

    archive: Archive
    height: int

    def run(self, gateway: str, run: int) -> Run:
        """The packets of a run that arrived without a hole."""
        return self.archive.run(gateway, run)

    def facts(self, gateway: str, run: int, sequence: int) -> PacketFacts | None:
        """What follows from one packet of such a run; None for a sequence that was stated lost."""
        return self.archive.facts(gateway, run, sequence, self.height)

    def late(self, gateway: str, run: int, key: WindowKey) -> Sequence[int]:
        """The packets behind a window's closing packet that hold readings of it."""
        return self.archive.late(gateway, run, key)


def read_messages(path: Path, gateway: str, run: int, first: int, last: int) -> list[bytes]:
    """The packets of a range from a member's archive, as their gateway sent them. Raises sqlite3.Error."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    query = "SELECT message FROM packet WHERE (gateway, run) = (?, ?) AND sequence BETWEEN ? AND ? ORDER BY sequence"
    try:
        return [bytes(row[0]) for row in database.execute(query, (gateway, run, first, last))]
    finally:
        database.close()
