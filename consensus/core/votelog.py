"""Entries of a member's vote log: what it must know after a restart so that it never signs a conflict.

The shell frames, chains and syncs entries; a torn last one it cuts, damage elsewhere stops the member. Every entry is
written before what depends on it is sent, so whatever prefix survives is one that the others may have seen.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from consensus.core.certificates import Certificate, Prepared
from consensus.core.messages import Malformed, Message
from schemas import codec


class VoteLogError(ValueError):
    """An entry that this replica did not write: the log is damaged, and the member must not vote."""


class EntryKind(StrEnum):
    """What an entry keeps; the symbols of the Avro enum."""

    MESSAGE = "message"
    PREPARED = "prepared"
    VIEW = "view"
    STABLE = "stable"


@dataclass(frozen=True)
class Entry:
    """A decoded entry."""

    kind: EntryKind
    content: Message | Prepared | Certificate


def _entry(kind: EntryKind, data: bytes) -> bytes:
    return codec.encode_bare("consensus-log-entry", {"kind": kind.value, "data": data})


def message_entry(message: Message) -> bytes:
    """An own signed message, before it is sent."""
    return _entry(EntryKind.MESSAGE, message.encode())


def prepared_entry(certificate: Prepared) -> bytes:
    """A prepared certificate, before the commit that rests on it."""
    return _entry(EntryKind.PREPARED, certificate.encode())


def view_entry(new_view: Message) -> bytes:
    """The new-view message by which a view was entered, before any vote in it."""
    return _entry(EntryKind.VIEW, new_view.encode())


def stable_entry(certificate: Certificate) -> bytes:
    """The stable checkpoint of a compacted log: entries at or below its height were left out."""
    return _entry(EntryKind.STABLE, certificate.encode())


_READERS: dict[EntryKind, Any] = {
    EntryKind.MESSAGE: Message.decode,
    EntryKind.PREPARED: Prepared.decode,
    EntryKind.VIEW: Message.decode,
    EntryKind.STABLE: Certificate.decode,
}


def decode(entry: bytes) -> Entry:
    """Read an entry. Raises VoteLogError."""
    try:
        fields = codec.decode_bare("consensus-log-entry", entry)
        kind = EntryKind(fields["kind"])
        return Entry(kind, _READERS[kind](fields["data"]))
    except (codec.CodecError, Malformed) as error:
        raise VoteLogError(str(error)) from error
