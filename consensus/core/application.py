"""The port to the replicated state: what the protocol orders is applied behind it."""

from typing import Protocol

from consensus.core.effects import OrderedBlock


class Application(Protocol):
    """The replicated ledger of one member. Deterministic: the same blocks give the same notes on every member.

    What it has executed and not yet seen certified may live in memory only; after a restart `height` must be a height
    whose certificate it holds (or 0). A replica of an epoch starts on a height that is not below the epoch's base.
    """

    @property
    def height(self) -> int:
        """Last height applied; 0 is none."""

    @property
    def time_ms(self) -> int:
        """Block time of the last height applied; 0 at none."""

    @property
    def epoch_end(self) -> int | None:
        """The last height of this epoch, once an applied change of members says so; None before.

        A change applied at height r ends its epoch at r + 2 windows or later: what is in flight when it is applied is
        of this epoch still.
        """

    def stream_head(self, submitter: str, stream: str) -> int:
        """Number of the last batch applied of a submitter's stream; 0 is none."""

    def execute(self, block: OrderedBlock) -> bytes | None:
        """Apply the block of `height + 1`; the text of its checkpoint note, unsigned.

        None where this member judged a record otherwise than the committee: it takes the certified block from others.
        """

    def install(self, block: bytes) -> bool:
        """Verify a certified block completely and apply it if it is of `height + 1`; False if refused."""

    def certified(self, height: int) -> bytes | None:
        """The certified block of a height, for a member that lags; None if not held."""

    def certificate(self, height: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
        """Note text and 2f + 1 (member, note signature) of a certified height; None if not held."""

    def note_height(self, note: bytes) -> int | None:
        """The height that a checkpoint note of this channel states; None for any other text."""
