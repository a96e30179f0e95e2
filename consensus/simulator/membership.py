"""Which keys there are in a run, and who is meant to be in the committee of each epoch; the ledgers record it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import NamedTuple

from carbon.signing import public_key
from consensus.core.config import Config, MemberKeys

CHANGES = ("rotate", "replace", "four", "five", "seven")
"""New keys for some; another member in one's place; a committee of that size."""
SIZES = {"four": 4, "five": 5, "seven": 7}


class Seat(NamedTuple):
    """A place in a committee: the number of the member for the whole run, and which of its keys are in force."""

    member: int
    generation: int


Committee = tuple[Seat, ...]


class Identity(NamedTuple):
    """The secret halves of a member's two keys."""

    vote_seed: bytes
    note_seed: bytes

    @property
    def keys(self) -> MemberKeys:
        """The public halves."""
        return _public(*self)


@lru_cache(maxsize=8192)
def _public(vote_seed: bytes, note_seed: bytes) -> MemberKeys:
    return MemberKeys(public_key(vote_seed), public_key(note_seed))


def identity(run: int, founders: int, seat: Seat) -> Identity:
    """The keys of a seat; runs share 64 sets, so that keys and signatures are remembered."""
    names = (f"member {seat.member}", f"member {founders + seat.member}")
    if seat.member >= founders or seat.generation:
        names = (f"vote {seat.member} {seat.generation}", f"note {seat.member} {seat.generation}")
    return Identity(*(sha256(f"{name} of {run % 64}".encode()).digest() for name in names))


def genesis_of(members: tuple[MemberKeys, ...]) -> Config:
    """What all may know of epoch 0, with short delays: a run is seconds of virtual time."""
    return Config(
        channel=sha256(b"simulated channel").digest(),
        members=members,
        index=0,
        vote_seed=b"",
        note_seed=b"",
        max_records=16,
        max_bytes=4096,
        batch_records=6,
        batch_delay_ms=20,
        status_ms=300,
        quota=16,
        view_timeout_floor_ms=150,
        view_timeout_ms=500,
        view_timeout_cap_ms=4_000,
    )


def seated(epoch: Config, identities: Iterable[Identity]) -> Config:
    """What an epoch is to the one who has these keys; without seeds if none of them is of the epoch."""
    for own in identities:
        if own.keys in epoch.members:
            index = epoch.members.index(own.keys)
            return replace(epoch, index=index, vote_seed=own.vote_seed, note_seed=own.note_seed)
    return epoch


def planned(rng: Random, founders: int, changes: Sequence[str], faulty: set[int], leaving: set[int]) -> list[Committee]:
    """The committee of each epoch. None has more of `faulty` than it stands; `leaving` lose keys or seats first."""
    committees = [tuple(Seat(member, 0) for member in range(founders))]
    newest = founders
    for change in changes:
        seats = list(committees[-1])
        if change == "rotate":
            chosen = set(rng.sample(range(len(seats)), rng.randint(1, len(seats))))
            seats = [
                Seat(seat.member, seat.generation + (place in chosen or seat.member in leaving))
                for place, seat in enumerate(seats)
            ]
        elif change == "replace":
            place = next((i for i, seat in enumerate(seats) if seat.member in leaving), rng.randrange(len(seats)))
            seats[place] = Seat(newest, 0)
        else:
            seats = _sized(rng, seats, SIZES[change], newest, faulty)
        newest = max(newest, 1 + max(seat.member for seat in seats))
        committees.append(tuple(seats))
    return committees


def _sized(rng: Random, seats: list[Seat], size: int, newest: int, faulty: set[int]) -> list[Seat]:
    """A committee of another size, in another order: with newcomers, or without some, the faulty before others."""
    rng.shuffle(seats)
    liable = [seat for seat in seats if seat.member in faulty][: (size - 1) // 3]
    sound = [seat for seat in seats if seat.member not in faulty]
    newcomers = [Seat(newest + i, 0) for i in range(max(size - len(liable) - len(sound), 0))]
    kept = [*liable, *newcomers, *sound][:size]
    rng.shuffle(kept)
    return kept
