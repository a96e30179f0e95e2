"""Growth proofs: they hold between any two checkpoints of one ledger, and for nothing else."""

import dataclasses
import json
from typing import Any

import pytest

from carbon import merkle
from consensus.log import growth, leaf
from consensus.log.proof import ProofRefused
from schemas import codec
from tests.consensus.log.test_evidence import resigned
from tests.consensus.test_ledger import SIGNERS, Chain


class Proofs:
    """A ledger of five blocks, the first and the fourth without records, and its growth proofs."""

    def __init__(self, time_ms: int = 1_000) -> None:
        self.chain = Chain()
        self.chain.order(time_ms=time_ms)
        self.chain.fill()
        self.genesis = self.chain.world.genesis
        self.blocks = [codec.decode("block", block) for block in self.chain.blocks()]
        envelopes = [leaf.split(block["leaves"]) for block in self.blocks]
        self.sizes = [sum(map(len, envelopes[: n + 1])) for n in range(len(envelopes))]
        self.hashes = [merkle.leaf_hash(one) for block in envelopes for one in block]

    def proof(self, old: int, new: int) -> dict[str, Any]:
        """The proof from one block to another, by their places."""
        notes = (self.blocks[old]["checkpoint"], self.blocks[new]["checkpoint"])
        file = growth.build(*notes, self.hashes[: self.sizes[new]], self.sizes[old])
        loaded: dict[str, Any] = json.loads(json.dumps(file))
        return loaded


@pytest.fixture(scope="module")
def proofs() -> Proofs:
    return Proofs()


def test_it_holds_between_any_two_checkpoints_of_one_ledger(proofs: Proofs) -> None:
    assert proofs.sizes == [0, 6, 12, 12, 15]
    for new in range(5):
        for old in range(new + 1):
            grown = growth.verify(proofs.proof(old, new), proofs.genesis)
            heights = (grown.old.height, grown.new.height)
            assert (heights, grown.old.size, grown.new.size) == (
                (old + 1, new + 1), proofs.sizes[old], proofs.sizes[new],
            )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("did not grow", lambda p, _: p["consistency_path"].reverse()),
        ("too long", lambda p, _: p["consistency_path"].append(p["consistency_path"][0])),
        ("did not grow|empty", lambda p, _: p["consistency_path"].pop()),
        ("consistency", lambda p, _: p.update(consistency_path=[])),
        ("not base64", lambda p, _: p.update(consistency_path=["?"])),
        ("no later", lambda p, _: p.update(old=p["new"], new=p["old"])),
        ("chain of committees", lambda p, _: p.update(epochs=[{}])),
        ("not a growth proof", lambda p, _: p.pop("epochs")),
        ("signature of .* is wrong", lambda p, _: p.update(old=p["old"].replace("height 2", "height 1"))),
        ("4 members signed", lambda p, _: p.update(old=resigned(p["old"], *SIGNERS[:4]))),
        ("4 members signed", lambda p, _: p.update(new=resigned(p["new"], *SIGNERS[:4]))),
        ("did not grow|too long", lambda p, made: p.update(old=made.blocks[2]["checkpoint"])),
    ],
)
def test_a_changed_proof_is_refused(proofs: Proofs, reason: str, change: Any) -> None:
    file = proofs.proof(1, 4)
    assert len(file["consistency_path"]) > 1
    change(file, proofs)
    with pytest.raises(ProofRefused, match=reason):
        growth.verify(file, proofs.genesis)


def test_two_ledgers_have_no_proof_between_them(proofs: Proofs) -> None:
    """Another history of the same signers: the same leaves in another order, and another time of the first block."""
    other = Chain()
    other.order()
    other.order(other.aggregator.batch(other.aggregator.hours(0, 2)[::-1]))
    forked = codec.decode("block", other.blocks()[1])["checkpoint"]
    for file in (proofs.proof(1, 4) | {"old": forked}, proofs.proof(1, 1) | {"new": forked}):
        with pytest.raises(ProofRefused):
            growth.verify(file, proofs.genesis)
    with pytest.raises(ProofRefused, match="height 1: a fork"):
        growth.verify(proofs.proof(0, 0) | {"new": Proofs(2_000).blocks[0]["checkpoint"]}, proofs.genesis)


def test_another_channel_refuses_it(proofs: Proofs) -> None:
    with pytest.raises(ProofRefused, match="another channel"):
        growth.verify(proofs.proof(1, 4), dataclasses.replace(proofs.genesis, digest=bytes(32)))
    for none in ([], None, "growth"):
        with pytest.raises(ProofRefused):
            growth.verify(none, proofs.genesis)  # type: ignore[arg-type]
