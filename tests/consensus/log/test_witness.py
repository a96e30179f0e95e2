"""The witness: it moves along one history, in whatever order blocks come, and never from one history to another."""

import base64
import random
from hashlib import sha256

import pytest

from carbon import signing
from consensus.log import evidence, note, witness
from consensus.log.follower import Position, checkpoint_of
from consensus.log.note import NoteKey
from consensus.log.witness import Forked, Witness
from schemas import codec
from tests.consensus.log.test_evidence import GENESIS, resigned
from tests.consensus.test_ledger import SIGNERS, Chain
from tests.small import seed


def history(second_ms: int = 1_000, blocks: int = 5) -> list[bytes]:
    """Blocks of a ledger; histories with another time of the second block part there."""
    chain = Chain()
    chain.order(chain.aggregator.batch(chain.aggregator.hours(0, 1)))
    chain.order(time_ms=second_ms)
    for hour in range(1, blocks - 1):
        chain.order(chain.aggregator.batch(chain.aggregator.hours(hour, 1)), time_ms=5_000)
    return chain.blocks()


ONE, OTHER = history(), history(2_000)


def standing(blocks: list[bytes]) -> Witness:
    """A witness that has seen these blocks."""
    seen = Witness(GENESIS)
    for offset, block in enumerate(blocks):
        assert seen.offer(block, offset)
    return seen


def resumed(seen: Witness) -> Witness:
    """The witness after a restart."""
    return Witness(GENESIS, Position.load(seen.position.dump()), seen.checkpoint)


def checkpoint(block: bytes) -> str:
    text: str = codec.decode("block", block)["checkpoint"]
    return text


def test_it_follows_also_after_restarts() -> None:
    seen = Witness(GENESIS)
    for height, block in enumerate(ONE, 1):
        assert seen.offer(block, height)
        assert (seen.position.height, seen.checkpoint, seen.objection) == (height, checkpoint(block), "")
        assert witness.is_of(GENESIS, seen.position, seen.checkpoint)
        seen = resumed(seen)
    assert not seen.offer(ONE[1], 9)
    assert not seen.offer(ONE[4], 9)


def test_blocks_in_any_order_with_repeats_and_noise() -> None:
    for number in range(30):
        rng = random.Random(number)
        damaged = [codec.encode("block", codec.decode("block", block) | {"leaves": b""}) for block in ONE]
        uncertified = [codec.encode("block", codec.decode("block", block) | {"checkpoint": ""}) for block in OTHER]
        messages = [*ONE, *ONE, *damaged, *uncertified, b"", b"noise", ONE[2][:-1]]
        rng.shuffle(messages)
        seen = Witness(GENESIS)
        for offset, message in enumerate(messages):
            seen.offer(message, offset)
        assert (seen.position.height, seen.oldest_waiting, seen.objection) == (5, None, ""), f"seed {number}"


@pytest.mark.parametrize("known", [2, 3, 4])
def test_another_block_of_the_last_height_is_a_fork(known: int) -> None:
    seen = resumed(standing(ONE[:known]))
    with pytest.raises(Forked) as caught:
        seen.offer(OTHER[known - 1], 9)
    proven = evidence.check(caught.value.file, GENESIS)
    assert (proven.members, proven.height) == (SIGNERS, known)
    assert (seen.position.height, seen.checkpoint) == (known, checkpoint(ONE[known - 1]))


@pytest.mark.parametrize("known", [2, 3, 4])
def test_a_next_block_on_another_predecessor_is_a_fork(known: int) -> None:
    seen = resumed(standing(ONE[:known]))
    with pytest.raises(Forked) as caught:
        seen.offer(OTHER[known], 9)
    assert evidence.check(caught.value.file, GENESIS).height == known + 1


def test_a_fork_that_comes_early_is_seen_when_its_turn_comes() -> None:
    seen = standing(ONE[:1])
    assert not seen.offer(OTHER[2], 9)
    with pytest.raises(Forked):
        seen.offer(ONE[1], 10)


def test_blocks_before_they_part_are_no_fork() -> None:
    seen = standing(ONE[:1])
    assert not seen.offer(OTHER[0], 5)
    assert seen.offer(OTHER[1], 6)
    assert seen.offer(OTHER[2], 7)


def test_a_certified_block_that_does_not_verify_is_objected_to_until_the_whole_one_comes() -> None:
    seen = standing(ONE[:2])
    assert not seen.offer(codec.encode("block", codec.decode("block", ONE[2]) | {"leaves": b""}), 2)
    assert seen.objection == "block 3: its leaves are not what its header states"
    assert seen.offer(ONE[2], 3)
    assert seen.objection == ""


def test_a_gap_is_objected_to_and_a_restart_goes_on_from_what_waits() -> None:
    seen = standing(ONE[:1])
    assert not seen.offer(ONE[3], 7)
    assert not seen.offer(ONE[2], 8)
    assert (seen.objection, seen.oldest_waiting) == ("block 2 is missing", 7)
    assert seen.offer(ONE[1], 9)
    assert (seen.position.height, seen.objection, seen.oldest_waiting) == (4, "", None)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = codec.decode("block", ONE[2])
    seen = standing(ONE[:1])
    for offset in range(2 * witness.COPIES):
        seen.offer(codec.encode("block", fields | {"leaves": bytes([offset])}), offset)
    assert len(seen._early[3]) == witness.COPIES
    monkeypatch.setattr(witness, "WAITING_BLOCKS", 2)
    seen.offer(ONE[3], 9)
    assert set(seen._early) == {3}


def test_repeats_take_no_room_from_the_whole_block() -> None:
    seen = standing(ONE[:1])
    damaged = codec.encode("block", codec.decode("block", ONE[2]) | {"leaves": b""})
    for offset in range(2 * witness.COPIES):
        seen.offer(damaged, offset)
    seen.offer(ONE[2], 9)
    assert seen.offer(ONE[1], 10)
    assert seen.position.height == 3


def test_a_first_block_that_names_another_genesis_is_objected_to() -> None:
    """Nothing was cosigned that it could contradict."""
    fields = codec.decode("block", ONE[0])
    header = codec.decode_bare("block-header", fields["header"]) | {"previous": bytes(32)}
    data = codec.encode_bare("block-header", header)
    text = checkpoint_of(GENESIS, header, sha256(data).digest())
    wrong = codec.encode("block", fields | {"header": data, "checkpoint": resigned(text + "\n\n", *SIGNERS)})
    seen = Witness(GENESIS)
    assert not seen.offer(wrong, 0)
    assert seen.objection == "block 1 does not name the block before it"
    assert seen.offer(ONE[0], 1)


def test_four_signatures_certify_nothing() -> None:
    seen = standing(ONE[:2])
    fields = codec.decode("block", OTHER[1])
    four = codec.encode("block", fields | {"checkpoint": resigned(fields["checkpoint"], *SIGNERS[:4])})
    assert not seen.offer(four, 9)
    assert seen.objection == ""


def test_a_position_and_a_checkpoint_that_differ_are_told_apart() -> None:
    seen = standing(ONE[:3])
    assert not witness.is_of(GENESIS, seen.position, checkpoint(ONE[1]))
    assert not witness.is_of(GENESIS, seen.position, resigned(checkpoint(ONE[2]), *SIGNERS[:4]))
    assert not witness.is_of(GENESIS, standing(OTHER[:3]).position, seen.checkpoint)


def test_a_cosignature_is_what_the_format_says() -> None:
    """C2SP tlog-cosignature: key id of type 4, eight bytes of time, Ed25519 over the time and the whole note text."""
    key = NoteKey("example.test/w1", signing.public_key(seed("witness")), note.COSIGNATURE)
    line = witness.cosignature(seed("witness"), key, checkpoint(ONE[2]), 1_679_315_147)
    dash, name, encoded = line.rstrip("\n").split(" ")
    data = base64.b64decode(encoded)
    assert (dash, name, data[:4], len(data)) == ("—", "example.test/w1", key.id, 4 + 8 + 64)
    assert data[4:12].hex() == "00000000641850cb"
    text, _ = note.split(checkpoint(ONE[2]))
    signed = b"cosignature/v1\ntime 1679315147\n" + text.encode()
    assert signing.verify_raw(key.key, signed, data[12:])
    assert key.id != NoteKey(key.name, key.key).id
    with pytest.raises(note.NoteError):
        NoteKey.parse(str(key))
