"""Changes of the committee: who must have signed one before the ledger takes it, and how it is put together.

A change names all members of the next epoch. A quorum of this epoch's members approves it, and each member whose vote
key is new consents with that key: so nobody is named with a key that nobody holds. It comes in a batch of a stream of
its own, which no submitter signs: the approvals vouch for it, and its number stands in what they sign.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from carbon import signing
from carbon.refusal import Refusal
from consensus.log.committee import Change, Committee, CommitteeError, change_of
from consensus.log.leaf import MEMBERSHIP
from schemas import codec

SUBMITTER, STREAM = "committee", "membership"
APPROVAL, CONSENT = "membership/approval", "membership/consent"
"""Kinds of signatures, over the change."""
UNSIGNED = bytes(signing.SIGNATURE_BYTES)


def refusal(payload: bytes, number: int, channel: bytes, committees: Sequence[Committee]) -> Refusal:
    """The evidence half of a change: a pure function of its bytes and of the committees up to this epoch's."""
    now = committees[-1]
    try:
        fields = codec.decode_bare("membership", payload)
        change = change_of(payload)
    except (codec.CodecError, CommitteeError):
        return Refusal.MALFORMED
    if (change.number, change.committee.epoch) != (number, now.epoch + 1) or not _is_new(change.committee, committees):
        return Refusal.WRONG_COMMITTEE
    approved = _signers(fields["approvals"], now, APPROVAL, channel, fields["change"])
    consenting = _signers(fields["consents"], change.committee, CONSENT, channel, fields["change"])
    if approved is None or len(approved) < now.quorum or consenting != newcomers(change.committee, now):
        return Refusal.NOT_APPROVED
    return Refusal.PASS


def _is_new(named: Committee, committees: Sequence[Committee]) -> bool:
    """Whether something changes, and no key comes back that was retired or stood for something else."""
    now = committees[-1]
    if [(m.vote_key, m.note_key) for m in named.members] == [(m.vote_key, m.note_key) for m in now.members]:
        return False
    kept = {("vote", m.vote_key) for m in now.members} | {("note", m.note_key.key) for m in now.members}
    used = {key for c in committees for m in c.members for key in (m.vote_key, m.note_key.key)}
    keys = [("vote", m.vote_key) for m in named.members] + [("note", m.note_key.key) for m in named.members]
    return all(key in kept or key[1] not in used for key in keys)


def newcomers(named: Committee, now: Committee) -> list[int]:
    """Members of the next epoch whose vote key is new: they must consent."""
    known = {member.vote_key for member in now.members}
    return [member.index for member in named.members if member.vote_key not in known]


def _signers(
    rows: Sequence[Mapping[str, Any]], of: Committee, kind: str, channel: bytes, change: bytes
) -> list[int] | None:
    """Who signed, in order and once each; None if one of the signatures is not what it says."""
    members = [row["member"] for row in rows]
    if members != sorted(set(members)) or any(not 0 <= m < len(of.members) for m in members):
        return None
    signed = all(
        signing.verify(of.members[row["member"]].vote_key, kind, channel, change, row["signature"]) for row in rows
    )
    return members if signed else None


def payload(change: Change, approvals: Mapping[int, bytes], consents: Mapping[int, bytes]) -> bytes:
    """The record of a change with the signatures over it, by member."""
    rows = ([{"member": m, "signature": s} for m, s in sorted(signed.items())] for signed in (approvals, consents))
    approved, consented = rows
    fields = {"change": change.encode(), "approvals": approved, "consents": consented}
    return codec.encode_bare("membership", fields)


def proposal(record: bytes) -> bytes:
    """The message of records.proposed that brings a change."""
    number = change_of(record).number
    stream = {"submitter": SUBMITTER, "stream": STREAM, "number": number, "kind": MEMBERSHIP, "registry_height": 0}
    columns = {"points": [STREAM], "point": bytes(2), "window": bytes(8), "payloads": [record]}
    body = codec.encode_bare("batch", stream | columns)
    return codec.encode("proposal", {"body": body, "signature": UNSIGNED})
