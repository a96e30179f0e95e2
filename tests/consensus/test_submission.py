"""Submissions through the committee: who may bring a batch, both halves, the leaf, and the replay without a member."""

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from carbon import calendar, claims, submission
from carbon import record as records
from carbon.ledger import rules
from carbon.refusal import Refusal
from carbon.registry import RegistryError
from consensus import batch as batches
from consensus.batch import BatchError
from consensus.contract import Contract
from consensus.ledger import Ledger
from consensus.log import leaf
from consensus.log import package as packages
from consensus.log.committee import AHEAD
from consensus.log.follower import Follower
from consensus.log.reader import LedgerReader
from consensus.member.publisher import messages_of
from consensus.member.store import LedgerFile
from consensus.state import State
from infra.verification import verify
from schemas import codec, topics
from sinks.clickhouse.feed import Message
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.reference import Reference
from tests import parties, registrars, small
from tests.consensus.test_ledger import MemoryStore
from tests.consensus.test_registration import Scene
from tests.parties import AUTHORITY, EXCHANGE, PARTIES, PLANT, VERIFIER
from tests.registrars import entry
from tests.small import HORIZON_MS, World

MONTH_MS = 32 * 86_400_000


class Market(Scene):
    """A ledger driven by hand, in whose registry parties stand, in a time after what they submit."""

    time_ms = 1_451_606_400_000 + 2 * MONTH_MS

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"parties": PARTIES} | changes)
        self.sent: dict[str, int] = {}

    def submit(self, party: str, *payloads: bytes, registry_height: int = 0) -> list[Refusal]:
        """The verdicts on the next batch of a party, in a block of its own."""
        number = self.sent[party] = self.sent.get(party, 0) + 1
        batch = parties.batch(self.world, party, number, payloads, registry_height)
        return [refusal for refusal, _ in self.order(batch)]

    def leaves(self) -> list[leaf.Leaf]:
        """All leaves of the newest block."""
        message = packages.read(self.store.kept[-1]).block
        return [leaf.decode(one) for one in leaf.split(codec.decode("block", message)["leaves"])]

    def state(self) -> State:
        return State.load(self.store.states[-1], HORIZON_MS)


@pytest.fixture
def market() -> Market:
    return Market()


def price(market: Market, number: int, party: str = EXCHANGE, **changes: object) -> bytes:
    return parties.payload(market.world, party, number, "price", parties.PRICE | changes)


def test_a_submission_becomes_a_leaf_under_its_own_salt(market: Market) -> None:
    payload = price(market, 1)
    assert market.submit(EXCHANGE, payload) == [Refusal.PASS]
    (found,) = market.leaves()
    salt = submission.read(payload).salt
    assert packages.read(market.store.kept[-1]).salts == salt
    assert found == (leaf.SUBMISSION, 0, 0, 0, codec.schema_ids()["submission"], bytes(32), found.commitment)
    assert found.commitment == records.commitment(salt, payload)


def test_the_book_stands_in_the_state_and_counts_a_number_once(market: Market) -> None:
    first, second = price(market, 1), price(market, 2, month=2)
    assert market.submit(EXCHANGE, second, first, second) == [Refusal.PASS, Refusal.REPLAYED, Refusal.REPLAYED]
    assert market.state().book.numbers == {EXCHANGE: 2}
    assert market.state().text() == market.store.states[-1]
    assert market.submit(EXCHANGE, second) == [Refusal.REPLAYED]


WRONG = {
    Refusal.MALFORMED: lambda w: b"nonsense",
    Refusal.UNKNOWN_PARTY: lambda w: parties.payload(w, "nobody", 1),
    Refusal.WRONG_ROLE: lambda w: parties.payload(w, PLANT, 1),
    Refusal.NOT_SIGNED: lambda w: parties.payload(w, EXCHANGE, 1, signers=(EXCHANGE, "nobody")),
}


@pytest.mark.parametrize("refusal", WRONG)
def test_what_the_evidence_half_refuses_is_recorded_and_changes_nothing(market: Market, refusal: Refusal) -> None:
    wrong = WRONG[refusal](market.world)
    assert market.submit(AUTHORITY, wrong, price(market, 1)) == [refusal, Refusal.PASS]
    refused = codec.decode("ledger-rejection", rejected(market.store.kept[-1])[0])
    assert (refused["submitter"], refused["stream"], refused["number"]) == (AUTHORITY, "submissions", 1)
    assert (refused["reason"], refused["payload"]) == (refusal.label, wrong)
    assert market.state().book.numbers == {EXCHANGE: 1}


def rejected(package: bytes) -> list[bytes]:
    return [value for topic, _, value in messages_of(package) if topic == topics.LEDGER_REJECTED]


def test_a_rule_that_stumbles_refuses_and_stops_nobody(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(*_: object) -> Refusal:
        raise KeyError("no such row")

    monkeypatch.setitem(claims.RULES, "price", stumbles)
    assert market.submit(EXCHANGE, price(market, 1), b"nonsense") == [Refusal.MALFORMED, Refusal.MALFORMED]
    assert market.state().book.numbers == {}


def test_a_book_that_stumbles_refuses_for_the_same_reason_on_every_member(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(*_: object) -> Refusal:
        raise KeyError("no such row")

    members = Market(), Market()
    monkeypatch.setitem(rules.RULES, "price", stumbles)
    for market in members:
        assert market.submit(EXCHANGE, price(market, 1)) == [Refusal.UNFORESEEN]
        assert codec.decode("ledger-rejection", rejected(market.store.kept[-1])[0])["reason"] == "unforeseen"
        assert market.state().book.lines() == []
    assert members[0].store.kept == members[1].store.kept


def test_whoever_brings_it_what_a_party_signed_counts(market: Market) -> None:
    assert market.submit(PLANT, price(market, 1)) == [Refusal.PASS]


def test_a_batch_is_signed_by_the_party_that_brings_it(market: Market) -> None:
    registries, channel = {0: market.world.registry}, market.world.channel
    for party, signer in ((EXCHANGE, PLANT), ("nobody", EXCHANGE), ("aggregator", "aggregator")):
        message = parties.message(market.world, party, 1, [price(market, 1)], signer)
        with pytest.raises(BatchError, match=r"not registered|not signed"):
            batches.verify(message, registries, channel, 10)


@pytest.mark.parametrize("payloads", [0, 3])
def test_a_batch_holds_at_least_one_and_no_more_than_a_block_takes(market: Market, payloads: int) -> None:
    message = parties.message(market.world, EXCHANGE, 1, [price(market, n + 1) for n in range(payloads)])
    with pytest.raises(BatchError, match="a batch holds 1 to 2"):
        batches.verify(message, {0: market.world.registry}, market.world.channel, 2)


@pytest.mark.parametrize("changes", [{"stream": "prices"}, {"kind": leaf.WINDOW_RECORD}, {"kind": 5}])
def test_submissions_have_a_stream_of_their_own(market: Market, changes: dict[str, object]) -> None:
    body = codec.decode("proposal", parties.message(market.world, EXCHANGE, 1, [price(market, 1)]))["body"]
    with pytest.raises(BatchError):
        batches.decode(codec.encode_bare("batch", codec.decode_bare("batch", body) | changes))


def test_under_a_registry_that_is_not_in_force_it_is_refused(market: Market) -> None:
    put = entry(market.now, "parties", EXCHANGE, subject="plant")
    assert market.change(put) is Refusal.PASS
    market.until(AHEAD)
    assert market.submit(EXCHANGE, price(market, 1)) == [Refusal.OTHER_REGISTRY]
    assert market.state().book.numbers == {}
    assert market.submit(EXCHANGE, price(market, 1), registry_height=1 + AHEAD) == [Refusal.PASS]


def test_a_party_that_was_dropped_brings_nothing_more(market: Market) -> None:
    payload = registrars.record(market.world, market.now, 1 + AHEAD, drop=[("parties", EXCHANGE)])
    market.order(registrars.batch(payload))
    market.until(AHEAD)
    with pytest.raises(BatchError, match="not registered"):
        batches.verify(
            parties.message(market.world, EXCHANGE, 1, [price(market, 1)], registry_height=1 + AHEAD),
            market.ledger.registries,
            market.world.channel,
            10,
        )
    market.world.registry = market.now
    late = market.submit(AUTHORITY, price(market, 1), registry_height=1 + AHEAD)
    assert late == [Refusal.UNKNOWN_PARTY]


def test_submissions_and_windows_share_a_block_and_the_genesis_alone_replays_it(market: Market) -> None:
    brought = parties.batch(market.world, EXCHANGE, 1, [price(market, 1), b"", price(market, 1)])
    verdicts = market.order(market.windows(0, 1), brought, market.windows(1, 1))
    assert [refusal for refusal, _ in verdicts] == [
        *[Refusal.PASS] * 3,
        *(Refusal.PASS, Refusal.MALFORMED, Refusal.REPLAYED),
        *[Refusal.PASS] * 3,
    ]
    market.order(parties.batch(market.world, EXCHANGE, 2, [price(market, 1)]))
    report = verify(market.world.genesis, market.store.kept)
    assert (report.refused, report.height, report.balances) == ("", 2, market.ledger.balances)
    lagging = Ledger(market.world.genesis, market.world.registry, MemoryStore())
    for package in market.store.kept:
        assert lagging.install(package)
    again = Ledger(market.world.genesis, market.world.registry, market.store)
    assert lagging._state.text() == again._state.text() == market.store.states[-1]
    assert again.stream_head(EXCHANGE, "submissions") == 2


def test_a_year_is_over_at_the_channels_offset_for_everybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For a member, for one that takes its blocks, for who has the genesis alone, and for one that mends its copy."""
    monkeypatch.setattr(small, "genesis_bytes", partial(small.genesis_bytes, utc_offset_minutes=480))
    market = Market()
    market.time_ms = calendar.year_start(2017, 480)
    source = {"source": "boiler", "gas": "CO2", "scope": 1, "emission_g": 5}
    found = {"subject": "plant", "year": 2016, "emissions_g": 5, "sources": [source], "document": bytes(32)}
    payload = parties.payload(market.world, VERIFIER, 1, "verification", found)
    file = LedgerFile(tmp_path / "ledger.sqlite")
    for party, said in ((VERIFIER, payload), (EXCHANGE, price(market, 1))):
        assert market.submit(party, said) == [Refusal.PASS]
        assert market.store.after is not None
        file.keep(market.store.kept[-1], *market.store.after)
    assert verify(market.world.genesis, market.store.kept).refused == ""
    lagging = Ledger(market.world.genesis, market.world.registry, MemoryStore())
    assert all(lagging.install(package) for package in market.store.kept)
    file._cut(market.world.genesis, 1)
    kept = file.resume()
    assert kept is not None and kept[1] == market.store.states[0]
    file.close()


def test_the_genesis_alone_sees_that_a_verdict_of_the_book_is_wrong(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.submit(EXCHANGE, price(market, 1))
    with monkeypatch.context() as lying:
        lying.setattr(State, "submit", lambda *_: Refusal.PASS)
        assert market.submit(EXCHANGE, price(market, 1)) == [Refusal.PASS]
    report = verify(market.world.genesis, market.store.kept)
    assert (report.height, report.refused) == (1, "leaf 1: its verdict does not follow from the ledger")


def test_all_members_say_the_same_of_it(market: Market) -> None:
    batch = parties.batch(market.world, EXCHANGE, 1, [price(market, 1), b"", parties.payload(market.world, PLANT, 1)])
    contracts = [Contract(market.world.genesis, World.make(parties=PARTIES).registry) for _ in range(2)]
    said = [contract.judge(batch, market.evidence) for contract in contracts]
    assert all(one == other for one, other in pairwise(said))
    assert [ruling.refusal for ruling in said[0]] == [Refusal.PASS, Refusal.MALFORMED, Refusal.WRONG_ROLE]
    assert all(len(ruling.salt) == records.SALT_BYTES for ruling in said[0])


def test_a_partys_id_can_stand_in_a_code_and_is_no_submitters() -> None:
    key = PARTIES[0]["key"]
    for name in ("two words", "", "Bank", "aggregator"):
        wrong = {"id": name, "key": key, "role": "regulator", "subject": None}
        with pytest.raises(RegistryError, match="small letters"):
            World.make(parties=[wrong])


def test_readers_of_the_topics_go_on_over_submissions(market: Market) -> None:
    brought = parties.batch(market.world, EXCHANGE, 1, [price(market, 1), b"", price(market, 1), price(market, 1)])
    market.order(market.windows(0, 1), brought)
    market.order(market.windows(1, 1))
    reader = LedgerReader(Follower(market.world.genesis))
    feed = LedgerFeed(Follower(market.world.genesis), Reference.of(market.world.registry))
    for offset, (topic, key, value) in enumerate(m for p in market.store.kept for m in messages_of(p)):
        if topic == topics.LEDGER_PAYLOADS:
            reader.offer_payload(key, value, offset)
        elif topic == topics.LEDGER_BLOCKS:
            reader.offer_block(value, offset)
        if topic != topics.LEDGER_REJECTED:
            feed.take(Message(topic, 0, offset, value))
    assert [len(block.leaves) for block in reader.ready()] == [7, 3]
    assert (len(feed._records), len(feed._blocks)) == (6, 2)
