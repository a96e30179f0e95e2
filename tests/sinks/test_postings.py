"""Table postings: what each block posted, by everybody's books, once, whatever was killed when."""

from typing import Any

import pytest

from carbon import record as records
from carbon import submission
from carbon.ledger.books import Books
from carbon.refusal import Refusal
from consensus.log.follower import Follower
from consensus.log.leaf import SUBMISSION, WINDOW_RECORD, decode, split
from consensus.member.publisher import messages_of
from schemas import codec, topics
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.reference import Reference
from tests import parties
from tests.consensus.test_submission import Market
from tests.parties import AUTHORITY, PLANT
from tests.sinks.messages import Topic
from tests.small import HOUR, START

ALLOCATION = {
    "subject": "plant", "year": 2016, "stage": "PRE", "amount_g": 700, "outputs": [], "share_percent": 100,
    "cut_g": 0, "decision": [], "allowed": [],
}  # fmt: skip
DECISION = {
    "subject": "plant", "year": 2015, "rule": "reduction", "outcome": "reward", "amount_fen": -5, "cut_g": 0,
    "reasons": "declared", "records": [],
}  # fmt: skip
BILL = {
    "subject": "plant", "source": "grid", "start": START, "end": START + 31 * 24 * HOUR, "quantity": 1_000, "scale": 0,
    "unit": "kWh", "emission_g": 530_600, "allowed": [], "document": bytes(32),
    "rule": [{"name": "factor", "value": "grid_factors.CN.national.2023"},
             {"name": "rule", "value": "purchased_electricity"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def market() -> Market:
    """Windows, an allocation and a bill, windows, one again that is refused beside a decision, and a null block."""
    made = Market()
    made.order(made.windows(0, 2, 0))
    bill = BILL | {"factors": made.world.registry.factors.digest}
    given, billed = (AUTHORITY, 1, "allocation", ALLOCATION), (PLANT, 1, "activity", bill)
    payloads = [parties.payload(made.world, *each) for each in (given, billed)]
    assert made.submit(AUTHORITY, *payloads) == [Refusal.PASS, Refusal.PASS]
    made.order(made.windows(2, 1, 0))
    payloads = [
        parties.payload(made.world, AUTHORITY, number, kind, content)
        for number, kind, content in ((2, "allocation", ALLOCATION), (3, "decision", DECISION))
    ]
    assert made.submit(PLANT, *payloads) == [Refusal.ALREADY_ALLOCATED, Refusal.PASS]
    made.order()
    return made


def books_of(market: Market) -> Books:
    """The books by hand, one record and submission after the other."""
    books = Books(market.world.genesis.utc_offset_minutes)
    for height, package in enumerate(market.store.kept, 1):
        fields = codec.decode_bare("block-package", package)
        block = codec.decode("block", fields["block"])
        time_ms = codec.decode_bare("block-header", block["header"])["time"]
        for leaf, payload in zip(map(decode, split(block["leaves"])), fields["payloads"], strict=True):
            if leaf.accepted and leaf.kind == WINDOW_RECORD:
                books.post(records.read(payload), height)
            elif leaf.accepted and leaf.kind == SUBMISSION:
                books.apply(submission.read(payload), time_ms, height)
    return books


def run(client: Any, market: Market, heights: int = 99) -> LedgerFeed:
    """A sink's life, with a flush behind every block; what it let go it reads again at the end."""
    reader = LedgerFeed(Follower(market.world.genesis), Reference.of(market.world.registry))
    reader.resume(client)
    payloads, blocks, read = Topic(topics.LEDGER_PAYLOADS), Topic(topics.LEDGER_BLOCKS), []
    for package in market.store.kept[:heights]:
        for topic, _, value in messages_of(package):
            if topic == topics.LEDGER_PAYLOADS:
                read.append(payloads.put(value))
                reader.take(read[-1])
            elif topic == topics.LEDGER_BLOCKS:
                reader.take(blocks.put(value))
        reader.flush(client)
    while (offset := reader.read_payloads_again()) is not None:
        for message in read[offset:]:
            reader.take(message)
        reader.flush(client)
    return reader


SUMS = "SELECT account, sum(debit), sum(credit), sum(records), max(height), argMax(balance, (height, place)) "
SUMS += "FROM postings GROUP BY account ORDER BY account"
ROWS = "SELECT * FROM postings ORDER BY height, place"


def test_rows_add_up_to_the_books_and_end_at_what_each_account_holds(client: Any, market: Market) -> None:
    run(client, market)
    assert client.query(SUMS).result_rows == [
        (one.account, one.debit_g, one.credit_g, one.records, one.height, one.balance) for one in books_of(market)
    ]
    per_unit = "SELECT unit, sum(debit) = sum(credit) FROM postings GROUP BY unit ORDER BY unit"
    assert client.query(per_unit).result_rows == [("fen", 1), ("g", 1)]
    _check_causes(client)


def _check_causes(client: Any) -> None:
    """Each row says what caused it, and with whom."""
    names = "height, account, kind, unit, cause, counterparty, records, debit, credit, balance, leaf_index, code != ''"
    rows = client.query(f"SELECT {names} FROM postings WHERE subject = 'plant' ORDER BY height, place").result_rows
    first, owed, given, _, billed, *_, rewarded = rows
    assert first[:7] == (1, "emissions:plant:2016:combustion", "emissions", "g", "record", "", 6)
    assert (first[7], first[8:]) == (owed[8], (0, first[7], None, 0))
    assert given == (2, "allowances:plant:2016", "allowances", "g", "allocation", AUTHORITY, 1, 700, 0, 700, 6, 1)
    assert billed[:6] == (2, "obligation:plant:2016", "obligation", "g", "activity", PLANT)
    assert billed[6:] == (1, 0, 530_600, owed[8] + 530_600, 7, 1)
    assert rewarded == (4, "rewards:plant:2015", "rewards", "fen", "decision", AUTHORITY, 1, 0, 5, 5, 12, 1)


@pytest.mark.parametrize(("heights", "noted"), [(1, 3), (3, 2)])
def test_a_restart_goes_on_from_the_rows(client: Any, market: Market, heights: int, noted: int) -> None:
    """The book is noted at the first flush and where it changed, and from a restart on not from before."""
    run(client, market, heights)
    assert run(client, market)._poster._books.accounts == {one.account: one for one in books_of(market)}
    assert client.query("SELECT count(), uniqExact(height, place) FROM postings").first_row == (10, 10)
    assert client.query("SELECT count() FROM ledger_book").first_row == (noted,)


@pytest.mark.parametrize("lost", ["ledger_book", "postings_log"])
def test_what_was_lost_is_posted_again(client: Any, market: Market, lost: str) -> None:
    run(client, market)
    wanted = client.query(ROWS).result_rows
    for table in ("ledger_position", lost):
        client.command(f"TRUNCATE TABLE {table}")
    run(client, market)
    assert client.query(ROWS).result_rows == wanted
