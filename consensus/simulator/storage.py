"""A member's vote log on a disk that loses and changes bytes, in the member's own format.

What was not synced at a crash may be gone, from the end, in the middle of an entry too. A byte that changes in what was
synced must be found at the next start.
"""

from random import Random

from consensus.member.votelog import framed, whole


class VoteLogStore:
    """Entries of one epoch in order; the first `synced` of them survive any crash."""

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self.entries: list[bytes] = []
        self.synced = 0
        self._damaged: bytes | None = None
        """What the disk holds if a byte has changed."""

    def read(self) -> list[bytes]:
        """The entries at a start. Raises DamagedVoteLog."""
        return self.entries if self._damaged is None else whole(self._damaged, "the simulated vote log")[0]

    def append(self, entry: bytes) -> int:
        """Write an entry that is not durable yet; how many must be synced for it to be."""
        self.entries.append(entry)
        return len(self.entries)

    def sync(self, count: int) -> None:
        """Make the first `count` entries durable."""
        self.synced = max(self.synced, count)

    def crash(self, rng: Random) -> None:
        """Lose some of the bytes that were not synced, from the end; an entry torn in the middle is cut off."""
        kept, chain = framed(self.entries[: self.synced])
        written = framed(self.entries[self.synced :], chain)[0]
        torn = kept + written[: rng.randint(0, len(written))]
        self.entries = whole(torn, "the simulated vote log")[0]
        assert len(self.entries) >= self.synced, "what was synced survives"
        self.synced = len(self.entries)

    def spoil(self, rng: Random) -> bool:
        """Change one bit of what is on the disk; whether there was any."""
        data = bytearray(framed(self.entries)[0])
        if not data:
            return False
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        self._damaged = bytes(data)
        return True

    def copied(self) -> "VoteLogStore":
        """A backup of what is durable."""
        copy = VoteLogStore(self.epoch)
        copy.rotate(self.entries[: self.synced])
        return copy

    def rotate(self, entries: list[bytes]) -> None:
        """Replace the log by a shorter one that means the same, atomically (a new file, synced and renamed)."""
        self.entries = list(entries)
        self.synced = len(entries)
