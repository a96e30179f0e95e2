"""Table ratings: the regulator's grades and colours, the same that its command shows, whatever was killed when."""

from typing import Any

import pytest

from carbon import factors, registry
from carbon.ledger.book import Book
from carbon.ledger.reads import Recorded, View
from carbon.ledger.statement import Cause
from carbon.refusal import Refusal
from carbon.regulator.oversight import Oversight
from carbon.submission import Submission
from consensus.log.leaf import SUBMISSION, WINDOW_RECORD, decode, split
from schemas import codec
from sinks.clickhouse.ratings import Overseer
from tests import parties
from tests.consensus.test_submission import Market
from tests.parties import AUTHORITY, PLANT
from tests.sinks import test_postings
from tests.sinks.test_postings import ALLOCATION, BILL, DECISION
from tests.small import HOUR, START, registry_bytes

NAMES = "subject, emission_g, verified, grade, grade_why, colour, colour_why"
RATINGS = f"SELECT {NAMES} FROM ratings WHERE region = 'region' AND year = %d ORDER BY subject"
FALSE = DECISION | {"year": 2016, "rule": "false_data", "outcome": "fine", "amount_fen": 5}


@pytest.fixture(scope="module")
def market() -> Market:
    """Windows, a bill and an allocation; windows; a decision on false data, which turns the colour."""
    made = Market()
    made.order(made.windows(0, 2, 0))
    bill = BILL | {"factors": made.world.registry.factors.digest}
    first = [parties.payload(made.world, AUTHORITY, 1, "allocation", ALLOCATION)]
    first.append(parties.payload(made.world, PLANT, 1, "activity", bill))
    assert made.submit(AUTHORITY, *first) == [Refusal.PASS, Refusal.PASS]
    made.order(made.windows(2, 1, 0))
    assert made.submit(AUTHORITY, parties.payload(made.world, AUTHORITY, 2, "decision", FALSE)) == [Refusal.PASS]
    return made


def run(client: Any, market: Market, heights: int = 99) -> None:
    """A sink's life, up to the last ratings that it owes."""
    reader = test_postings.run(client, market, heights)
    while reader.waiting:
        reader.flush(client)


def overseen(market: Market, year: int, heights: int = 99) -> list[tuple[Any, ...]]:
    """What `regulator ranking` shows of the ledger up to a height."""
    view = View.at_genesis(market.world.registry, 0)
    for height, package in enumerate(market.store.kept[:heights], 1):
        fields = codec.decode_bare("block-package", package)
        block = codec.decode("block", fields["block"])
        cause = Cause(height, codec.decode_bare("block-header", block["header"])["time"], "")
        for leaf, payload in zip(map(decode, split(block["leaves"])), fields["payloads"], strict=True):
            if leaf.accepted and leaf.kind == WINDOW_RECORD:
                view.records([Recorded(leaf.commitment, payload)], cause)
            elif leaf.accepted and leaf.kind == SUBMISSION:
                view.submission(Recorded(leaf.commitment, payload), cause)
        view.stand(height, cause.time_ms)
    names = ("subject", "emission_g", "verified", "grade", "grade_why", "colour", "why")
    return [tuple(row[name] for name in names) for row in Oversight.of(view, "region", year).ranking()]


def test_ratings_are_what_the_rules_say_of_the_ledger(client: Any, market: Market) -> None:
    run(client, market)
    (row,) = client.query(RATINGS % 2016).result_rows
    assert [row] == overseen(market, 2016)
    assert (row[0], row[5]) == ("plant", "red") and "false_data 1" in row[6]
    assert row[1] == market.ledger.balances["plant"] + BILL["emission_g"]
    standing = client.query("SELECT DISTINCT grade_standing, colour_standing FROM ratings").result_rows
    assert all("issued by no authority" in text for text in standing[0])


@pytest.mark.parametrize("heights", [1, 2, 3])
def test_a_restart_goes_on_rating_from_the_tables(client: Any, market: Market, heights: int) -> None:
    run(client, market, heights)
    assert client.query(RATINGS % 2016).result_rows == overseen(market, 2016, heights)
    run(client, market)
    assert client.query(RATINGS % 2016).result_rows == overseen(market, 2016)


def test_what_stays_is_not_written_again(client: Any, market: Market) -> None:
    run(client, market)
    before = client.query("SELECT count(), max(height) FROM ratings_log").first_row
    run(client, market)
    assert client.query("SELECT count(), max(height) FROM ratings_log").first_row == before


def test_a_lost_position_rates_from_the_start(client: Any, market: Market) -> None:
    run(client, market)
    client.command("TRUNCATE TABLE ledger_position")
    run(client, market, 2)
    assert client.query(RATINGS % 2016).result_rows == overseen(market, 2016, 2)


def test_a_subject_that_moves_leaves_its_region(client: Any) -> None:
    places = [{"id": name, "name": name, "kind": "region", "parent": None} for name in ("north", "south")]
    works = {"id": "plant", "name": "Works", "kind": "enterprise", "parent": "north"}
    before, after = (
        registry.parse(registry_bytes(subjects=[*places, works | {"parent": name}]), factors.load())
        for name in ("north", "south")
    )
    overseer = Overseer(0)
    stated = {"subject": "plant", "start": START, "end": START + HOUR, "amount_fen": 5}
    overseer.submission(Submission("office", 1, "gdp", stated, b"", b"", ()), START)
    regions = "SELECT region, subject, height FROM ratings"
    for height, known, place in ((1, before, "north"), (2, before, "north"), (3, after, "south")):
        overseer.write(client, known, Book(), height, START)
        assert client.query(regions).result_rows == [(place, "plant", 1 if height < 3 else 3)]
