"""A ledger small enough to make in a test: a committee of four whose keys the test holds, and its certified blocks."""

from hashlib import sha256
from typing import Any

from carbon import merkle, signing
from carbon.refusal import Refusal
from consensus.log import genesis as genesis_
from consensus.log import leaf, note
from consensus.log.follower import checkpoint_of
from consensus.log.genesis import Genesis
from consensus.log.note import NoteKey
from schemas import codec

_SEEDS = [bytes([number]) * signing.SEED_BYTES for number in range(1, 9)]
_VOTE_SEEDS, NOTE_SEEDS = _SEEDS[:4], _SEEDS[4:]


def genesis_file() -> bytes:
    """The genesis of the small channel."""
    members = [
        {
            "name": f"member-{place}",
            "role": "verifier",
            "vote_key": signing.public_key(vote).hex(),
            "note_key": str(NoteKey(f"member-{place}", signing.public_key(of_note))),
        }
        for place, (vote, of_note) in enumerate(zip(_VOTE_SEEDS, NOTE_SEEDS, strict=True))
    ]
    return genesis_.build(
        {
            "channel": "small",
            "partition": 0,
            "members": members,
            "registry": bytes(32).hex(),
            "factors": bytes(32).hex(),
            "rules": "1",
            "window_seconds": 3600,
            "lateness_seconds": 60,
            "utc_offset_minutes": 480,
            "evidence_horizon_seconds": 86_400,
            "block": {"bytes": 4_000_000, "records": 2_000},
            "clock": "live",
        }
    )


def blocks(count: int, *, signers: int = 3) -> list[bytes]:
    """The first `count` blocks as messages, of one accepted and one rejected record each, signed by `signers`."""
    genesis = genesis_.parse(genesis_file())
    tree, previous, made = merkle.GrowingTree(), genesis.digest, []
    for height in range(1, count + 1):
        leaves = [_leaf(height, refused) for refused in (Refusal.PASS, Refusal.MALFORMED)]
        for envelope in leaves:
            tree.append(merkle.leaf_hash(envelope))
        header = _header(genesis, height, previous, tree)
        bare = codec.encode_bare("block-header", header)
        previous = sha256(bare).digest()
        checkpoint = _signed(genesis, checkpoint_of(genesis, header, previous), signers)
        fields = {"header": bare, "leaves": b"".join(leaves), "votes": [], "checkpoint": checkpoint}
        made.append(codec.encode("block", fields))
    return made


def _header(genesis: Genesis, height: int, previous: bytes, tree: merkle.GrowingTree) -> dict[str, Any]:
    return {
        "format": 1,
        "channel": genesis.digest,
        "epoch": 0,
        "height": height,
        "previous": previous,
        "time": height * 1000,
        "batches": [{"submitter": "s", "stream": "g", "number": height, "digest": bytes(32), "records": 2}],
        "tree_size": tree.size,
        "root": tree.root(),
        "accepted": height,
        "rejected": height,
        "state": bytes(32),
    }


def _signed(genesis: Genesis, text: str, signers: int) -> str:
    pairs = list(zip(genesis.members, NOTE_SEEDS, strict=True))[:signers]
    return note.assemble(text, [(member.note_key, signing.sign_raw(seed, text.encode())) for member, seed in pairs])


def _leaf(height: int, reason: Refusal) -> bytes:
    verdict = leaf.ACCEPTED if reason is Refusal.PASS else leaf.REJECTED
    commitment = sha256(bytes([height, verdict])).digest()
    return leaf.encode(leaf.Leaf(leaf.WINDOW_RECORD, verdict, reason, 0, 8, bytes(32), commitment))
