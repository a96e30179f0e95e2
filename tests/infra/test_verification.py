"""The ledger read from its topics with the genesis alone: with repeats, in any order, refused if it does not hold."""

import random
from collections.abc import Iterator

import pytest

from consensus.member.publisher import messages_of
from infra import verification
from infra.errors import EnvironmentFault
from infra.verification import Report
from schemas import topics
from tests.consensus.test_ledger import Chain, own, resigned
from tests.small import seed
from tests.streams.pipeline import reset, send

pytestmark = pytest.mark.broker
Sent = list[tuple[str, bytes, bytes]]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain().fill()


@pytest.fixture
def bootstrap(broker: str) -> Iterator[str]:
    reset(broker)
    return broker


def messages(chain: Chain) -> Sent:
    return [message for package in chain.store.kept for message in messages_of(package)]


def verified(bootstrap: str, chain: Chain, sent: Sent) -> Report:
    for topic in (topics.LEDGER_PAYLOADS, topics.LEDGER_BLOCKS):
        send(bootstrap, topic, [(key, value) for name, key, value in sent if name == topic], 0)
    client = {"bootstrap.servers": bootstrap}
    return verification.verify(chain.world.genesis, verification.from_topic(client, chain.world.genesis))


def test_a_ledger_with_repeats_verifies(bootstrap: str, chain: Chain) -> None:
    report = verified(bootstrap, chain, messages(chain) * 2)
    assert (report.refused, report.height, report.accepted) == ("", 4, 15)
    assert report.balances == chain.ledger.balances


def test_payloads_in_any_order(bootstrap: str, chain: Chain) -> None:
    payloads = [one for one in messages(chain) if one[0] == topics.LEDGER_PAYLOADS]
    random.Random(1).shuffle(payloads)
    report = verified(bootstrap, chain, [*payloads, *(one for one in messages(chain) if one not in payloads)])
    assert (report.refused, report.height) == ("", 4)


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("2f signatures", lambda chain: resigned(chain, own(0, 1, 2, 3))),
        ("a repeated signer", lambda chain: resigned(chain, own(0, 1, 2, 3, 3))),
        ("a stranger's key", lambda chain: resigned(chain, [*own(0, 1, 2, 3), (4, seed("stranger"))])),
        ("noise", lambda chain: b"noise"),
    ],
)
def test_a_block_that_does_not_hold_is_refused(bootstrap: str, chain: Chain, name: str, lie: object) -> None:
    first = messages(chain)[:7]
    assert first[-1][0] == topics.LEDGER_BLOCKS
    report = verified(bootstrap, chain, [*first[:-1], (topics.LEDGER_BLOCKS, b"", lie(chain)), *messages(chain)[7:]])
    assert report.refused and report.height == 0, name


def test_missing_payloads_and_blocks_are_refused(bootstrap: str, chain: Chain) -> None:
    every = messages(chain)
    report = verified(bootstrap, chain, every[:8] + every[9:])
    assert (report.refused, report.height) == ("block 2: payloads are missing", 1)


def test_an_empty_topic_is_an_empty_ledger_and_no_broker_is_a_fault(bootstrap: str, chain: Chain) -> None:
    assert verified(bootstrap, chain, []) == Report()
    with pytest.raises(EnvironmentFault, match="carbonledger up"):
        list(verification.from_topic({"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}, chain.world.genesis))
