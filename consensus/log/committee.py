"""The committees of a channel, one an epoch: the members of the first stand in the genesis, each next one in a record.

A change names all members of the next epoch and the first height that they certify. Nothing of an epoch counts in
another: messages name theirs, and a checkpoint's height says whose signatures it needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from consensus.log.note import NoteError, NoteKey
from schemas import codec

SMALLEST, LARGEST = 4, 100
"""Members of a committee: three can't stand one that lies (Castro and Liskov 1999, section 3)."""
AHEAD = 64
"""Heights between the record of a change and the first that the new members certify, at least: more than can be in
flight, and than a reader holds that came before its predecessor."""
FURTHEST = 100_000
"""And at most: until then no other change is taken."""


class CommitteeError(ValueError):
    """Members that make no committee, or bytes that are no change of one."""


@dataclass(frozen=True)
class Member:
    """A member of the committee: who it is and the two keys that it signs with."""

    index: int
    name: str
    role: str
    vote_key: bytes
    note_key: NoteKey

    @classmethod
    def of_card(cls, index: int, card: Mapping[str, str]) -> "Member":
        """The member of a card. Raises KeyError, TypeError, AttributeError, ValueError for what is none."""
        keys = bytes.fromhex(card["vote_key"]), NoteKey.parse(card["note_key"])
        return cls(index, card["name"], card["role"], *keys)

    @property
    def card(self) -> dict[str, str]:
        """What an institution hands out of itself, as plain text: name, role and public keys."""
        keys = {"vote_key": self.vote_key.hex(), "note_key": str(self.note_key)}
        return {"name": self.name, "role": self.role, **keys}


@dataclass(frozen=True)
class Committee:
    """The members of one epoch. Raises CommitteeError."""

    epoch: int
    first: int
    """The first height that they certify."""
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        keys = [m.vote_key for m in self.members] + [m.note_key.key for m in self.members]
        if not SMALLEST <= len(self.members) <= LARGEST:
            raise CommitteeError(f"{len(self.members)} members: a committee has {SMALLEST} to {LARGEST}")
        if len(set(keys)) != len(keys) or any(len(key) != 32 for key in keys):
            raise CommitteeError("each member has a vote key and a note key of its own, 32 bytes each")
        if len({m.name for m in self.members}) != len(self.members):
            raise CommitteeError("two members have one name")

    @property
    def f(self) -> int:
        """How many members may be faulty: floor((n - 1) / 3)."""
        return (len(self.members) - 1) // 3

    @property
    def quorum(self) -> int:
        """Members of which any two sets share an honest one: n - f, which is 2f + 1 at n = 3f + 1."""
        return len(self.members) - self.f

    @cached_property
    def note_keys(self) -> tuple[NoteKey, ...]:
        """The note keys by index."""
        return tuple(member.note_key for member in self.members)

    def index_of(self, vote_key: bytes) -> int | None:
        """The index of the member with this vote key; None when it is nobody's."""
        return next((member.index for member in self.members if member.vote_key == vote_key), None)


def in_charge(committees: Sequence[Committee], height: int) -> Committee:
    """The committee that certifies a height, as far as `committees`, one an epoch, reach."""
    return next(committee for committee in reversed(committees) if committee.first <= height or not committee.epoch)


def last_height(committees: Sequence[Committee], epoch: int) -> int | None:
    """The last height of an epoch; None while no change of its committee is recorded."""
    return committees[epoch + 1].first - 1 if epoch + 1 < len(committees) else None


@dataclass(frozen=True)
class Change:
    """The committee of the next epoch, as its record names it; `number` is that of the batch that brings it."""

    number: int
    committee: Committee

    def encode(self) -> bytes:
        """Canonical Avro of membership-change: what members sign."""
        rows = [
            {"name": m.name, "role": m.role, "vote_key": m.vote_key, "note_key": str(m.note_key)}
            for m in self.committee.members
        ]
        head = {"number": self.number, "epoch": self.committee.epoch, "first": self.committee.first}
        return codec.encode_bare("membership-change", head | {"members": rows})

    @classmethod
    def decode(cls, data: bytes) -> "Change":
        """The change of its bytes. Raises CommitteeError."""
        try:
            fields = codec.decode_bare("membership-change", data)
            members = tuple(
                Member(index, m["name"], m["role"], m["vote_key"], NoteKey.parse(m["note_key"]))
                for index, m in enumerate(fields["members"])
            )
        except (codec.CodecError, NoteError) as error:
            raise CommitteeError(f"no change of the committee: {error}") from error
        return cls(fields["number"], Committee(fields["epoch"], fields["first"], members))


def change_of(payload: bytes) -> Change:
    """The change in the payload of a membership record. Raises CommitteeError."""
    try:
        change: bytes = codec.decode_bare("membership", payload)["change"]
    except codec.CodecError as error:
        raise CommitteeError(f"no change of the committee: {error}") from error
    return Change.decode(change)
