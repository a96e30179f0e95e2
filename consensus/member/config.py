"""What a member process is told at its start."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from carbon.registry import Registry
from carbon.signing import public_key
from consensus.core.config import Config, MemberKeys
from consensus.log.committee import Committee
from consensus.log.genesis import Genesis
from schemas.observed import Observed


@dataclass(frozen=True)
class KeyPair:
    """The seeds of a vote key and a note key, and the files that hold them."""

    vote_seed: bytes
    note_seed: bytes
    files: tuple[Path, ...] = ()

    def index_in(self, committee: Committee) -> int | None:
        """The index of the member with these keys; None when they are nobody's."""
        index = committee.index_of(public_key(self.vote_seed))
        if index is None or committee.members[index].note_key.key != public_key(self.note_seed):
            return None
        return index


@dataclass(frozen=True)
class MemberConfig:
    """One member of the committee. `kafka` is passed to the clients as it is; `folder` is the member's own."""

    kafka: dict[str, str]
    genesis: Genesis
    registry: Registry
    name: str
    """Of the process; what index its member has is the committee's to say."""
    key_pairs: Callable[[], tuple[KeyPair, ...]]
    """The keys that it holds now: of this epoch, and of one to come."""
    folder: Path
    batch_records: int = 1_800
    batch_delay_ms: int = 200
    endorse_delay_ms: int = 40
    status_ms: int = 1_500
    observed: Observed = field(default_factory=Observed)

    def keys_in(self, committee: Committee) -> KeyPair | None:
        """The keys by which this member stands in a committee; None where it doesn't."""
        return next((pair for pair in self.key_pairs() if pair.index_in(committee) is not None), None)

    def core(self, committee: Committee, keys: KeyPair) -> Config:
        """The protocol core's part of it, in one epoch."""
        genesis, index = self.genesis, keys.index_in(committee)
        assert index is not None, "whoever is no member takes no part"
        return Config(
            channel=genesis.digest,
            members=tuple(MemberKeys(member.vote_key, member.note_key.key) for member in committee.members),
            index=index,
            vote_seed=keys.vote_seed,
            note_seed=keys.note_seed,
            epoch=committee.epoch,
            base=committee.first - 1,
            max_records=genesis.block.records,
            max_bytes=genesis.block.bytes,
            batch_records=self.batch_records,
            batch_delay_ms=self.batch_delay_ms,
            endorse_delay_ms=self.endorse_delay_ms,
            status_ms=self.status_ms,
        )
