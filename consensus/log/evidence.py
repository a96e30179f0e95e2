"""Evidence against members: one JSON file that anybody checks offline, with the genesis alone.

| kind | holds | proves |
| --- | --- | --- |
| `two_pre_prepares`, `two_prepares`, `two_commits` | two signed votes of one (epoch, view, height) | equivocation |
| `two_verdicts` | two signed endorsements that give one batch different codes | a double verdict |
| `wrong_verdict` | a signed endorsement, and the certified leaf that was decided otherwise | a dissent, no guilt |
| `fork` | two certified checkpoints that no one ledger has | what their common signers did |

An honest member signs one body for each place, so it can be shown in none of the first three kinds nor in the last. A
wrong verdict convicts nobody by itself: a gateway that signs two packets for one place may have shown members
different ones. Bytes are standard base64; signatures are what the members sent, without attachments.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from carbon import signing
from consensus.core.bodies import Endorsement, Vote
from consensus.core.endorsements import codes_of
from consensus.core.messages import Kind, Message, signature_kind
from consensus.log import leaf as leaves
from consensus.log import note, proof
from consensus.log.follower import batch_of
from consensus.log.genesis import Genesis
from consensus.log.leaf import Refusal
from consensus.log.note import Checkpoint
from consensus.log.proof import b64, unb64
from schemas import codec

VERSION = 1
WRONG_VERDICT, TWO_VERDICTS, FORK = "wrong_verdict", "two_verdicts", "fork"
CONFLICTS = {
    Kind.PRE_PREPARE: "two_pre_prepares",
    Kind.PREPARE: "two_prepares",
    Kind.COMMIT: "two_commits",
    Kind.ENDORSEMENT: TWO_VERDICTS,
}


class EvidenceRefused(ValueError):
    """Evidence that proves nothing, with the reason."""


@dataclass(frozen=True)
class Proven:
    """What evidence proves of `members`. `place` tells one deed from another; `convicts`: no honest member does it."""

    kind: str
    members: tuple[int, ...]
    place: str
    height: int | None
    convicts: bool
    sentence: str

    @property
    def id(self) -> str:
        """The same for all evidence of one deed, whoever found it and whichever messages it saw."""
        return "/".join(("evidence", self.kind, "-".join(map(str, self.members)), self.place))

    @property
    def file_name(self) -> str:
        """Where it is kept, once."""
        return f"{self.kind}-{sha256(self.id.encode()).hexdigest()[:16]}.json"


def conflict(genesis: Genesis, messages: Sequence[bytes]) -> dict[str, Any]:
    """The file of two messages (wire bytes) of one member that no honest member signs both of. Raises Malformed."""
    bare = sorted(Message.decode(message).bare().encode() for message in messages)
    first = Message.decode(bare[0])
    return _file(genesis, CONFLICTS.get(first.kind, ""), first.member) | {"messages": [b64(wire) for wire in bare]}


def dissent(genesis: Genesis, message: bytes, block: Mapping[str, Any], log: Mapping[str, Any]) -> dict[str, Any]:
    """The file of an endorsement (wire bytes) and of a leaf that a certified `block` decided otherwise.

    `log` is the leaf's inclusion in the tree after the block, as `proof.inclusion` makes it. Raises Malformed.
    """
    bare = Message.decode(message).bare()
    certified = {"header": b64(block["header"]), "checkpoint": block["checkpoint"], "log": dict(log)}
    head = _file(genesis, WRONG_VERDICT, bare.member)
    return head | {"messages": [b64(bare.encode())], "block": certified}


def fork(genesis: Genesis, old: str, new: str, new_header: bytes) -> dict[str, Any]:
    """The file of two certified checkpoints that contradict each other, and the later one's block header."""
    head = {"version": VERSION, "channel": b64(genesis.digest), "kind": FORK}
    return head | {"checkpoints": [old, new], "header": b64(new_header)}


def _file(genesis: Genesis, kind: str, member: int) -> dict[str, Any]:
    name = genesis.members[member].name if 0 <= member < len(genesis.members) else ""
    head = {"version": VERSION, "channel": b64(genesis.digest), "kind": kind}
    return head | {"member": member, "name": name}


def text(file: Mapping[str, Any]) -> str:
    """A file's one form on disk."""
    return json.dumps(file, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def check(file: Mapping[str, Any], genesis: Genesis) -> Proven:
    """What a file proves under a genesis. Raises EvidenceRefused with the reason."""
    try:
        if file["version"] != VERSION:
            raise EvidenceRefused(f"version {file['version']!r}, this one knows {VERSION}")
        if unb64(file["channel"]) != genesis.digest:
            raise EvidenceRefused("it is of another channel")
        if file["kind"] == FORK:
            return _check_fork(file, genesis)
        return _check_dissent(file, genesis) if file["kind"] == WRONG_VERDICT else _check_conflict(file, genesis)
    except EvidenceRefused:
        raise
    except proof.ProofRefused as error:
        raise EvidenceRefused(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceRefused(f"not evidence: {error!r}") from error


def _messages(file: Mapping[str, Any], genesis: Genesis, count: int) -> list[Message]:
    """The signed messages of the one member that the file names."""
    messages = [Message.decode(unb64(item)) for item in file["messages"]]
    member = file["member"]
    if not 0 <= member < len(genesis.members) or genesis.members[member].name != file["name"]:
        raise EvidenceRefused(f"the channel has no member {member!r} of the name {file['name']!r}")
    if len(messages) != count:
        raise EvidenceRefused(f"{len(messages)} messages, wanted {count}")
    for message in messages:
        if message.member != member or message.attachment:
            raise EvidenceRefused("a message of another member, or one with more than its signature covers")
        key, kind = genesis.members[member].vote_key, signature_kind(message.kind)
        if not signing.verify(key, kind, genesis.digest, message.body, message.signature):
            raise EvidenceRefused(f"a message that member {member} did not sign on this channel")
    return messages


def _check_conflict(file: Mapping[str, Any], genesis: Genesis) -> Proven:
    messages = _messages(file, genesis, 2)
    kinds = {message.kind for message in messages}
    if len(kinds) != 1 or CONFLICTS.get(messages[0].kind) != file["kind"]:
        raise EvidenceRefused(
            "messages of different kinds, or not of the kind that it names: an honest member signs both"
        )
    if file["kind"] == TWO_VERDICTS:
        return _two_verdicts(messages, genesis)
    return _two_votes(file["kind"], messages, genesis)


def _two_votes(kind: str, messages: Sequence[Message], genesis: Genesis) -> Proven:
    first, second = (Vote.decode(message.body) for message in messages)
    if {first.epoch, second.epoch} != {genesis.epoch}:
        raise EvidenceRefused("votes of another epoch")
    if (first.view, first.height) != (second.view, second.height):
        raise EvidenceRefused("votes of different views or heights: an honest member signs both")
    if first.digest == second.digest:
        raise EvidenceRefused("one vote twice")
    member = messages[0].member
    place = f"{first.epoch}.{first.view}.{first.height}"
    said = f"signed {kind.replace('_', ' ')} for view {first.view}, height {first.height}"
    return Proven(kind, (member,), place, first.height, True, f"{_name(genesis, member)} {said}")


def _two_verdicts(messages: Sequence[Message], genesis: Genesis) -> Proven:
    given: dict[bytes, set[bytes]] = {}
    for message in messages:
        for batch, codes in codes_given(message, genesis):
            given.setdefault(batch, set()).add(codes)
    twice = min((batch for batch, codes in given.items() if len(codes) > 1), default=None)
    if twice is None:
        raise EvidenceRefused("no batch that both give different codes: an honest member signs both")
    member = messages[0].member
    said = f"signed two verdicts on batch {twice.hex()}"
    return Proven(TWO_VERDICTS, (member,), twice.hex(), None, True, f"{_name(genesis, member)} {said}")


def codes_given(message: Message, genesis: Genesis) -> list[tuple[bytes, bytes]]:
    """(Batch, codes) of each verdict of an endorsement; codes are u16 big endian a record. Raises ValueError."""
    if message.kind is not Kind.ENDORSEMENT:
        raise EvidenceRefused("no endorsement")
    endorsement = Endorsement.decode(message.body)
    if endorsement.epoch != genesis.epoch:
        raise EvidenceRefused("an endorsement of another epoch")
    return [(verdict.batch, codes_of(verdict, genesis.block.records)) for verdict in endorsement.verdicts]


def _check_dissent(file: Mapping[str, Any], genesis: Genesis) -> Proven:
    (message,) = _messages(file, genesis, 1)
    checkpoint, header, log = _certified_header(file["block"], genesis)
    if log["tree_size"] != checkpoint.size or proof.root_of(log) != checkpoint.root:
        raise EvidenceRefused("the leaf is not in the certified tree")
    place = log["leaf_index"] - (header["tree_size"] - sum(batch["records"] for batch in header["batches"]))
    if place < 0:
        raise EvidenceRefused("the leaf is of an earlier block")
    batch, inside = batch_of(header, place)
    said = [codes for digest, codes in codes_given(message, genesis) if digest == batch["digest"]]
    if not said or len(said[0]) != 2 * batch["records"]:
        raise EvidenceRefused("the endorsement is not about the leaf's batch")
    code, decided = int.from_bytes(said[0][2 * inside : 2 * inside + 2], "big"), decided_code(unb64(log["leaf"]))
    if code == decided:
        raise EvidenceRefused("the endorsement says what was decided")
    told, certified = leaves.label(code), leaves.label(decided)
    words = f"endorsed leaf {log['leaf_index']} as {told}, 2f + 1 members decided {certified}"
    sentence = f"{_name(genesis, message.member)} {words}: a dissent, by itself no guilt"
    return Proven(WRONG_VERDICT, (message.member,), batch["digest"].hex(), checkpoint.height, False, sentence)


def decided_code(envelope: bytes) -> int:
    """What the evidence half decided on a leaf: a record that only the state half refused had passed."""
    reason = leaves.decode(envelope).reason
    return 0 if reason >= Refusal.WRONG_PREDECESSOR else reason


def _certified_header(
    block: Mapping[str, Any], genesis: Genesis
) -> tuple[Checkpoint, Mapping[str, Any], Mapping[str, Any]]:
    checkpoint = proof.certified(block["checkpoint"], genesis)
    data = unb64(block["header"])
    if sha256(data).digest() != checkpoint.block:
        raise EvidenceRefused("the header is not the certified block's")
    return checkpoint, codec.decode_bare("block-header", data), block["log"]


def _check_fork(file: Mapping[str, Any], genesis: Genesis) -> Proven:
    old, new = (proof.certified(signed, genesis) for signed in file["checkpoints"])
    contradiction = _contradiction(old, new, unb64(file["header"]))
    if contradiction is None:
        raise EvidenceRefused("one ledger can have both checkpoints")
    keys = [member.note_key for member in genesis.members]
    both = set.intersection(*(set(note.signers(signed, keys)[1]) for signed in file["checkpoints"]))
    names = ", ".join(_name(genesis, member) for member in sorted(both))
    return Proven(FORK, tuple(sorted(both)), str(new.height), new.height, True, f"{names} signed {contradiction}")


def _contradiction(old: Checkpoint, new: Checkpoint, new_header: bytes) -> str | None:
    """What an honest member, whose ledger only grows, signs at most one of; None if there is no contradiction."""
    if old.height == new.height and old != new:
        return f"two checkpoints of height {old.height}"
    if old.size == new.size and old.root != new.root:
        return f"two roots of tree size {old.size}"
    if old.height + 1 != new.height:
        return None
    if sha256(new_header).digest() != new.block:
        raise EvidenceRefused("the header is not the later checkpoint's")
    if codec.decode_bare("block-header", new_header)["previous"] == old.block:
        return None
    return f"height {new.height} on another block than that of height {old.height} that they signed"


def _name(genesis: Genesis, member: int) -> str:
    return f"member {member} ({genesis.members[member].name})"


def alert(proven: Proven, at_ms: int) -> dict[str, Any]:
    """The alert on a piece of evidence; its id is the same whichever member sends it. `at_ms`: Unix ms when found."""
    severity = "critical" if proven.convicts else "warning"
    about = {"id": proven.id, "kind": proven.kind, "severity": severity, "at": at_ms, "height": proven.height}
    return about | {"subject": None, "point": None, "text": proven.sentence, "code": None}
