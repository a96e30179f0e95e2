"""A gateway's name and key: what it puts into the bodies that it signs."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from carbon import frames, packet, signing
from carbon.frames import Message
from streams.edge.packing import Head, next_body
from streams.edge.sources import RawReading
from streams.edge.store import Signed, StoredPacket


class SeedError(Exception):
    """A seed file that can't be read."""


@dataclass(frozen=True)
class Signer:
    """Gateway and run, its Ed25519 seed, the channel's genesis digest (32 bytes), the decimal places of its points."""

    gateway: str
    run: int
    seed: bytes
    channel: bytes
    scales: Mapping[str, int]

    def packet(self, head: Head, readings: Sequence[RawReading], sent_at: int) -> Signed:
        """The packet behind `head`, with a fresh salt: made twice it is another one. `sent_at` in ms UTC."""
        body = next_body(
            head,
            readings,
            self.scales,
            gateway=self.gateway,
            run=self.run,
            sent_at=sent_at,
            salt=secrets.token_bytes(packet.SALT_BYTES),
        )
        return self._signed(packet.KIND, body)

    def again(self, head: Head, stored: StoredPacket) -> tuple[Signed, Signed | None]:
        """A packet of an earlier run, and its frames, as the one behind `head` in this: the same readings and time."""
        read = packet.decode_body(stored.body)
        columns = {"point": read.point, "at": read.at, "value": read.value, "flag": read.flag}
        body = packet.encode_body(
            gateway=self.gateway,
            run=self.run,
            sequence=head.sequence + 1,
            previous=head.digest,
            sent_at=read.sent_at,
            salt=secrets.token_bytes(packet.SALT_BYTES),
            points=list(read.points),
            columns=columns,
        )
        said = stored.frames and frames.decode_body(stored.frames.body).messages
        signed = self._signed(packet.KIND, body)
        return signed, self.frames(head.sequence + 1, body, said) if said else None

    def frames(self, sequence: int, body: bytes, messages: Sequence[Message]) -> Signed:
        """The frames of packet `sequence`, which has this body."""
        digest = sha256(body).digest()
        frame = frames.encode_body(
            gateway=self.gateway, run=self.run, sequence=sequence, packet=digest, messages=messages
        )
        return self._signed(frames.KIND, frame)

    def _signed(self, kind: str, body: bytes) -> Signed:
        return Signed(body, signing.sign(self.seed, kind, self.channel, body))


def read_seed(path: Path) -> bytes:
    """The Ed25519 seed of a file of 64 hex digits. Raises SeedError."""
    try:
        seed = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise SeedError(f"the seed file {path} can't be read as 64 hex digits") from error
    if len(seed) != signing.SEED_BYTES:
        raise SeedError(f"the seed file {path} holds {len(seed)} bytes, not {signing.SEED_BYTES}")
    return seed
