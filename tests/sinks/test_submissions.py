"""The sink over submissions: every one once, with its verdict, whatever was killed when."""

import json
from typing import Any

import pytest

from carbon.calendar import year_start
from consensus.log.follower import Follower
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.reference import Reference
from tests import parties
from tests.consensus.test_submission import Market, price
from tests.parties import EXCHANGE, PLANT
from tests.sinks.test_postings import run

PLAN = {
    "subject": "plant",
    "year": 2016,
    "months": [{"emission_g": 100 * month, "output": month} for month in range(1, 13)],
    "product": "electricity",
    "scale": 3,
    "unit": "MWh",
}


@pytest.fixture(scope="module")
def market() -> Market:
    """Blocks of window records, of a price, of what is refused, of two plans and of a transfer that lacks the buyer."""
    made = Market()
    made.order(made.windows(0, 2, 0))
    made.submit(EXCHANGE, price(made, 1))
    made.order(made.windows(2, 1, 0))
    plans = [PLAN, PLAN | {"months": [month | {"emission_g": 7} for month in PLAN["months"]]}]
    made.submit(
        PLANT,
        b"nonsense",
        parties.payload(made.world, PLANT, 1),
        *(parties.payload(made.world, PLANT, number, "plan", plan) for number, plan in enumerate(plans, 2)),
    )
    return made


def feed(client: Any, market: Market) -> LedgerFeed:
    found = LedgerFeed(Follower(market.world.genesis), Reference.of(market.world.registry))
    found.resume(client)
    return found


def test_a_row_says_who_stated_what_and_what_became_of_it(client: Any, market: Market) -> None:
    run(client, market)
    names = ("height", "verdict", "reason", "party", "number", "kind", "subject", "signers")
    assert client.query(f"SELECT {', '.join(names)} FROM submissions ORDER BY leaf_index").result_rows == [
        (2, "accepted", "", EXCHANGE, 1, "price", "", [EXCHANGE]),
        (4, "rejected", "malformed", "", 0, "", "", []),
        (4, "rejected", "wrong_role", PLANT, 1, "price", "", [PLANT]),
        (4, "accepted", "", PLANT, 2, "plan", "plant", [PLANT]),
        (4, "accepted", "", PLANT, 3, "plan", "plant", [PLANT]),
    ]
    stated, at = client.query(
        "SELECT content, toUnixTimestamp64Milli(time) FROM submissions WHERE kind = 'price' AND height = 2"
    ).first_row
    assert (json.loads(stated), at) == (parties.PRICE, Market.time_ms)
    leaf = market.leaves()[-1]
    assert client.query("SELECT commitment FROM submissions ORDER BY leaf_index DESC LIMIT 1").first_row == (
        leaf.commitment.hex(),
    )
    _check_plans(client)


def _check_plans(client: Any) -> None:
    """The newest of a year counts."""
    rows = client.query(
        "SELECT subject, year, month, output, output_scale, output_unit, emission_g FROM plans ORDER BY month"
    )
    assert rows.result_rows == [("plant", 2016, month, month, 3, "MWh", 7) for month in range(1, 13)]


@pytest.mark.parametrize("lost", ["ledger_position", "submissions_log"])
def test_a_crash_before_its_rows_or_behind_them_leaves_every_submission_once(
    client: Any, market: Market, lost: str
) -> None:
    run(client, market)
    wanted = client.query("SELECT * FROM submissions ORDER BY leaf_index").result_rows
    client.command("TRUNCATE TABLE ledger_position")
    client.command(f"TRUNCATE TABLE {lost}")
    run(client, market)
    assert client.query("SELECT * FROM submissions ORDER BY leaf_index").result_rows == wanted
    assert client.query("SELECT count() FROM records").first_row == (9,)
    # a ledger that ends with submissions is not verified again
    assert feed(client, market)._follower.height == len(market.store.kept)


def test_a_row_says_of_when_it_is(client: Any, market: Market) -> None:
    """Of the end of its year in the channel's days; of its block where it is no submission."""
    run(client, market)
    rows = (
        "SELECT kind, toUnixTimestamp64Milli(about), toUnixTimestamp64Milli(time) FROM submissions ORDER BY leaf_index"
    )
    found = client.query(rows).result_rows
    end = year_start(2017, market.world.genesis.utc_offset_minutes) - 1
    assert [about == (time if kind == "" else end) for kind, about, time in found] == [True] * 5
