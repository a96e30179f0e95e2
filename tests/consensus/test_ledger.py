"""The ledger: what is executed is certified, kept, verified by a stranger, and refused when anything is wrong."""

import dataclasses
import json
import random

import numpy as np
import pytest

from carbon import signing
from carbon.refusal import Refusal
from consensus.core.bodies import Endorsement, ProposedBatch
from consensus.core.effects import OrderedBlock
from consensus.core.endorsements import verdict_of
from consensus.core.messages import Kind, Message
from consensus.ledger import Ledger
from consensus.log import follower, leaf, note, proof
from consensus.log.follower import Follower, LedgerError, Position
from consensus.log.reader import LedgerReader
from consensus.member.publisher import messages_of
from consensus.replay import replay
from consensus.state import State
from schemas import codec, topics
from tests.consensus.aggregator import with_fields
from tests.consensus.test_contract import POINT, Scene
from tests.small import COEFFICIENT, HORIZON_MS, START, seed

SIGNERS = (0, 1, 2, 4, 6)


class MemoryStore:
    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.states: list[bytes] = []
        self.after: tuple[Position, bytes] | None = None

    def resume(self):
        return self.after

    def keep(self, package, position, state) -> None:
        self.kept.append(package)
        self.states.append(state)
        self.after = (Position.load(json.loads(json.dumps(position.dump()))), state)

    def package(self, height):
        return self.kept[height - 1] if 0 < height <= len(self.kept) else None

    def snapshot(self, height):
        return self.states[height - 1] if height % 2 == 0 else None


class Chain(Scene):
    """One member's ledger fed by hand with what the committee would have ordered."""

    def __init__(self) -> None:
        super().__init__()
        for hours in (2, 4, 6):
            self.send(hours)
        self.store = MemoryStore()
        self.ledger = Ledger(self.world.genesis, self.world.registry, self.store)

    def order(self, *batches, time_ms: int = 1_000) -> bytes:
        """Execute and settle one block; its package."""
        ordered, votes = [], []
        for batch in batches:
            rulings = self.contract.judge(batch, self.evidence)
            self.ledger.hold(batch, rulings)
            codes = np.array([r.refusal for r in rulings], ">u2").tobytes()
            ordered.append(ProposedBatch(batch.submitter, batch.stream, batch.number, batch.digest, codes))
            votes += [endorsement(self, member, batch.digest, codes) for member in SIGNERS]
        height = self.ledger.height + 1
        text = self.ledger.execute(OrderedBlock(0, height, time_ms, tuple(ordered), tuple(votes)))
        assert text is not None
        assert self.ledger.note_height(text) == height
        signed = [(m, signing.sign_raw(seed(f"note-{m}"), text)) for m in SIGNERS]
        return self.ledger.settle(height, signed)

    def fill(self) -> "Chain":
        self.order(self.aggregator.batch(self.aggregator.hours(0, 2)))
        self.order(
            self.aggregator.batch(self.aggregator.hours(2, 1)), self.aggregator.batch(self.aggregator.hours(3, 1))
        )
        self.order()
        self.order(self.aggregator.batch(self.aggregator.hours(4, 1)), time_ms=2_000)
        return self

    def blocks(self) -> list[bytes]:
        return [block_of(package) for package in self.store.kept]


def endorsement(chain: Chain, member: int, digest: bytes, codes: bytes) -> bytes:
    body = Endorsement(0, (verdict_of(digest, codes),)).encode()
    signature = signing.sign(seed(f"vote-{member}"), "consensus/endorsement", chain.world.channel, body)
    return Message(Kind.ENDORSEMENT, member, body, signature).encode()


def block_of(package: bytes) -> bytes:
    return codec.decode_bare("block-package", package)["block"]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain().fill()


def read_all(chain: Chain, blocks: list[bytes]) -> Follower:
    reader = Follower(chain.world.genesis)
    for block in blocks:
        reader.accept(block)
    return reader


def test_a_stranger_with_the_genesis_reads_everything(chain):
    reader, state = Follower(chain.world.genesis), State(HORIZON_MS)
    for package in chain.store.kept:
        fields = codec.decode_bare("block-package", package)
        block = reader.accept(fields["block"])
        assert block.signers == SIGNERS
        replay(state, block, fields["salts"], fields["payloads"])
    assert reader.height == 4
    assert reader.position.accepted == 15
    assert state.balances == chain.ledger.balances
    # 3 points, 5 hours; each day() packet of two hours counts its quarters from 1000 again
    hours = [sum(1_000 + 4 * (hour % 2) + q for q in range(4)) for hour in range(5)]
    assert chain.ledger.balances == {"plant": 3 * sum(round(wh * COEFFICIENT) for wh in hours)}


def test_a_repeated_block_is_passed_over(chain):
    blocks = chain.blocks()
    assert read_all(chain, [blocks[0], blocks[0], *blocks[1:], blocks[2]]).height == 4


@pytest.mark.parametrize("wrong", [[0, 2], [1], [0, 1, 3], [0, 2, 1]])
def test_a_dropped_or_reordered_block_is_refused(chain, wrong):
    blocks = chain.blocks()
    with pytest.raises(LedgerError, match="missing"):
        read_all(chain, [blocks[i] for i in wrong])


def test_one_flipped_byte_in_any_block_is_refused(chain):
    """Header, leaves, note, and the votes, which no certificate covers but their own signatures do."""
    blocks, chance = chain.blocks(), random.Random(7)
    for height, block in enumerate(blocks):
        for place in [*range(40), *(chance.randrange(len(block)) for _ in range(300))]:
            damaged = bytearray(block)
            damaged[place] ^= 1 << chance.randrange(8)
            with pytest.raises(LedgerError):
                read_all(chain, [*blocks[:height], bytes(damaged), *blocks[height + 1 :]])


def resigned(chain: Chain, signers: list[tuple[int, bytes]], extra: str = "") -> bytes:
    """The first block with another set of signature lines."""
    fields = codec.decode("block", chain.blocks()[0])
    text, _ = note.split(fields["checkpoint"])
    keys = [member.note_key for member in chain.world.genesis.members]
    lines = [(keys[m], signing.sign_raw(key, text.encode())) for m, key in signers]
    return codec.encode("block", fields | {"checkpoint": note.assemble(text, lines) + extra})


def own(*members: int) -> list[tuple[int, bytes]]:
    return [(m, seed(f"note-{m}")) for m in members]


def test_any_five_members_certify(chain):
    assert read_all(chain, [resigned(chain, own(2, 3, 4, 5, 6))]).height == 1


@pytest.mark.parametrize(
    "signers",
    [
        own(0, 1, 2, 3),
        own(0, 1, 2, 3, 3),
        own(0, 1, 2, 3, 4, 5),
        [*own(0, 1, 2, 3), (4, seed("somebody"))],
        [*own(0, 1, 2, 3), (4, seed("vote-4"))],
        [],
    ],
    ids=["2f", "a repeated signer", "2f + 2", "a forged line", "the vote key", "none"],
)
def test_a_certificate_that_does_not_hold_is_refused(chain, signers):
    with pytest.raises(LedgerError):
        read_all(chain, [resigned(chain, signers)])


def test_a_certificate_with_an_unknown_key_is_refused(chain):
    stranger = note.NoteKey("carbonledger/test/stranger", signing.public_key(seed("stranger")))
    line = note.signature_line(stranger, bytes(64))
    with pytest.raises(LedgerError, match="not a member"):
        read_all(chain, [resigned(chain, own(0, 1, 2, 3), line)])


def test_another_genesis_refuses_all(chain):
    other = dataclasses.replace(chain.world.genesis, digest=bytes(32))
    with pytest.raises(LedgerError):
        Follower(other).accept(chain.blocks()[0])


def test_refused_records_stand_in_the_block_and_change_nothing():
    chain = Chain()
    liar = chain.aggregator
    good = liar.hours(0, 1)
    lie = liar.record(liar.draft(POINT, START), with_fields(quantity=1))
    before_package = chain.order(liar.batch(good))
    balances = chain.ledger.balances
    package = chain.order(liar.batch([lie]))
    assert chain.ledger.balances == balances
    block = Follower(chain.world.genesis, None)
    block.accept(block_of(before_package))
    verified = block.accept(block_of(package))
    assert [Refusal(item.leaf.reason) for item in verified.leaves] == [Refusal.WRONG_SUM]
    told = [codec.decode("ledger-rejection", v) for t, _, v in messages_of(package) if t == topics.LEDGER_REJECTED]
    assert [(m["reason"], m["point"]) for m in told] == [("wrong_sum", POINT)]
    assert told[0]["votes"] == [{"member": member, "reason": "wrong_sum"} for member in SIGNERS]


def test_state_half_keeps_one_chain_for_each_point():
    chain = Chain()
    first, second = chain.aggregator.hours(0, 1), chain.aggregator.hours(1, 1)
    package = chain.order(chain.aggregator.batch(second), chain.aggregator.batch(first), chain.aggregator.batch(first))
    verified = Follower(chain.world.genesis).accept(block_of(package))
    reasons = [Refusal(item.leaf.reason) for item in verified.leaves]
    assert reasons == [Refusal.WRONG_PREDECESSOR] * 3 + [Refusal.PASS] * 3 + [Refusal.WRONG_PREDECESSOR] * 3


def test_a_member_that_judges_otherwise_does_not_execute():
    chain = Chain()
    batch = chain.aggregator.batch(chain.aggregator.hours(0, 1))
    chain.ledger.hold(batch, chain.contract.judge(batch, chain.evidence))
    ordered = ProposedBatch(batch.submitter, batch.stream, batch.number, batch.digest, b"\0\5" * 3)
    assert chain.ledger.execute(OrderedBlock(0, 1, 5, (ordered,))) is None
    missing = ordered._replace(digest=bytes(32))
    assert chain.ledger.execute(OrderedBlock(0, 1, 5, (missing,))) is None
    assert chain.ledger.height == 0


def test_a_lagging_member_installs_certified_blocks(chain):
    store = MemoryStore()
    lagging = Ledger(chain.world.genesis, chain.world.registry, store)
    assert not lagging.install(chain.store.kept[1])
    for package in chain.store.kept:
        assert not lagging.install(package[:-1] + bytes([package[-1] ^ 1]))
        assert lagging.install(package)
    assert lagging.balances == chain.ledger.balances
    assert lagging.height == 4
    again = Ledger(chain.world.genesis, chain.world.registry, store)
    assert (again.height, again.balances) == (4, chain.ledger.balances)


def test_a_swapped_payload_is_refused(chain):
    fields = codec.decode_bare("block-package", chain.store.kept[0])
    payloads = fields["payloads"]
    payloads[0], payloads[1] = payloads[1], payloads[0]
    lagging = Ledger(chain.world.genesis, chain.world.registry, MemoryStore())
    assert not lagging.install(codec.encode_bare("block-package", fields | {"payloads": payloads}))


def test_blocks_meet_their_payloads_in_any_order(chain):
    messages = [m for package in chain.store.kept for m in messages_of(package)]
    blocks = [value for topic, _, value in messages if topic == topics.LEDGER_BLOCKS]
    payloads = [(key, value) for topic, key, value in messages if topic == topics.LEDGER_PAYLOADS]
    reader = LedgerReader(Follower(chain.world.genesis))
    found = []
    for offset, block in enumerate(blocks):
        reader.offer_block(block, offset)
    assert reader.oldest_block == 0
    for offset, (key, value) in enumerate(payloads):
        reader.offer_payload(key, value[:-1] if offset == 1 else value, offset)
        found += list(reader.ready())
    assert found == []
    assert reader.refused == 1
    reader.offer_payload(*payloads[1], 99)
    found = list(reader.ready())
    assert [opened.block.height for opened in found] == [1, 2, 3, 4]
    assert sum(len(opened.leaves) for opened in found) == 15
    assert reader.oldest_block is None
    assert reader.oldest_payload is None


def prove(chain: Chain, index: int) -> dict:
    data = [envelope for block in chain.blocks() for envelope in leaf.split(codec.decode("block", block)["leaves"])]
    hashes = [follower.merkle.leaf_hash(item) for item in data]
    return proof.build(
        proof.inclusion(data[index], hashes, index), codec.decode("block", chain.blocks()[-1])["checkpoint"], None, None
    )


def test_a_proof_holds_offline(chain):
    for index in range(15):
        shown = proof.verify(json.loads(json.dumps(prove(chain, index))), chain.world.genesis)
        assert (shown.leaf_index, shown.tree_size, shown.height, shown.leaf.accepted) == (index, 15, 4, True)


def test_a_proof_with_anything_changed_is_refused(chain):
    good = prove(chain, 7)

    def tampered(change):
        copy = json.loads(json.dumps(good))
        change(copy)
        return copy

    changes = [
        lambda p: p["log"].update(leaf_index=6),
        lambda p: p["log"].update(leaf_index=True),
        lambda p: p["log"].update(tree_size=16),
        lambda p: p["log"].update(leaf=prove(chain, 6)["log"]["leaf"]),
        lambda p: p["log"]["audit_path"].pop(),
        lambda p: p["log"]["audit_path"].reverse(),
        lambda p: p["log"].update(checkpoint=p["log"]["checkpoint"].replace("height 4", "height 5")),
        lambda p: p["log"].update(checkpoint="\n".join(p["log"]["checkpoint"].split("\n")[:-2]) + "\n"),
        lambda p: p.update(epochs=[{}]),
        lambda p: p.pop("epochs"),
        lambda p: p.update(evidence={**p["log"], "root": p["log"]["leaf"]}),
        lambda p: p.update(record={"salt": "", "payload": ""}),
    ]
    for change in changes:
        with pytest.raises(proof.ProofRefused):
            proof.verify(tampered(change), chain.world.genesis)


def test_payload_messages_are_the_avro_librarys(chain):
    found = 0
    for package in chain.store.kept:
        for topic, _, value in messages_of(package):
            if topic == topics.LEDGER_PAYLOADS:
                assert codec.encode("payload", codec.decode("payload", value)) == value
                found += 1
    assert found == 15
