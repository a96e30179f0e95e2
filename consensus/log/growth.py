"""Growth: one small JSON file that shows, offline, that the ledger of one checkpoint is the beginning of another's.

`old` and `new` are certified checkpoints, `consistency_path` the consistency proof between their trees (RFC 6962,
section 2.1.2), bytes in standard base64, `epochs` the chain of committees as in a proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carbon import merkle
from consensus.log.genesis import Genesis
from consensus.log.note import Checkpoint
from consensus.log.proof import ProofRefused, b64, certified, committees, reading, unb64


@dataclass(frozen=True)
class Grown:
    """What a growth proof shows: every leaf of `old` stands unchanged at its place in `new`."""

    old: Checkpoint
    new: Checkpoint


def build(
    old: str, new: str, hashes: Sequence[bytes], old_size: int, epochs: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The file for two certified checkpoints; `hashes` are the leaf hashes of the new tree."""
    path = merkle.consistency_path(hashes, old_size) if old_size else []
    return {"old": old, "new": new, "consistency_path": [b64(hash_) for hash_ in path], "epochs": list(epochs)}


def verify(growth: Mapping[str, Any], genesis: Genesis) -> Grown:
    """What a growth proof shows under a genesis. Raises ProofRefused."""
    with reading("a growth proof"):
        return _verify(growth, genesis)


def _verify(growth: Mapping[str, Any], genesis: Genesis) -> Grown:
    known = committees(growth["epochs"], genesis)
    old, new = (certified(growth[name], genesis, known)[0] for name in ("old", "new"))
    if old.height > new.height:
        raise ProofRefused(f"height {new.height} is no later than height {old.height}")
    if old.height == new.height and old != new:
        raise ProofRefused(f"two checkpoints of height {old.height}: a fork")
    path = [unb64(item) for item in growth["consistency_path"]]
    try:
        merkle.check_consistency(old.size, old.root, new.size, new.root, path)
    except merkle.ProofError as error:
        raise ProofRefused(str(error)) from error
    return Grown(old, new)
