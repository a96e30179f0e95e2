"""A member that lags or lacks something gets it from the others, and no liar can stop it or flood it."""

from random import Random

from consensus.core import effects as fx
from consensus.core.bodies import BatchBody, BatchRequest, BlockRequest, Blocks, Status
from consensus.core.messages import Kind, Message, sign
from tests.consensus.core.committee import Committee, body_of, config_of, unless


def _lagging(blocks: int = 20) -> Committee:
    """Member 3 was away while the others certified blocks."""
    committee = Committee()
    committee.down = {3}
    for number in range(1, blocks + 1):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
    assert committee.heights() == [blocks] * 3 + [0]
    return committee


def test_point_12_a_member_that_was_away_catches_up_by_certified_blocks() -> None:
    committee = _lagging()
    committee.down = set()
    committee.pass_time(3_000, step=50)
    assert committee.heights() == [20] * 4
    assert committee.ledgers[3].tree.root() == committee.ledgers[0].tree.root()
    committee.propose(body_of("next"), 21)
    committee.settle()
    assert committee.heights() == [21] * 4
    assert committee.sent(3, Kind.COMMIT)


def test_point_12_a_wiped_member_catches_up() -> None:
    committee = _lagging()
    committee.down = set()
    committee.ledgers[3].blocks.clear()
    committee.restart(3, entries=[])
    committee.pass_time(3_000, step=50)
    assert committee.heights() == [20] * 4


def test_point_12_a_liar_and_a_withholder_do_not_stop_it() -> None:
    committee = _lagging()
    committee.down = set()

    def hears(sender: int, to: int, message: Message) -> bool:
        if message.kind is Kind.BLOCKS and sender == 0:
            spoilt = tuple(block.replace(b'"note": "', b'"note": "x') for block in Blocks.decode(message.body).blocks)
            committee.give(3, sign(config_of(0), Kind.BLOCKS, Blocks(0, spoilt).encode()))
        return message.kind is not Kind.BLOCKS or sender == 2

    committee.pass_time(20_000, hears, step=100)
    assert committee.heights() == [20] * 4
    assert committee.replicas[3].dropped["block refused"] >= 1


def _status(sender: int, certified: int) -> Message:
    status = Status(0, 0, False, False, False, 1, certified, certified, certified, (0,) * 4)
    return sign(config_of(sender), Kind.STATUS, status.encode())


def test_a_member_lags_when_an_honest_one_must_be_far_ahead() -> None:
    committee = Committee()
    far = 2 * config_of(3).window + 1
    assert not committee.replicas[3].lags
    committee.give(3, _status(0, far))
    assert not committee.replicas[3].lags, "one may lie"
    committee.give(3, _status(1, far - 1))
    assert not committee.replicas[3].lags, "that much it can still follow"
    committee.give(3, _status(2, far))
    assert committee.replicas[3].lags


def test_a_certified_block_is_installed_once() -> None:
    committee = _lagging(2)
    first, second = (committee.ledgers[0].certified(height) or b"" for height in (1, 2))
    committee.down = set()
    for block in (second, first, first, b"nonsense", second):
        committee.give(3, sign(config_of(0), Kind.BLOCKS, Blocks(0, (block,)).encode()))
    assert committee.heights() == [2] * 4
    assert committee.replicas[3].dropped["block refused"] == 3


def test_a_missing_body_is_fetched_from_another_member() -> None:
    committee = Committee()
    body = body_of("one")
    for i in (0, 1, 2):
        committee.judge(i, committee.offer(i, body))
    committee.settle()
    committee.pass_time(600)
    asked = [(i, effect) for i in range(3) for effect in committee.found(i, fx.BatchRequested)]
    assert len(asked) == 1 and asked[0][1].member == 3
    i, request = asked[0]
    committee.do(i, committee.replicas[i].send_batch(3, request.digest, body, committee.now))
    committee.settle()
    (received,) = committee.found(3, fx.BatchReceived)
    assert received.body == body
    committee.offer(3, received.body)
    assert committee.sent(3, Kind.PREPARE)


def test_a_body_that_was_not_asked_for_is_dropped() -> None:
    committee = Committee()
    committee.give(3, sign(config_of(0), Kind.BATCH_BODY, BatchBody(0, bytes(32), b"body").encode()))
    assert not committee.found(3, fx.BatchReceived)


def test_help_is_bounded_between_two_statuses() -> None:
    committee = _lagging(2)
    for _ in range(200):
        committee.give(0, sign(config_of(3), Kind.BLOCK_REQUEST, BlockRequest(0, 1).encode()))
        committee.give(1, sign(config_of(3), Kind.BATCH_REQUEST, BatchRequest(0, bytes(32)).encode()))
    assert len(committee.sent(0, Kind.BLOCKS)) == 64
    assert len(committee.found(1, fx.BatchRequested)) == 64


def test_votes_that_were_lost_are_sent_again_when_nothing_moves() -> None:
    """A third of all messages is lost."""
    committee = Committee()
    rng = Random(7)

    def hears(sender: int, to: int, message: Message) -> bool:
        return rng.random() > 1 / 3

    for number in range(1, 6):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(hears)
    committee.pass_time(20_000, hears, step=50)
    assert len(set(committee.heights())) == 1
    assert committee.ledgers[2].stream_head("power", "a") == 5


def test_an_older_status_does_not_replace_a_newer_one() -> None:
    committee = Committee()
    for turn in (9, 3):
        status = Status(0, 0, False, False, False, turn, turn, turn, turn, ())
        committee.give(0, sign(config_of(1), Kind.STATUS, status.encode()))
    assert committee.replicas[0]._s.peers[1].status.round == 9


def test_what_was_committed_in_an_earlier_view_is_asked_for_again() -> None:
    """Others may need this member's votes in the view that is open now."""
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.CHECKPOINT))
    slot = committee.replicas[1]._s.slots[1]
    assert slot.committed is not None
    assert (slot.stage(0), slot.stage(1)) == (3, 0)
