"""The reader of blocks and payloads: the ledger is read whatever comes first, and what waits is bounded."""

import random

import pytest

from carbon import merkle
from carbon.refusal import Refusal
from consensus.log import leaf, reader
from consensus.log.follower import Follower
from consensus.log.reader import LedgerReader
from consensus.member.publisher import messages_of
from schemas import codec, topics
from tests.consensus.aggregator import with_fields
from tests.consensus.test_contract import POINT
from tests.consensus.test_ledger import Chain
from tests.small import START

Keyed = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain().fill()


def payloads_of(chain: Chain) -> list[Keyed]:
    messages = (message for package in chain.store.kept for message in messages_of(package))
    return [(key, value) for topic, key, value in messages if topic == topics.LEDGER_PAYLOADS]


def read(chain: Chain, payloads: list[Keyed], blocks: list[bytes]) -> tuple[LedgerReader, list[int]]:
    """All payloads and then all blocks, one after the other; the heights that were handed on."""
    found, heights = LedgerReader(Follower(chain.world.genesis)), []
    for offset, (key, value) in enumerate(payloads):
        found.offer_payload(key, value, offset)
        heights += [opened.block.height for opened in found.ready()]
    for offset, block in enumerate(blocks):
        found.offer_block(block, offset)
        heights += [opened.block.height for opened in found.ready()]
    return found, heights


def foreign(key: bytes, value: bytes, **changes: object) -> Keyed:
    """A well-formed payload message under a leaf's key that is not the leaf's."""
    return key, codec.encode("payload", codec.decode("payload", value) | changes)


def test_a_foreign_payload_that_comes_first_does_not_keep_the_true_one_out(chain: Chain) -> None:
    true = payloads_of(chain)
    lies = [foreign(*one, payload=b"another") for one in true] + [foreign(*one, salt=bytes(16)) for one in true]
    _, heights = read(chain, [*lies, *true], chain.blocks())
    assert heights == [1, 2, 3, 4]


def test_the_true_payload_under_another_key_or_height_is_not_the_leafs(chain: Chain) -> None:
    true = payloads_of(chain)
    moved = [(other, value) for (other, _), (_, value) in zip(true[1:] + true[:1], true, strict=True)]
    raised = [foreign(*one, height=9) for one in true]
    _, heights = read(chain, [*moved, *raised], chain.blocks())
    assert heights == []
    _, heights = read(chain, [*moved, *raised, *true], chain.blocks())
    assert heights == [1, 2, 3, 4]


def test_sealed_and_broken_payloads_are_passed_over(chain: Chain) -> None:
    key, value = payloads_of(chain)[0]
    found, _ = read(chain, [foreign(key, value, payload=None), (key, b""), (key, value[:-1]), (b"", b"\0" * 40)], [])
    assert found.refused == 4
    assert found.oldest_payload is None


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (3, 0, 2, 1)])
def test_blocks_that_come_before_their_predecessor_wait_for_it(chain: Chain, order: tuple[int, ...]) -> None:
    blocks = chain.blocks()
    found, heights = read(chain, payloads_of(chain), [blocks[i] for i in order])
    assert heights == [1, 2, 3, 4]
    assert (found.refused, found.oldest_block, found.oldest_payload) == (0, None, None)


def test_in_any_order_with_repeats_and_noise(chain: Chain) -> None:
    true = payloads_of(chain)
    for seed in range(30):
        rng = random.Random(seed)
        payloads = [*true, *true, *(foreign(*one, payload=b"x") for one in true), (b"k", b"noise")]
        blocks = [*chain.blocks(), *chain.blocks(), b"noise", b""]
        events = [("payload", one) for one in payloads] + [("block", one) for one in blocks]
        rng.shuffle(events)
        found, heights = LedgerReader(Follower(chain.world.genesis)), []
        for offset, (kind, one) in enumerate(events):
            if kind == "payload":
                found.offer_payload(*one, offset)
            else:
                found.offer_block(one, offset)
            heights += [opened.block.height for opened in found.ready()]
        assert heights == [1, 2, 3, 4], f"seed {seed}"


def test_an_early_block_with_damaged_leaves_does_not_keep_the_whole_one_out(chain: Chain) -> None:
    """The certificate covers the header alone: who copies it can put other leaves and votes beneath."""
    blocks = chain.blocks()
    fields = codec.decode("block", blocks[1])
    lies = [codec.encode("block", fields | change) for change in ({"leaves": b""}, {"votes": [b"none"]})]
    found, heights = read(chain, payloads_of(chain), [*lies, blocks[1], blocks[0], *blocks[2:]])
    assert heights == [1, 2, 3, 4]
    assert (found.refused, found.oldest_block) == (2, None)


def test_an_uncertified_early_block_is_passed_over(chain: Chain) -> None:
    fields = codec.decode("block", chain.blocks()[2])
    lie = codec.encode("block", fields | {"checkpoint": fields["checkpoint"].replace("height 3", "height 2")})
    found, _ = read(chain, [], [lie])
    assert (found.refused, found.oldest_block) == (1, None)


def test_what_waits_for_its_predecessor_is_bounded(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = chain.blocks()
    fields = codec.decode("block", blocks[2])
    copies = [codec.encode("block", fields | {"votes": [bytes([n])]}) for n in range(reader.COPIES + 3)]
    found, _ = read(chain, [], copies)
    assert found.refused == 3
    monkeypatch.setattr(reader, "WAITING_BLOCKS", 2)
    found, _ = read(chain, [], [blocks[3], blocks[1]])
    assert (found.refused, found.oldest_block) == (1, 1)


def test_a_restart_goes_on_from_the_oldest_that_waits(chain: Chain) -> None:
    blocks, true = chain.blocks(), payloads_of(chain)
    found, heights = read(chain, true[1:], [blocks[1], blocks[0]])
    assert heights == []
    assert (found.oldest_block, found.oldest_payload) == (0, 0)
    found.offer_payload(*true[0], 50)
    assert [opened.block.height for opened in found.ready()] == [1, 2]
    assert found.oldest_block is None


def test_a_block_is_handed_on_with_the_position_after_it_though_the_next_is_verified_already(chain: Chain) -> None:
    """Who keeps a later position than that of the last block handed on loses a block at a restart."""
    found = LedgerReader(Follower(chain.world.genesis))
    for offset, block in enumerate(chain.blocks()):
        found.offer_block(block, offset)
    for offset, (key, value) in enumerate(payloads_of(chain)[:6]):
        found.offer_payload(key, value, offset)
    (opened,) = list(found.ready())
    assert (opened.block.height, opened.position.height, found.follower.height) == (1, 1, 2)


def test_repeats_of_what_was_handed_on_do_not_pile_up(chain: Chain) -> None:
    true = payloads_of(chain)
    found, heights = read(chain, true, [*chain.blocks(), *chain.blocks()])
    assert heights == [1, 2, 3, 4]
    for offset, one in enumerate(true):
        found.offer_payload(*one, 100 + offset)
    assert found.oldest_payload is None


def test_neither_topic_is_read_too_far_ahead(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WAITING_PAYLOADS", 3)
    monkeypatch.setattr(reader, "WAITING_BLOCKS", 2)
    true, blocks = payloads_of(chain), chain.blocks()
    found, _ = read(chain, true[:3], [])
    assert not found.wants_payloads, "blocks have to come first"
    assert found.wants_blocks
    found.offer_block(blocks[0], 0)
    assert list(found.ready()) == []
    assert found.wants_payloads, "a block waits for the rest of its payloads, however many foreign ones there are"
    found.offer_block(blocks[1], 1)
    found.offer_block(blocks[2], 2)
    assert not found.wants_blocks


def test_beyond_the_bound_the_oldest_payload_is_let_go(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WAITING_PAYLOADS", 5)
    key, value = payloads_of(chain)[0]
    found, _ = read(chain, [foreign(key, value, payload=b"%d" % n) for n in range(25)], [])
    assert found.oldest_payload == 15


def test_a_record_refused_twice_is_the_same_leaf_twice() -> None:
    """Twice in one block, and once more in a later one whose payload comes before the first block is complete."""
    chain = Chain()
    liar = chain.aggregator
    lie = liar.record(liar.draft(POINT, START), with_fields(quantity=1))
    packages = [chain.order(liar.batch([lie]), liar.batch([lie])), chain.order(liar.batch([lie]))]
    leaves = [leaf.split(codec.decode("block", block)["leaves"]) for block in chain.blocks()]
    assert {merkle.leaf_hash(one) for both in leaves for one in both} == {merkle.leaf_hash(leaves[0][0])}
    payloads = [(k, v) for package in packages for t, k, v in messages_of(package) if t == topics.LEDGER_PAYLOADS]
    found, heights = read(chain, payloads, chain.blocks())
    assert heights == [1, 2]
    assert found.oldest_payload is None
    late = LedgerReader(Follower(chain.world.genesis))
    for offset, one in enumerate(chain.blocks()):
        late.offer_block(one, offset)
    for offset, payload in enumerate(payloads):
        late.offer_payload(*payload, offset)
    reasons = [Refusal(item.leaf.leaf.reason) for opened in late.ready() for item in opened.leaves]
    assert reasons == [Refusal.WRONG_SUM] * 3


def test_what_a_reader_lacks_is_asked_for_again_and_again_each_time_of_another_member(chain: Chain) -> None:
    found, asker, wait = LedgerReader(Follower(chain.world.genesis)), reader.Asker(), reader.ASK_AFTER_MS
    assert found.lacking is None
    found.offer_block(chain.blocks()[0], 0)
    assert list(found.ready()) == []
    assert found.lacking == 1
    asked = [asker.due(found.lacking, now) for now in (0, wait - 1, wait, wait + 1, 2 * wait)]
    attempts = [request and codec.decode("payload-request", request) for request in asked]
    assert attempts == [None, None, {"height": 1, "attempt": 1}, None, {"height": 1, "attempt": 2}]
    assert asker.due(None, 9 * wait) is None
    assert asker.due(2, 9 * wait) is None, "another block has waited no time yet"
