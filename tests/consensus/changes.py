"""Changes of the committee for tests: made, approved and consented with the keys of `tests.small`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from carbon import signing
from consensus import batch as batches
from consensus import membership
from consensus.batch import Batch
from consensus.log.committee import AHEAD, Change, Committee, Member
from consensus.log.note import NoteKey
from schemas import codec
from tests.small import World, seed


def newcomer(name: str) -> Member:
    """A member whose seeds are `seed("vote-<name>")` and `seed("note-<name>")`."""
    keys = [signing.public_key(seed(f"{use}-{name}")) for use in ("vote", "note")]
    return Member(0, f"member-{name}", "verifier", keys[0], NoteKey(f"carbonledger/test/member-{name}", keys[1]))


def with_members(now: Committee, first: int, members: Iterable[Member], number: int = 1) -> Change:
    placed = tuple(replace(member, index=index) for index, member in enumerate(members))
    return Change(number, Committee(now.epoch + 1, first, placed))


def rotated(now: Committee, index: int, name: str, first: int = 1 + AHEAD, number: int = 1) -> Change:
    """One member gets the keys of `name`."""
    fresh = newcomer(name)
    members = list(now.members)
    members[index] = replace(members[index], vote_key=fresh.vote_key, note_key=fresh.note_key)
    return with_members(now, first, members, number)


def record(world: World, change: Change, approving: Sequence[str], consenting: dict[int, str] | None = None) -> bytes:
    """The payload: approved by the vote keys of these names in their order, consented by those of new members."""

    def signed(name: str, kind: str) -> bytes:
        return signing.sign(seed(f"vote-{name}"), kind, world.channel, change.encode())

    approvals = {index: signed(name, membership.APPROVAL) for index, name in enumerate(approving) if name}
    consents = {index: signed(name, membership.CONSENT) for index, name in (consenting or {}).items()}
    return membership.payload(change, approvals, consents)


def batch(payload: bytes) -> Batch:
    return batches.decode(codec.decode("proposal", membership.proposal(payload))["body"])
