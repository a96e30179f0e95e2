from carbon.record import commitment
from sinks.clickhouse.payloads import PayloadPool

SALT = bytes(16)


def key(payload: bytes) -> bytes:
    return commitment(SALT, payload)


def test_a_payload_may_come_before_or_after_its_block() -> None:
    pool = PayloadPool(10)
    pool.offer(SALT, b"a", 0, settled=False)
    pool.want([key(b"a"), key(b"b")])
    assert (key(b"a") in pool, key(b"b") in pool) == (True, False)
    pool.offer(SALT, b"b", 1, settled=False)
    assert pool.take([key(b"a"), key(b"b")]) == {key(b"a"): b"a", key(b"b"): b"b"}
    assert len(pool) == 0


def test_what_nobody_asked_for_is_bounded() -> None:
    pool = PayloadPool(2)
    for offset, payload in enumerate([b"a", b"b", b"c", b"d"]):
        pool.offer(SALT, payload, offset, settled=False)
    assert (len(pool), pool.dropped_from) == (2, 2)


def test_what_a_block_asks_for_is_kept_however_full_it_is() -> None:
    pool = PayloadPool(1)
    pool.offer(SALT, b"a", 0, settled=False)
    pool.want([key(b"b")])
    pool.offer(SALT, b"b", 1, settled=True)
    assert key(b"b") in pool


def test_payloads_of_written_blocks_take_no_room() -> None:
    pool = PayloadPool(1)
    pool.offer(SALT, b"old", 0, settled=True)
    assert (len(pool), pool.dropped_from) == (0, None)


def test_one_payload_serves_two_leaves_of_a_block() -> None:
    pool = PayloadPool(1)
    pool.offer(SALT, b"a", 0, settled=False)
    assert pool.take([key(b"a"), key(b"a")]) == {key(b"a"): b"a"}
