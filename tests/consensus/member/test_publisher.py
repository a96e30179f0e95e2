"""Publication: in order, payloads first, only what readers take counts as there, and somebody takes over."""

from hashlib import sha256

import pytest

from consensus.log import note
from consensus.log.follower import Follower
from consensus.log.reader import LedgerReader
from consensus.member import publisher as publication
from consensus.member.publisher import PATIENCE_MS, Publisher, messages_of, votes_on
from schemas import codec, topics
from tests.consensus.aggregator import with_fields
from tests.consensus.test_contract import POINT
from tests.consensus.test_ledger import SIGNERS, Chain, own, resigned
from tests.small import START

LATER = PATIENCE_MS + 1


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain().fill()


class Topic:
    """What a member's publisher has sent, and the messages of `ledger.blocks` among it."""

    def __init__(self, chain: Chain) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []
        store = chain.store
        self.publisher = Publisher(
            chain.world.genesis,
            lambda: chain.ledger.committees,
            store.package,
            store.snapshot,
            lambda *one: self.sent.append(one),
        )

    @property
    def heights(self) -> list[int]:
        return [int.from_bytes(key, "big") for topic, key, _ in self.sent if topic == topics.LEDGER_BLOCKS]

    def read_back(self) -> None:
        for topic, _, value in self.sent:
            if topic == topics.LEDGER_BLOCKS:
                self.publisher.saw(value)


@pytest.fixture
def topic(chain: Chain) -> Topic:
    return Topic(chain)


def test_the_primary_publishes_at_once_each_block_once_and_in_order(topic: Topic) -> None:
    topic.publisher.publish(2, 0, rank=0)
    assert topic.heights == [1, 2]
    topic.publisher.publish(4, 1, rank=0)
    topic.publisher.publish(4, 2, rank=0)
    assert topic.heights == [1, 2, 3, 4]
    topic.read_back()
    topic.publisher.publish(4, 10 * LATER, rank=0)
    assert topic.heights == [1, 2, 3, 4]
    assert topic.publisher.seen == 4


def test_snapshots_are_the_states_that_headers_commit_to(topic: Topic, chain: Chain) -> None:
    topic.publisher.publish(4, 0, rank=0)
    snapshots = [codec.decode("snapshot", value) for name, _, value in topic.sent if name == topics.LEDGER_SNAPSHOTS]
    assert [snapshot["height"] for snapshot in snapshots] == [2, 4]
    reader = Follower(chain.world.genesis)
    headers = {block.height: block.header for block in map(reader.accept, chain.blocks()) if block is not None}
    for snapshot in snapshots:
        assert sha256(snapshot["state"]).digest() == headers[snapshot["height"]]["state"]


def test_payloads_come_before_their_block_and_a_stranger_reads_it_all(topic: Topic, chain: Chain) -> None:
    topic.publisher.publish(4, 0, rank=0)
    reader, heights = LedgerReader(Follower(chain.world.genesis)), []
    for offset, (name, key, value) in enumerate(topic.sent):
        if name == topics.LEDGER_PAYLOADS:
            reader.offer_payload(key, value, offset)
        else:
            reader.offer_block(value, offset)
            heights += [opened.block.height for opened in reader.ready()]
    assert heights == [1, 2, 3, 4], "each block is complete when it comes"


def test_another_member_waits_and_takes_over_when_a_block_stays_missing(topic: Topic, chain: Chain) -> None:
    publisher = topic.publisher
    publisher.publish(2, 0, rank=2)
    publisher.publish(2, 3 * PATIENCE_MS, rank=2)
    assert topic.heights == []
    publisher.publish(2, 3 * PATIENCE_MS + 1, rank=2)
    assert topic.heights == [1, 2]
    topic.read_back()
    publisher.publish(3, 3 * PATIENCE_MS + 2, rank=2)
    assert topic.heights == [1, 2], "the wait for the next block begins anew"


def test_a_block_that_is_there_resets_the_wait(topic: Topic, chain: Chain) -> None:
    publisher, blocks = topic.publisher, chain.blocks()
    publisher.publish(2, 0, rank=1)
    publisher.saw(blocks[0])
    publisher.publish(2, 2 * LATER, rank=1)
    assert (publisher.seen, topic.heights) == (1, [])
    publisher.publish(2, 5 * LATER, rank=1)
    assert topic.heights == [2], "only what is missing"


def test_what_did_not_arrive_is_sent_again(topic: Topic) -> None:
    topic.publisher.publish(3, 0, rank=0)
    topic.publisher.publish(3, LATER, rank=0)
    assert topic.heights == [1, 2, 3, 1, 2, 3]


def test_blocks_in_any_order_and_repeated_count_once_all_below_are_there(topic: Topic, chain: Chain) -> None:
    publisher, blocks = topic.publisher, chain.blocks()
    for place, seen in ((2, 0), (1, 0), (1, 0), (0, 3), (0, 3), (3, 4)):
        publisher.saw(blocks[place])
        publisher.publish(4, 0, rank=6)
        assert publisher.seen == seen


def test_blocks_that_this_member_has_not_certified_yet_wait(topic: Topic, chain: Chain) -> None:
    for block in chain.blocks():
        topic.publisher.saw(block)
    topic.publisher.publish(2, 0, rank=0)
    assert topic.publisher.seen == 2
    topic.publisher.publish(4, 0, rank=0)
    assert (topic.publisher.seen, topic.heights) == (4, [])


def test_copies_that_nobody_signed_the_leaves_of_cost_bounded_memory_and_no_more_than_a_repeat(
    topic: Topic, chain: Chain
) -> None:
    """A certificate is over the header alone, so anybody can put any leaves beside it."""
    publisher, first = topic.publisher, chain.blocks()[0]
    fields = codec.decode("block", first)
    for place in range(20):
        leaves = bytearray(fields["leaves"])
        leaves[-1 - place] ^= 1
        assert publisher.saw(codec.encode("block", fields | {"leaves": bytes(leaves)})).is_certified
    assert len(publisher._noted[1]) == publication.COPIES
    publisher.saw(first)
    publisher.publish(1, 0, rank=0)
    topic.read_back()
    publisher.publish(1, 1, rank=0)
    assert (publisher.seen, topic.heights, publisher._noted) == (1, [1], {})


def damaged(chain: Chain) -> dict[str, bytes]:
    """Messages that a liar could put in the first block's place."""
    first = chain.blocks()[0]
    fields = codec.decode("block", first)
    votes = fields["votes"]
    broken = codec.decode("consensus-message", votes[0])
    forged = codec.encode("consensus-message", broken | {"signature": bytes(64)})
    return {
        "noise": b"noise",
        "nothing": b"",
        "too few signatures": resigned(chain, own(*SIGNERS[:4])),
        "other leaves": codec.encode("block", fields | {"leaves": fields["leaves"][82:]}),
        "a forged vote": codec.encode("block", fields | {"votes": [forged, *votes[1:]]}),
        "a vote that is noise": codec.encode("block", fields | {"votes": [b"noise"]}),
        "another block's certificate": codec.encode(
            "block", fields | {"checkpoint": codec.decode("block", chain.blocks()[1])["checkpoint"]}
        ),
    }


@pytest.mark.parametrize(
    "lie",
    [
        "noise",
        "nothing",
        "too few signatures",
        "other leaves",
        "a forged vote",
        "a vote that is noise",
        "another block's certificate",
    ],
)
def test_what_readers_would_refuse_does_not_count_as_published(topic: Topic, chain: Chain, lie: str) -> None:
    topic.publisher.saw(damaged(chain)[lie])
    topic.publisher.publish(1, 0, rank=1)
    assert topic.publisher.seen == 0
    topic.publisher.publish(1, 3 * LATER, rank=1)
    assert topic.heights == [1]
    topic.read_back()
    topic.publisher.publish(1, 4 * LATER, rank=1)
    assert topic.publisher.seen == 1


def test_other_signers_and_other_votes_of_the_same_block_count(topic: Topic, chain: Chain) -> None:
    """Which 2f + 1 signatures and which endorsements a publisher holds may differ."""
    block = codec.decode("block", resigned(chain, own(2, 3, 4, 5, 6)))
    topic.publisher.saw(codec.encode("block", block | {"votes": block["votes"][:3]}))
    topic.publisher.publish(1, 0, rank=0)
    assert (topic.publisher.seen, topic.heights) == (1, [])
    assert note.split(block["checkpoint"])[0] == note.split(codec.decode("block", chain.blocks()[0])["checkpoint"])[0]


def test_a_member_that_stopped_between_keeping_and_publishing_publishes_after_its_restart(chain: Chain) -> None:
    before = Topic(chain)
    before.publisher.publish(2, 0, rank=0)
    before.read_back()
    before.publisher.publish(2, 1, rank=0)
    after = Topic(chain)
    after.publisher.resume_at(before.publisher.seen)
    after.publisher.publish(4, 2, rank=0)
    after.publisher.publish(4, 2 + LATER, rank=0)
    assert after.heights == [3, 4, 3, 4], "what its earlier life saw is not sent again"


def test_blocks_far_ahead_are_not_noted(topic: Topic, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "NOTED_HEIGHTS", 2)
    for place in (2, 0, 1):
        topic.publisher.saw(chain.blocks()[place])
    topic.publisher.publish(3, 0, rank=0)
    assert (topic.publisher.seen, topic.heights) == (2, [3])


def test_a_refused_record_is_published_with_its_reason_and_its_votes() -> None:
    chain = Chain()
    liar = chain.aggregator
    batch = liar.batch([*liar.hours(0, 1), liar.record(liar.draft(POINT, START), with_fields(quantity=1))])
    package = chain.order(batch)
    told = [codec.decode("ledger-rejection", v) for t, _, v in messages_of(package) if t == topics.LEDGER_REJECTED]
    assert [(r["leaf_index"], r["reason"], r["point"], r["number"]) for r in told] == [(3, "wrong_sum", POINT, 1)]
    assert told[0]["votes"] == [{"member": m, "reason": "wrong_sum"} for m in SIGNERS]
    votes = codec.decode("block", chain.blocks()[0])["votes"]
    assert votes_on(batch.digest, 0, votes) == [{"member": m, "reason": "pass"} for m in SIGNERS]
    assert votes_on(bytes(32), 0, votes) == []


def request(height: int, attempt: int) -> bytes:
    return codec.encode("payload-request", {"height": height, "attempt": attempt})


def test_the_member_whose_turn_it_is_publishes_again_what_a_reader_lacks(topic: Topic, chain: Chain) -> None:
    publisher = topic.publisher
    publisher.asked(request(2, 1), index=2, kept=4, now_ms=10)
    assert topic.sent == [], "another member's turn"
    publisher.asked(request(2, 1), index=3, kept=4, now_ms=10)
    assert topic.sent == list(messages_of(chain.store.kept[1]))
    publisher.asked(request(3, 0), index=3, kept=4, now_ms=10 + publication.ANSWER_EVERY_MS - 1)
    assert topic.heights == [2], "whoever asks without end gets no more than that"
    publisher.asked(request(3, 0), index=3, kept=4, now_ms=10 + publication.ANSWER_EVERY_MS)
    assert topic.heights == [2, 3]


def test_requests_that_nobody_can_answer_are_passed_over(topic: Topic) -> None:
    for message in (b"noise", request(5, 5), request(0, 3), request(-4, 7), request(2**62, 1)):
        for index in range(7):
            topic.publisher.asked(message, index, kept=4, now_ms=10)
    assert topic.sent == []
