"""Evidence against members: one JSON file that anybody checks offline, with the genesis alone.

| kind | holds | proves |
| --- | --- | --- |
| `two_pre_prepares`, `two_prepares`, `two_commits` | two signed votes of one (epoch, view, height) | equivocation |
| `two_verdicts` | two signed endorsements that give one batch different codes | a double verdict |
| `wrong_verdict` | a signed endorsement, and the certified leaf that was decided otherwise | a dissent, no guilt |
| `fork` | two certified checkpoints that no one ledger has | what their common signers did |

`epochs` is the chain of committees as in a proof: an index of a member means the one of its messages' epoch.

An honest member signs one body for each place, so it can be shown in none of the first three kinds nor in the last. A
wrong verdict convicts nobody by itself: a gateway that signs two packets for one place may have shown members
different ones. Bytes are standard base64; signatures are what the members sent, without attachments.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from carbon import alert as alerts
from carbon import signing
from carbon.alert import Alert
from carbon.refusal import Refusal, label
from consensus.core.bodies import Endorsement, Vote
from consensus.core.endorsements import codes_of
from consensus.core.messages import Kind, Message, signature_kind
from consensus.log import leaf as leaves
from consensus.log import proof
from consensus.log.committee import Committee, Member
from consensus.log.follower import batch_of
from consensus.log.genesis import Genesis
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
    names: tuple[str, ...]
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


@dataclass(frozen=True)
class Known:
    """The channel and its chain of committees, as far as whoever writes or checks evidence knows them."""

    genesis: Genesis
    epochs: Sequence[Mapping[str, Any]]
    committees: tuple[Committee, ...]

    @classmethod
    def of(cls, genesis: Genesis, epochs: Sequence[Mapping[str, Any]] = ()) -> "Known":
        """What a chain of committees leads to. Raises ProofRefused."""
        return cls(genesis, epochs, proof.committees(epochs, genesis))

    def member(self, epoch: int, index: int) -> Member:
        """A member. Raises EvidenceRefused."""
        if not 0 <= epoch < len(self.committees):
            raise EvidenceRefused(f"of epoch {epoch}, and its epochs end with {len(self.committees) - 1}")
        members = self.committees[epoch].members
        if not 0 <= index < len(members):
            raise EvidenceRefused(f"epoch {epoch} has no member {index}")
        return members[index]


def conflict(known: Known, messages: Sequence[bytes]) -> dict[str, Any]:
    """The file of two messages (wire bytes) of one member that no honest member signs both of.

    Raises Malformed, EvidenceRefused.
    """
    bare = sorted(Message.decode(message).bare().encode() for message in messages)
    first = Message.decode(bare[0])
    return _file(known, CONFLICTS.get(first.kind, ""), first) | {"messages": [b64(wire) for wire in bare]}


def dissent(known: Known, message: bytes, block: Mapping[str, Any], log: Mapping[str, Any]) -> dict[str, Any]:
    """The file of an endorsement (wire bytes) and of a leaf that a certified `block` decided otherwise.

    `log` is the leaf's inclusion in the tree after the block, as `proof.inclusion` makes it. Raises Malformed,
    EvidenceRefused.
    """
    bare = Message.decode(message).bare()
    certified = {"header": b64(block["header"]), "checkpoint": block["checkpoint"], "log": dict(log)}
    head = _file(known, WRONG_VERDICT, bare)
    return head | {"messages": [b64(bare.encode())], "block": certified}


def fork(known: Known, old: str, new: str, new_header: bytes) -> dict[str, Any]:
    """The file of two certified checkpoints that contradict each other, and the later one's block header."""
    return _head(known, FORK) | {"checkpoints": [old, new], "header": b64(new_header)}


def _head(known: Known, kind: str) -> dict[str, Any]:
    return {"version": VERSION, "channel": b64(known.genesis.digest), "kind": kind, "epochs": list(known.epochs)}


def _file(known: Known, kind: str, message: Message) -> dict[str, Any]:
    member = known.member(_epoch(message), message.member)
    return _head(known, kind) | {"member": member.index, "name": member.name}


def _epoch(message: Message) -> int:
    """The epoch that a vote or an endorsement names. Raises Malformed, EvidenceRefused."""
    if message.kind not in CONFLICTS:
        raise EvidenceRefused("a message that is not of the kind of any evidence")
    body = Endorsement.decode(message.body) if message.kind is Kind.ENDORSEMENT else Vote.decode(message.body)
    return body.epoch


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
        known = Known.of(genesis, file.get("epochs", ()))
        if file["kind"] == FORK:
            return _check_fork(file, known)
        return _check_dissent(file, known) if file["kind"] == WRONG_VERDICT else _check_conflict(file, known)
    except EvidenceRefused:
        raise
    except proof.ProofRefused as error:
        raise EvidenceRefused(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceRefused(f"not evidence: {error!r}") from error


def _messages(file: Mapping[str, Any], known: Known, count: int) -> tuple[list[Message], Member]:
    """The signed messages of the one member that the file names, and that member."""
    messages = [Message.decode(unb64(item)) for item in file["messages"]]
    if len(messages) != count:
        raise EvidenceRefused(f"{len(messages)} messages, wanted {count}")
    epoch = _epoch(messages[0])
    if any(_epoch(message) != epoch for message in messages):
        raise EvidenceRefused("messages of different epochs: an honest member signs both")
    member = known.member(epoch, file["member"])
    if member.name != file["name"]:
        raise EvidenceRefused(f"member {member.index} does not have the name {file['name']!r}")
    for message in messages:
        if message.member != member.index or message.attachment:
            raise EvidenceRefused("a message of another member, or one with more than its signature covers")
        kind = signature_kind(message.kind)
        if not signing.verify(member.vote_key, kind, known.genesis.digest, message.body, message.signature):
            raise EvidenceRefused(f"a message that member {member.index} did not sign on this channel")
    return messages, member


def _check_conflict(file: Mapping[str, Any], known: Known) -> Proven:
    messages, member = _messages(file, known, 2)
    kinds = {message.kind for message in messages}
    if len(kinds) != 1 or CONFLICTS.get(messages[0].kind) != file["kind"]:
        raise EvidenceRefused(
            "messages of different kinds, or not of the kind that it names: an honest member signs both"
        )
    if file["kind"] == TWO_VERDICTS:
        return _two_verdicts(messages, known, member)
    return _two_votes(file["kind"], messages, member)


def _two_votes(kind: str, messages: Sequence[Message], member: Member) -> Proven:
    first, second = (Vote.decode(message.body) for message in messages)
    if (first.view, first.height) != (second.view, second.height):
        raise EvidenceRefused("votes of different views or heights: an honest member signs both")
    if first.digest == second.digest:
        raise EvidenceRefused("one vote twice")
    place = f"{first.epoch}.{first.view}.{first.height}"
    said = f"signed {kind.replace('_', ' ')} for view {first.view}, height {first.height}"
    return Proven(kind, *_only(member), place, first.height, True, f"{_name(member)} {said}")


def _two_verdicts(messages: Sequence[Message], known: Known, member: Member) -> Proven:
    given: dict[bytes, set[bytes]] = {}
    for message in messages:
        for batch, codes in codes_given(message, known.genesis):
            given.setdefault(batch, set()).add(codes)
    twice = min((batch for batch, codes in given.items() if len(codes) > 1), default=None)
    if twice is None:
        raise EvidenceRefused("no batch that both give different codes: an honest member signs both")
    said = f"signed two verdicts on batch {twice.hex()}"
    return Proven(TWO_VERDICTS, *_only(member), twice.hex(), None, True, f"{_name(member)} {said}")


def codes_given(message: Message, genesis: Genesis) -> list[tuple[bytes, bytes]]:
    """(Batch, codes) of each verdict of an endorsement; codes are u16 big endian a record. Raises ValueError."""
    if message.kind is not Kind.ENDORSEMENT:
        raise EvidenceRefused("no endorsement")
    verdicts = Endorsement.decode(message.body).verdicts
    return [(verdict.batch, codes_of(verdict, genesis.block.records)) for verdict in verdicts]


def _check_dissent(file: Mapping[str, Any], known: Known) -> Proven:
    (message,), member = _messages(file, known, 1)
    checkpoint, header, log = _certified_header(file["block"], known)
    if log["tree_size"] != checkpoint.size or proof.root_of(log) != checkpoint.root:
        raise EvidenceRefused("the leaf is not in the certified tree")
    place = log["leaf_index"] - (header["tree_size"] - sum(batch["records"] for batch in header["batches"]))
    if place < 0:
        raise EvidenceRefused("the leaf is of an earlier block")
    batch, inside = batch_of(header, place)
    said = [codes for digest, codes in codes_given(message, known.genesis) if digest == batch["digest"]]
    if not said or len(said[0]) != 2 * batch["records"]:
        raise EvidenceRefused("the endorsement is not about the leaf's batch")
    code, decided = int.from_bytes(said[0][2 * inside : 2 * inside + 2], "big"), decided_code(unb64(log["leaf"]))
    if code == decided:
        raise EvidenceRefused("the endorsement says what was decided")
    told, certified = label(code), label(decided)
    words = f"endorsed leaf {log['leaf_index']} as {told}, a quorum decided {certified}"
    sentence = f"{_name(member)} {words}: a dissent, by itself no guilt"
    return Proven(WRONG_VERDICT, *_only(member), batch["digest"].hex(), checkpoint.height, False, sentence)


def decided_code(envelope: bytes) -> int:
    """What the evidence half decided on a leaf: a record that only the state half refused had passed."""
    reason = leaves.decode(envelope).reason
    return 0 if reason >= Refusal.WRONG_PREDECESSOR else reason


def _certified_header(
    block: Mapping[str, Any], known: Known
) -> tuple[Checkpoint, Mapping[str, Any], Mapping[str, Any]]:
    checkpoint, _ = proof.certified(block["checkpoint"], known.genesis, known.committees)
    data = unb64(block["header"])
    if sha256(data).digest() != checkpoint.block:
        raise EvidenceRefused("the header is not the certified block's")
    return checkpoint, codec.decode_bare("block-header", data), block["log"]


def _check_fork(file: Mapping[str, Any], known: Known) -> Proven:
    (old, before), (new, after) = (
        proof.certified(signed, known.genesis, known.committees) for signed in file["checkpoints"]
    )
    contradiction = _contradiction(old, new, unb64(file["header"]))
    if contradiction is None:
        raise EvidenceRefused("one ledger can have both checkpoints")
    # across a change of the committee: who stands in both with one key, by its place in the later one
    keys = {member.note_key for member in before}
    both = sorted((member for member in after if member.note_key in keys), key=lambda member: member.index)
    members, names = tuple(member.index for member in both), tuple(member.name for member in both)
    said = ", ".join(map(_name, both)) + f" signed {contradiction}"
    return Proven(FORK, members, names, str(new.height), new.height, True, said)


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


def _only(member: Member) -> tuple[tuple[int], tuple[str]]:
    return (member.index,), (member.name,)


def _name(member: Member) -> str:
    return f"member {member.index} ({member.name})"


def alert(proven: Proven, at_ms: int) -> Alert:
    """The alert on a piece of evidence; its id is the same whichever member sends it. `at_ms`: Unix ms when found."""
    severity = "critical" if proven.convicts else "warning"
    return alerts.alert(proven.id, proven.kind, severity, at_ms, proven.sentence, height=proven.height)
