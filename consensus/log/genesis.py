"""The genesis: one file from which all of a channel can be checked. Its SHA-256 is part of every signature."""

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from carbon.registry import canonical_json
from consensus.log.committee import Committee, CommitteeError, Member

FORMAT = 1
SUITE = "SHA-256, Ed25519, RFC 6962"


class GenesisError(ValueError):
    """A genesis that contradicts itself, is not canonical, or does not belong to the files beside it."""


@dataclass(frozen=True)
class BlockBounds:
    """What one block may hold."""

    bytes: int
    records: int


@dataclass(frozen=True)
class Genesis:
    """A parsed genesis; `digest` (32 bytes) is SHA-256 of the file. Durations in seconds."""

    digest: bytes
    channel: str
    partition: int
    members: tuple[Member, ...]
    registry: bytes
    factors: bytes
    rules: str
    window_seconds: int
    lateness_seconds: int
    utc_offset_minutes: int
    evidence_horizon_seconds: int
    block: BlockBounds
    clock: str
    """`live`, or `replay` when old data is replayed and packets carry the simulated time."""
    epoch: int = 0

    @cached_property
    def committee(self) -> Committee:
        """The members of epoch 0."""
        return Committee(0, 1, self.members)

    @cached_property
    def origin(self) -> str:
        """The origin line of this channel's checkpoints: stands in for the context of a note's signature."""
        return f"carbonledger/{self.channel}/{self.digest.hex()}"


def build(fields: dict[str, Any]) -> bytes:
    """The genesis file of `fields` (all but format and suite), checked. Raises GenesisError."""
    data = canonical_json({"format": FORMAT, "suite": SUITE, **fields})
    parse(data)
    return data


def parse(data: bytes) -> Genesis:
    """The genesis of a file. Raises GenesisError."""
    try:
        raw = json.loads(data)
        if (raw.pop("format"), raw.pop("suite")) != (FORMAT, SUITE):
            raise GenesisError("another format or suite than this version knows")
        genesis = _build(raw, sha256(data).digest())
        is_canonical = canonical_json({"format": FORMAT, "suite": SUITE, **raw}) == data
    except GenesisError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise GenesisError(f"not a genesis: {error!r}") from error
    if not is_canonical:
        raise GenesisError("the genesis file is not in its canonical form")
    return genesis


def _build(raw: dict[str, Any], digest: bytes) -> Genesis:
    members = tuple(Member.of_card(index, card) for index, card in enumerate(raw["members"]))
    if raw["clock"] not in ("live", "replay"):
        raise GenesisError(f"clock is live or replay, not {raw['clock']!r}")
    digests = {name: bytes.fromhex(raw[name]) for name in ("registry", "factors")}
    if raw.get("epoch", 0) != 0:
        raise GenesisError("a genesis begins epoch 0")
    genesis = Genesis(**{**raw, **digests, "members": members, "block": BlockBounds(**raw["block"])}, digest=digest)
    try:
        genesis.committee  # noqa: B018 made here, so that every genesis has one
    except CommitteeError as error:
        raise GenesisError(str(error)) from error
    return genesis
