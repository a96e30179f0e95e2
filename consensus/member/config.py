"""What a member process is told at its start."""

from dataclasses import dataclass
from pathlib import Path

from carbon.registry import Registry
from consensus.core.config import Config, MemberKeys
from consensus.log.genesis import Genesis


@dataclass(frozen=True)
class MemberConfig:
    """One member of the committee. `kafka` is passed to the clients as it is; `folder` is the member's own."""

    kafka: dict[str, str]
    genesis: Genesis
    registry: Registry
    index: int
    vote_seed: bytes
    note_seed: bytes
    folder: Path
    batch_records: int = 1_800
    batch_delay_ms: int = 200
    endorse_delay_ms: int = 40
    status_ms: int = 1_500

    def core(self) -> Config:
        """The protocol core's part of it."""
        genesis = self.genesis
        return Config(
            channel=genesis.digest,
            members=tuple(MemberKeys(member.vote_key, member.note_key.key) for member in genesis.members),
            index=self.index,
            vote_seed=self.vote_seed,
            note_seed=self.note_seed,
            epoch=genesis.epoch,
            max_records=genesis.block.records,
            max_bytes=genesis.block.bytes,
            batch_records=self.batch_records,
            batch_delay_ms=self.batch_delay_ms,
            endorse_delay_ms=self.endorse_delay_ms,
            status_ms=self.status_ms,
        )
