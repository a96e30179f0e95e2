"""A change of the committee on its way to the ledger: one JSON file that goes from institution to institution.

It says in plain words who the members of the next epoch are and from which height on, and gathers signatures: a quorum
of this epoch's members approves, each new key consents. What is signed is made from the plain words again each time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carbon import signing
from consensus import membership
from consensus.log.committee import Change, Committee, CommitteeError, Member
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from consensus.member.config import KeyPair


class DraftError(ValueError):
    """A file that is no change of this channel's committee, or a change that makes none."""


@dataclass
class Draft:
    """A change and the signatures over it so far, by index in this epoch's and in the next one's committee."""

    channel: bytes
    change: Change
    approvals: dict[int, bytes] = field(default_factory=dict)
    consents: dict[int, bytes] = field(default_factory=dict)

    @property
    def record(self) -> bytes:
        """The payload that goes to the ledger."""
        return membership.payload(self.change, self.approvals, self.consents)

    def sign(self, now: Committee, pairs: Sequence["KeyPair"]) -> list[str]:
        """Sign whatever these keys may sign; in words what they did."""
        done, body = [], self.change.encode()
        for pair in pairs:
            old, new = pair.index_in(now), pair.index_in(self.change.committee)
            if old is not None:
                self.approvals[old] = signing.sign(pair.vote_seed, membership.APPROVAL, self.channel, body)
                done.append(f"approved as {now.members[old].name}")
            if new is not None and new in membership.newcomers(self.change.committee, now):
                self.consents[new] = signing.sign(pair.vote_seed, membership.CONSENT, self.channel, body)
                done.append(f"consented as {self.change.committee.members[new].name}")
        return done

    def dump(self) -> str:
        """The file."""
        committee = self.change.committee
        plain = {"number": self.change.number, "epoch": committee.epoch, "first": committee.first}
        signed = {
            name: {str(index): signature.hex() for index, signature in sorted(signatures.items())}
            for name, signatures in (("approvals", self.approvals), ("consents", self.consents))
        }
        members = [member.card for member in committee.members]
        return json.dumps({"channel": self.channel.hex(), **plain, "members": members, **signed}, indent=2) + "\n"

    @classmethod
    def load(cls, text: str, channel: bytes) -> "Draft":
        """The draft of a file. Raises DraftError."""
        try:
            data = json.loads(text)
            members = tuple(member_of(row, index) for index, row in enumerate(data["members"]))
            written = Change(data["number"], Committee(data["epoch"], data["first"], members))
            change = Change.decode(written.encode())
            signed = [
                {int(index): bytes.fromhex(signature) for index, signature in data[name].items()}
                for name in ("approvals", "consents")
            ]
            of = bytes.fromhex(data["channel"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DraftError(f"no change of a committee: {error}") from error
        if of != channel:
            raise DraftError("a change of another channel's committee")
        return cls(channel, change, *signed)


def member_of(row: Mapping[str, Any], index: int) -> Member:
    """The member of a card. Raises DraftError."""
    try:
        return Member.of_card(index, row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DraftError(f"no card of a member: {error!r}") from error


def read_card(path: Path) -> Member:
    """The member of a card's file; its index is not its own. Raises DraftError, EnvironmentFault."""
    try:
        return member_of(json.loads(path.read_text()), 0)
    except OSError as error:
        raise EnvironmentFault(f"{path} can't be read: {error}") from error
    except json.JSONDecodeError as error:
        raise DraftError(f"{path} is no card of a member: {error}") from error


def changed(
    now: Committee,
    number: int,
    first: int,
    replaced: Mapping[int, Member],
    added: Sequence[Member],
    removed: Sequence[int],
) -> Change:
    """This epoch's committee with some members replaced (or their keys), removed and added at the end.

    Raises DraftError.
    """
    unknown = [index for index in (*replaced, *removed) if not 0 <= index < len(now.members)]
    if unknown:
        raise DraftError(f"epoch {now.epoch} has no member {unknown[0]}: see 'carbonledger committee list'")
    kept = [replaced.get(member.index, member) for member in now.members if member.index not in removed]
    members = tuple(replace(member, index=index) for index, member in enumerate([*kept, *added]))
    try:
        return Change(number, Committee(now.epoch + 1, first, members))
    except CommitteeError as error:
        raise DraftError(str(error)) from error
