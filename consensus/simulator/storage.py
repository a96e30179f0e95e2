"""A member's vote log on a disk that loses: what was not synced at a crash may be gone, from the end."""

from random import Random


class VoteLogStore:
    """Entries in order; the first `synced` of them survive any crash."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.synced = 0

    def append(self, entry: bytes) -> int:
        """Write an entry that is not durable yet; how many must be synced for it to be."""
        self.entries.append(entry)
        return len(self.entries)

    def sync(self, count: int) -> None:
        """Make the first `count` entries durable."""
        self.synced = max(self.synced, count)

    def crash(self, rng: Random) -> None:
        """Lose some of the tail that was not synced; an entry torn in the middle is cut."""
        kept = rng.randint(self.synced, len(self.entries))
        del self.entries[kept:]
        self.synced = kept

    def copied(self) -> "VoteLogStore":
        """A backup of what is durable."""
        copy = VoteLogStore()
        copy.rotate(self.entries[: self.synced])
        return copy

    def rotate(self, entries: list[bytes]) -> None:
        """Replace the log by a shorter one that means the same, atomically (a new file, synced and renamed)."""
        self.entries = list(entries)
        self.synced = len(entries)
