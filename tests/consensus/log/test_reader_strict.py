"""The ledger's reader for an auditor: strict, and with the message that each block came in."""

import pytest

from consensus.log.follower import LedgerError
from consensus.log.reader import LedgerReader, OpenedBlock
from schemas import codec
from tests.sinks.messages import Ledger, record_payload


class Topics:
    """Two blocks of two records each, as they are published."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        content = [[(record_payload(point, hour), True) for point in ("p-coal", "p-gas")] for hour in (1, 2)]
        self.blocks, self.payloads = zip(*map(self.ledger.block, content), strict=True)

    def keys(self, height: int) -> list[bytes]:
        follower = self.ledger.follower()
        accepted = [follower.accept(block) for block in self.blocks[:height]]
        assert accepted[-1] is not None
        return [leaf.hash for leaf in accepted[-1].leaves]

    def offer(self, reader: LedgerReader, height: int) -> None:
        for key, message in zip(self.keys(height), self.payloads[height - 1], strict=True):
            reader.offer_payload(key, message, 0)
        reader.offer_block(self.blocks[height - 1], height)

    def forged(self) -> bytes:
        fields = codec.decode("block", self.blocks[0])
        header = codec.decode_bare("block-header", fields["header"])
        return codec.encode("block", fields | {"header": codec.encode_bare("block-header", header | {"accepted": 1})})


def heights(opened: list[OpenedBlock]) -> list[int]:
    return [one.block.height for one in opened]


def test_a_complete_block_comes_with_its_message_and_its_payloads() -> None:
    topics = Topics()
    reader = LedgerReader(topics.ledger.follower(), strict=True)
    topics.offer(reader, 1)
    (opened,) = reader.ready()
    assert opened.message == topics.blocks[0]
    assert [leaf.payload for leaf in opened.leaves] == [record_payload("p-coal", 1), record_payload("p-gas", 1)]
    assert (reader.oldest_block, reader.oldest_payload) == (None, None)


def test_what_does_not_verify_is_passed_over_unless_strict() -> None:
    topics = Topics()
    lenient, strict = (LedgerReader(topics.ledger.follower(), strict=strict) for strict in (False, True))
    for reader in (lenient, strict):
        reader.offer_block(topics.forged(), 0)
        topics.offer(reader, 1)
    assert (heights(list(lenient.ready())), lenient.refused) == ([1], 1)
    with pytest.raises(LedgerError, match="not what its header states"):
        list(strict.ready())
