"""The evidence that a member keeps: one file a deed, named by what it proves, bounded for each member accused."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from carbon import merkle
from consensus.core.messages import Message
from consensus.log import evidence, proof
from consensus.log import leaf as leaves
from consensus.log.evidence import EvidenceRefused, Known, Proven
from consensus.log.genesis import Genesis
from schemas import codec

FOLDER = "evidence"
MOST = 64
"""Files that convict one member, and as many that don't: more would prove nothing that these don't."""


class Kept(NamedTuple):
    """A piece of evidence on disk: what it proves, and when it was found in Unix ms."""

    proven: Proven
    at_ms: int
    path: Path


class EvidenceFolder:
    """Evidence on disk, each piece checked before it is kept, and again whenever it is read."""

    def __init__(self, folder: Path, genesis: Genesis) -> None:
        self._folder = folder
        self._genesis = genesis
        self._known: set[str] = set()
        self._against: Counter[tuple[int, bool]] = Counter()
        self.at_start = list(self.kept())
        """What was kept when the folder was opened."""
        for kept in self.at_start:
            self._count(kept.proven)

    def __len__(self) -> int:
        return len(self._known)

    def kept(self) -> Iterator[Kept]:
        """What is kept; a file that proves nothing is passed over."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                proven = evidence.check(json.loads(path.read_bytes()), self._genesis)
            except (ValueError, RecursionError):
                continue
            yield _kept(proven, path)

    def has_room(self, member: int, *, convicts: bool) -> bool:
        """Whether more against this member would be kept: what convicts it is not crowded out by what doesn't."""
        return self._against[member, convicts] < MOST

    def keep(self, file: dict[str, Any]) -> Kept | None:
        """Keep evidence durably. None for a deed that is kept already, and for what proves nothing."""
        try:
            proven = evidence.check(file, self._genesis)
        except EvidenceRefused:
            return None
        if proven.id in self._known:
            return None
        path = self._folder / proven.file_name
        write(path, evidence.text(file))
        self._count(proven)
        return _kept(proven, path)

    def _count(self, proven: Proven) -> None:
        self._known.add(proven.id)
        self._against.update((member, proven.convicts) for member in proven.members)


def _kept(proven: Proven, path: Path) -> Kept:
    return Kept(proven, path.stat().st_mtime_ns // 1_000_000, path)


def dissent(known: Known, before: merkle.GrowingTree, package: bytes, batch: bytes, message: bytes) -> dict[str, Any]:
    """The evidence of an endorsement that a block of this member's own contradicts. `before`: the tree before it."""
    block = codec.decode("block", codec.decode_bare("block-package", package)["block"])
    envelopes, header = leaves.split(block["leaves"]), codec.decode_bare("block-header", block["header"])
    names = [ordered["digest"] for ordered in header["batches"] for _ in range(ordered["records"])]
    given = evidence.codes_given(Message.decode(message), known.genesis)
    said = np.frombuffer(next(codes for digest, codes in given if digest == batch), ">u2").tolist()
    first = names.index(batch)
    decided = [evidence.decided_code(envelope) for envelope in envelopes[first : first + len(said)]]
    index = first + next(place for place, both in enumerate(zip(said, decided, strict=True)) if both[0] != both[1])
    path = merkle.appended_path(before, [merkle.leaf_hash(envelope) for envelope in envelopes], index)
    log = proof.located(envelopes[index], before.size + index, header["tree_size"], path)
    return evidence.dissent(known, message, block, log)


def write(path: Path, text: str) -> None:
    """Write a file durably, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
