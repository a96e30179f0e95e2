"""Proofs: one small JSON file that takes a record, or a single raw reading, to a certified checkpoint, offline.

The shape is fixed, so that tools in other languages can read it: `log` and `evidence` hold RFC 6962 inclusion proofs,
bytes in standard base64; `evidence` is absent for a record's own proof, and its root stands verbatim in `log.leaf`.
`epochs` is the chain of committees: one proof of an accepted membership record for each change since the genesis, each
certified by the members that the one before it names; empty in epoch 0. Other keys may show what the leaf commits to.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from carbon import merkle, submission
from consensus.log import leaf as leaves
from consensus.log import note
from consensus.log.committee import AHEAD, Committee, CommitteeError, Member, change_of, in_charge
from consensus.log.genesis import Genesis
from consensus.log.leaf import Leaf
from schemas import codec


class ProofRefused(ValueError):
    """A proof that does not show what it claims."""


@dataclass(frozen=True)
class Shown:
    """What a proof shows: a leaf of the log at a certified checkpoint, and perhaps one reading below it."""

    leaf: Leaf
    leaf_index: int
    tree_size: int
    height: int
    reading: bytes | None
    """The evidence leaf (salt ‖ canonical reading) when the proof is of a reading."""
    payload: bytes | None
    """The record's payload when the holder shows it; it is what the leaf commits to."""


def inclusion(leaf: bytes, hashes: Sequence[bytes], index: int) -> dict[str, Any]:
    """One inclusion proof of the file, of leaf `index` among leaf `hashes`."""
    return located(leaf, index, len(hashes), merkle.inclusion_path(hashes, index))


def located(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> dict[str, Any]:
    """One inclusion proof of the file, from its audit path."""
    return {"leaf_index": index, "tree_size": size, "leaf": b64(leaf), "audit_path": [b64(hash_) for hash_ in path]}


def build(
    log: dict[str, Any],
    checkpoint: str,
    evidence: dict[str, Any] | None,
    shown: tuple[bytes, bytes] | None,
    epochs: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The proof file: `log` and `evidence` as `inclusion` makes them, and (salt, payload) when the holder shows it."""
    proof: dict[str, Any] = {"log": {**log, "checkpoint": checkpoint}, "epochs": list(epochs)}
    if evidence is not None:
        proof["evidence"] = {**evidence, "root": b64(leaves.decode(unb64(log["leaf"])).evidence_root)}
    if shown is not None:
        proof["record"] = _opening(*shown)
    return proof


def _opening(salt: bytes, payload: bytes) -> dict[str, str]:
    return {"salt": b64(salt), "payload": b64(payload)}


def epoch_link(log: dict[str, Any], checkpoint: str, salt: bytes, payload: bytes) -> dict[str, Any]:
    """One link of `epochs`: the proof of a membership record, at the certified checkpoint of its own block."""
    return {"log": {**log, "checkpoint": checkpoint}, "record": _opening(salt, payload)}


def committees(epochs: Sequence[Mapping[str, Any]], genesis: Genesis) -> tuple[Committee, ...]:
    """The committees that a chain leads to, that of the genesis first. Raises ProofRefused."""
    with reading("a chain of committees"):
        known = [genesis.committee]
        for link in epochs:
            known.append(_next_committee(link, genesis, known))
        return tuple(known)


def _next_committee(link: Mapping[str, Any], genesis: Genesis, known: Sequence[Committee]) -> Committee:
    shown = _shown(link, genesis, known)
    if shown.leaf.kind != leaves.MEMBERSHIP or not shown.leaf.accepted or shown.payload is None:
        raise ProofRefused("a link of the epochs that is no accepted change of the committee")
    try:
        named = change_of(shown.payload).committee
    except CommitteeError as error:
        raise ProofRefused(str(error)) from error
    if named.epoch != len(known) or named.first < shown.height + AHEAD:
        raise ProofRefused(f"the epochs go from {len(known) - 1} to {named.epoch}: a gap in their chain")
    return named


def verify(proof: Mapping[str, Any], genesis: Genesis) -> Shown:
    """What a proof shows under a genesis. Raises ProofRefused."""
    with reading("a proof"):
        return _verify(proof, genesis)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Read a file of JSON that can be anything: what it lacks or has of another type is a ProofRefused too."""
    try:
        yield
    except ProofRefused:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProofRefused(f"not {what}: {error!r}") from error


def _verify(proof: Mapping[str, Any], genesis: Genesis) -> Shown:
    return _shown(proof, genesis, committees(proof["epochs"], genesis))


def _shown(proof: Mapping[str, Any], genesis: Genesis, known: Sequence[Committee]) -> Shown:
    log = proof["log"]
    checkpoint, _ = certified(log["checkpoint"], genesis, known)
    envelope = unb64(log["leaf"])
    if log["tree_size"] != checkpoint.size or root_of(log) != checkpoint.root:
        raise ProofRefused("the leaf is not in the certified tree")
    leaf = leaves.decode(envelope)
    reading = _reading(proof["evidence"], leaf) if "evidence" in proof else None
    payload = _payload(proof["record"], leaf) if "record" in proof else None
    return Shown(leaf, log["leaf_index"], checkpoint.size, checkpoint.height, reading, payload)


def certified(
    signed_note: str, genesis: Genesis, known: Sequence[Committee]
) -> tuple[note.Checkpoint, tuple[Member, ...]]:
    """The checkpoint of a note that a quorum of its epoch's committee signed, and who did. Raises ProofRefused."""
    try:
        checkpoint = note.parse_checkpoint(note.split(signed_note)[0])
        if checkpoint.origin != genesis.origin:
            raise ProofRefused("the checkpoint is of another channel")
        committee = in_charge(known, checkpoint.height)
        if checkpoint.epoch != committee.epoch:
            raise ProofRefused(f"by its epochs, height {checkpoint.height} is not of epoch {checkpoint.epoch}: a gap")
        _, signers = note.signers(signed_note, committee.note_keys)
    except note.NoteError as error:
        raise ProofRefused(str(error)) from error
    if len(signers) < committee.quorum:
        raise ProofRefused(f"{len(signers)} members signed, {committee.quorum} are needed")
    return checkpoint, tuple(committee.members[index] for index in signers)


def root_of(part: Mapping[str, Any]) -> bytes:
    """The root that an inclusion proof of the file leads to. Raises ProofRefused."""
    path = [unb64(item) for item in part["audit_path"]]
    try:
        hash_ = merkle.leaf_hash(unb64(part["leaf"]))
        return merkle.root_from_inclusion(hash_, _index(part["leaf_index"]), _index(part["tree_size"]), path)
    except merkle.ProofError as error:
        raise ProofRefused(str(error)) from error


def _reading(part: Mapping[str, Any], leaf: Leaf) -> bytes:
    if not root_of(part) == unb64(part["root"]) == leaf.evidence_root:
        raise ProofRefused("the reading is not in the record's evidence")
    return unb64(part["leaf"])


def _payload(part: Mapping[str, Any], leaf: Leaf) -> bytes:
    payload = unb64(part["payload"])
    if sha256(unb64(part["salt"]) + payload).digest() != leaf.commitment:
        raise ProofRefused("the payload is not what the leaf commits to")
    return payload


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ProofRefused(f"{value!r} is not an index")
    return value


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """The bytes of canonical standard base64. Raises ProofRefused."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ProofRefused(f"not base64: {text!r}") from error
    if b64(data) != text:
        raise ProofRefused(f"not canonical base64: {text!r}")
    return data


def describe(shown: Shown) -> dict[str, Any]:
    """What a proof opens, in plain values: the reading below the record, or the record's payload."""
    if shown.reading is not None:
        at, value = (int.from_bytes(shown.reading[i : i + 8], "big", signed=True) for i in (32, 40))
        point_key = shown.reading[16:32].hex()
        return {"point_key": point_key, "at": at, "value": value, "flag": chr(shown.reading[48])}
    if shown.payload is not None and shown.leaf.accepted and shown.leaf.kind == leaves.WINDOW_RECORD:
        record = codec.decode_bare("record", shown.payload)
        return {name: record[name] for name in ("point", "window_start", "version", "count", "quantity", "emission_g")}
    if shown.payload is not None and shown.leaf.accepted and shown.leaf.kind == leaves.SUBMISSION:
        stated = submission.read(shown.payload)
        said = {"party": stated.party, "number": stated.number, "kind": stated.kind}
        return said | {"content": submission.plain(stated.content)}
    return {}
