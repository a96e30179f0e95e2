"""The state half of submissions: each rule at its boundary, and that a refusal changes nothing."""

from collections import Counter
from typing import Any

import pytest

from carbon import calendar, compliance, factors
from carbon.ledger import standing
from carbon.ledger.book import Book
from carbon.ledger.chart import account, balances
from carbon.refusal import Refusal
from tests.carbon.ledger.desk import CREDITS, REGULATOR, TONNE, VERIFIER, Desk, content_of, stated

PASS = Refusal.PASS


@pytest.fixture
def desk() -> Desk:
    return Desk()


def verified(desk: Desk, emissions: int = 90, allowances: int = 100) -> Desk:
    """A subject `a` with allowances and a verified year, in tonnes."""
    assert desk.state("allocation", amount_g=allowances * TONNE) is PASS
    assert desk.state("verification", emissions_g=emissions * TONNE) is PASS
    return desk


def surrender(desk: Desk, *lines: tuple[int, int]) -> Refusal:
    """Tonnes by vintage."""
    return desk.state("surrender", lines=[{"vintage": year, "amount_g": tonnes * TONNE} for year, tonnes in lines])


def held(desk: Desk, kind: str, *parts: Any) -> int:
    return desk.book.held(kind, "a", *parts)


def test_a_number_counts_once_and_what_was_refused_is_not_in_the_way(desk: Desk) -> None:
    first = stated("a", 3, "plan", content_of("plan"))
    assert [desk.take(first), desk.take(first)] == [PASS, Refusal.REPLAYED]
    assert desk.take(stated("a", 2, "plan", content_of("plan"))) is Refusal.REPLAYED
    assert desk.take(stated("a", 9, "transfer", content_of("transfer"))) is Refusal.OVER_BALANCE
    assert desk.take(stated("a", 4, "plan", content_of("plan"))) is PASS


def test_final_posts_the_difference_to_what_was_given_in_advance(desk: Desk) -> None:
    assert desk.state("allocation", amount_g=70 * TONNE) is PASS
    assert desk.state("allocation") is Refusal.ALREADY_ALLOCATED
    assert desk.state("allocation", stage="FINAL", amount_g=65 * TONNE) is PASS
    assert (held(desk, "allowances", 2023), desk.book.held("issued", "", 2023)) == (65 * TONNE, 65 * TONNE)
    for stage in ("PRE", "FINAL"):
        assert desk.state("allocation", stage=stage) is Refusal.ALREADY_ALLOCATED


def test_what_was_given_in_advance_and_sold_cant_be_taken_back_by_final(desk: Desk) -> None:
    desk.state("allocation")
    desk.state("transfer", amount_g=50 * TONNE)
    assert desk.state("allocation", stage="FINAL", amount_g=49 * TONNE) is Refusal.OVER_BALANCE
    assert desk.state("allocation", stage="FINAL", amount_g=50 * TONNE) is PASS


def test_allowances_are_given_for_next_year_at_most(desk: Desk) -> None:
    assert desk.state("allocation", year=2026) is Refusal.IN_FUTURE
    assert desk.state("allocation", year=2025) is PASS


def test_a_transfer_moves_what_the_seller_has_and_no_gram_more(desk: Desk) -> None:
    desk.state("allocation")
    assert desk.state("transfer", amount_g=100 * TONNE + 1) is Refusal.OVER_BALANCE
    assert desk.state("transfer", vintage=2022) is Refusal.OVER_BALANCE
    assert desk.state("transfer", amount_g=100 * TONNE) is PASS
    assert desk.book.held("allowances", "b", 2023) == 100 * TONNE
    assert held(desk, "traded", 2023) == -desk.book.held("traded", "b", 2023) == 100 * TONNE


def test_a_surrender_is_of_what_is_held_verified_due_and_not_of_a_later_vintage(desk: Desk) -> None:
    desk.state("allocation", year=2022, amount_g=5 * TONNE)
    desk.state("allocation", amount_g=100 * TONNE)
    desk.state("allocation", year=2024)
    assert surrender(desk, (2023, 1)) is Refusal.NOT_VERIFIED
    desk.state("verification", emissions_g=101 * TONNE)
    assert surrender(desk, (2024, 1)) is Refusal.OVER_BALANCE
    assert surrender(desk, (2022, 6), (2023, 1)) is Refusal.OVER_BALANCE
    assert surrender(desk, (2022, 4), (2023, 98)) is Refusal.ALREADY_SURRENDERED
    assert surrender(desk, (2022, 4), (2023, 97)) is PASS
    assert surrender(desk, (2022, 1)) is Refusal.ALREADY_SURRENDERED
    assert held(desk, "surrendered", 2023) == 101 * TONNE


def test_a_year_is_verified_once_it_is_over_and_once(desk: Desk) -> None:
    assert desk.state("verification", year=2024) is Refusal.IN_FUTURE
    assert desk.state("verification") is PASS
    assert desk.state("verification") is Refusal.ALREADY_VERIFIED
    assert desk.take_back(VERIFIER, 2) is PASS
    assert desk.state("verification", emissions_g=80 * TONNE) is PASS
    assert held(desk, "due", 2023) == 80 * TONNE


def test_a_year_is_over_at_the_channels_offset() -> None:
    end = calendar.year_start(2024, 480)
    for at, refusal in ((end - 1, Refusal.IN_FUTURE), (end, PASS)):
        assert Desk(Book(480)).state("verification", at=at) is refusal


def test_credits_are_issued_once_and_retired_once(desk: Desk) -> None:
    assert desk.state("offset", vintage=2025) is Refusal.IN_FUTURE
    assert desk.state("offset") is PASS
    for first, refusal in ((100, Refusal.ALREADY_ISSUED), (101, PASS)):
        assert desk.state("offset", "b", first=first) is refusal
    assert desk.state("offset", scheme="other") is PASS
    assert desk.state("retirement", first=51, count=50) is PASS
    assert desk.state("retirement", first=100, count=2) is Refusal.ALREADY_RETIRED
    assert desk.state("retirement", first=40, count=12) is Refusal.ALREADY_RETIRED
    assert desk.state("retirement", first=101) is Refusal.OVER_BALANCE
    assert desk.state("retirement", first=1, year=2025) is Refusal.IN_FUTURE
    assert desk.state("retirement", first=1, count=50) is PASS
    assert (held(desk, "offsets", "CCER"), held(desk, "retired", 2023, "voluntary")) == (0, 100)
    assert desk.state("offset", "b") is Refusal.ALREADY_ISSUED, "a retired number is issued for ever"


def test_credits_meet_a_twentieth_of_the_need_and_no_credit_more(desk: Desk) -> None:
    desk.state("offset")
    compliance = {"purpose": "COMPLIANCE"}
    assert desk.state("retirement", **compliance) is Refusal.NOT_VERIFIED
    verified(desk, emissions=99)
    assert desk.state("retirement", count=5, **compliance) is Refusal.OVER_CAP
    assert desk.state("retirement", count=4, **compliance) is PASS
    assert desk.state("retirement", first=5, **compliance) is Refusal.OVER_CAP
    assert desk.book.open_need("a", 2023) == 95 * TONNE


def test_credits_meet_no_more_than_is_due(desk: Desk) -> None:
    desk.state("offset")
    verified(desk, emissions=100)
    assert surrender(desk, (2023, 97)) is PASS
    assert desk.state("retirement", count=4, purpose="COMPLIANCE") is Refusal.ALREADY_SURRENDERED
    assert desk.state("retirement", count=3, purpose="COMPLIANCE") is PASS


def test_a_set_of_numbers_is_not_broken_into_too_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MOST_RANGES_ELSE", 2)
    desk.state("offset")
    assert desk.state("retirement", first=10) is PASS
    assert desk.state("retirement", first=20) is Refusal.FRAGMENTED
    assert desk.state("retirement", first=11) is PASS


def test_a_closing_states_what_the_book_has(desk: Desk) -> None:
    assert desk.state("closing") is Refusal.NOT_VERIFIED
    verified(desk)
    surrender(desk, (2023, 80))
    right = {"shortfall_g": 10 * TONNE, "banked_g": 20 * TONNE}
    for name in ("shortfall_g", "banked_g", "expired_g", "net_sold_g"):
        wrong = right | {name: right.get(name, 0) + 1}
        assert desk.state("closing", **wrong) is Refusal.WRONG_BALANCE, name
    assert desk.state("closing", **right) is PASS
    assert (held(desk, "due", 2023), held(desk, "shortfall", 2023)) == (80 * TONNE, 10 * TONNE)
    assert (held(desk, "allowances", 2023), held(desk, "banked", 2023)) == (0, 20 * TONNE)


def test_years_are_closed_in_their_order(desk: Desk) -> None:
    """Or an earlier year's shortfall would never be recorded."""
    desk.state("verification", year=2022, emissions_g=TONNE)
    verified(desk, emissions=0)
    assert desk.state("closing", banked_g=100 * TONNE) is Refusal.EARLIER_YEAR_OPEN
    assert desk.state("closing", year=2022, shortfall_g=TONNE) is PASS
    assert desk.state("closing", banked_g=100 * TONNE) is PASS


def test_what_is_beyond_the_cap_expires_the_oldest_first(desk: Desk) -> None:
    desk.state("allocation", year=2022, amount_g=4_000 * TONNE)
    verified(desk, emissions=0, allowances=20_000)
    desk.state("transfer", amount_g=2_000 * TONNE)
    cap = 10_000 + 3_000
    stated_ = {"banked_g": cap * TONNE, "expired_g": (22_000 - cap) * TONNE, "net_sold_g": 2_000 * TONNE}
    assert desk.state("closing", **stated_) is PASS
    assert desk.book.holdings("a", 2023) == {2023: (cap * TONNE, 0)}
    assert held(desk, "expired", 2023) == 9_000 * TONNE


def test_what_was_carried_on_expires_before_what_came_later(desk: Desk) -> None:
    verified(desk, emissions=0)
    desk.state("closing", banked_g=100 * TONNE)
    later = calendar.year_start(2025, 0)
    desk.state("allocation", year=2024, amount_g=9_960 * TONNE)
    desk.state("verification", year=2024, emissions_g=0, at=later)
    stated_ = {"year": 2024, "banked_g": 10_000 * TONNE, "expired_g": 60 * TONNE}
    assert desk.state("closing", **stated_, at=later) is PASS
    assert desk.book.holdings("a", 2024) == {2023: (40 * TONNE, 0), 2024: (9_960 * TONNE, 0)}


def test_net_sales_are_rounded_half_even(desk: Desk) -> None:
    desk.state("allocation", amount_g=3)
    desk.state("transfer", amount_g=1)
    assert desk.book.banking_cap("a", 2023) == 10_000 * TONNE + 2
    assert desk.book.banking_cap("b", 2023) == 10_000 * TONNE, "who bought more has sold nothing"


@pytest.mark.parametrize("amount", [0, 1, 3, 19_999_999, 20_000_000, 10**12 + 1])
def test_the_caps_are_those_of_the_factor_set(desk: Desk, amount: int) -> None:
    shipped = factors.load()
    desk.book.balances[account("traded", "a", 2023)] = amount
    assert desk.book.banking_cap("a", 2023) == compliance.banking_cap_g(2023, amount, shipped)
    desk.book.balances[account("due", "a", 2023)] = -amount
    desk.book.balances[account("retired", "a", 2023, "compliance")] = 10**9
    assert desk.book.credited("a", 2023) == TONNE * compliance.offset_cap(amount, shipped)


def test_banked_allowances_are_surrendered_and_sold_first(desk: Desk) -> None:
    verified(desk, emissions=0)
    desk.state("closing", banked_g=100 * TONNE)
    desk.state("allocation", year=2024, amount_g=TONNE)
    assert desk.state("transfer", amount_g=30 * TONNE) is PASS
    assert (held(desk, "banked", 2023), desk.book.held("allowances", "b", 2023)) == (70 * TONNE, 30 * TONNE)
    later = calendar.month_start(2025, 7, 0)
    desk.state("verification", year=2024, emissions_g=70 * TONNE, at=later)
    lines = [{"vintage": 2023, "amount_g": 70 * TONNE}]
    assert desk.state("surrender", year=2024, lines=lines, at=later) is PASS


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("allocation", {"year": 2022}),
        ("allocation", {"stage": "FINAL"}),
        ("verification", {}),
        ("surrender", {}),
        ("retirement", {"purpose": "COMPLIANCE"}),
        ("reduction", {}),
        ("plan", {"year": 2023}),
        ("closing", {"banked_g": 100 * TONNE}),
    ],
)
def test_nothing_is_stated_on_a_closed_year(desk: Desk, kind: str, changes: dict[str, Any]) -> None:
    verified(desk, emissions=0)
    desk.state("offset")
    assert desk.state("closing", banked_g=100 * TONNE) is PASS
    assert desk.state(kind, **changes) is Refusal.YEAR_CLOSED
    assert desk.state(kind, "b", **changes) is not Refusal.YEAR_CLOSED, "another subject's is open"


def test_activity_of_a_closed_year_is_a_correction_in_the_open_one(desk: Desk) -> None:
    assert desk.state("activity") is PASS
    verified(desk, emissions=0)
    desk.state("closing", banked_g=100 * TONNE)
    assert desk.state("activity", source="kiln") is PASS
    assert held(desk, "emissions", 2023, "combustion") == 3 * TONNE
    assert held(desk, "corrections", 2024, "combustion") == 3 * TONNE
    assert held(desk, "obligation", 2024) == 3 * TONNE
    assert desk.take_back("a", 1) is PASS
    assert held(desk, "emissions", 2023, "combustion") == 3 * TONNE, "what is closed stays"
    assert held(desk, "obligation", 2024) == 0


@pytest.mark.parametrize("kind", ["activity", "output", "gdp", "laboratory"])
def test_periods_are_over_and_don_t_overlap(desk: Desk, kind: str) -> None:
    february, march, april, may = (calendar.month_start(2024, month, 0) for month in (2, 3, 4, 5))
    assert desk.state(kind, start=march, end=april, at=april - 1) is Refusal.IN_FUTURE
    assert desk.state(kind, start=march, end=april, at=april) is PASS
    for start, end in ((march, april), (february, march + 1), (april - 1, may)):
        assert desk.state(kind, start=start, end=end) is Refusal.OVERLAPS
    assert desk.state(kind, "b", start=march, end=april) is PASS
    assert [desk.state(kind, start=start, end=end) for start, end in ((february, march), (april, may))] == [PASS, PASS]
    assert desk.take_back("a", desk.accepted[0][0].number) is PASS
    assert desk.state(kind, start=march, end=april) is PASS


def test_a_price_is_of_a_month_that_is_over(desk: Desk) -> None:
    assert desk.state("price", month=7) is Refusal.IN_FUTURE
    assert desk.state("price", month=6) is PASS
    assert desk.state("price", month=12, at=calendar.year_start(2025, 0)) is PASS


def test_fines_and_rewards_stand_in_accounts_of_their_own(desk: Desk) -> None:
    assert desk.state("decision", year=2025) is Refusal.IN_FUTURE
    assert desk.state("decision", amount_fen=500) is PASS
    assert desk.state("decision", amount_fen=-200) is PASS
    assert (held(desk, "fines", 2023), held(desk, "rewards", 2023)) == (500, 200)
    assert desk.book.held("treasury", "", 2023) == 300


def cut(desk: Desk) -> bytes:
    """A decision to cut the allowances of 2024, and its commitment."""
    assert desk.state("decision", cut_g=7) is PASS
    return desk.accepted[-1][0].commitment


def test_a_cut_rests_on_a_decision_on_the_year_before_of_as_much_and_once(desk: Desk) -> None:
    final = {"year": 2024, "stage": "FINAL", "amount_g": 93, "cut_g": 7}
    decision = cut(desk)
    assert desk.state("decision", cut_g=1) is Refusal.ALREADY_DECIDED
    wrong = [
        {"decision": []},
        {"decision": [bytes(32)]},
        {"decision": [decision], "cut_g": 8},
        {"decision": [decision], "cut_g": 0},
        {"decision": [decision], "year": 2023},
        {"decision": [decision], "stage": "PRE"},
    ]
    for changes in wrong:
        assert desk.state("allocation", **final | changes) is Refusal.NO_DECISION
    assert desk.state("allocation", "b", **final, decision=[decision]) is Refusal.NO_DECISION
    assert desk.state("allocation", **final, decision=[decision]) is PASS
    assert held(desk, "allowances", 2024) == 93, "the amount is what is left after the cut"
    assert desk.take_back(REGULATOR, 1) is Refusal.NOT_REVERSIBLE, "it was taken off"
    assert desk.take_back(REGULATOR, desk.accepted[1][0].number) is PASS
    assert desk.state("allocation", **final, decision=[decision]) is PASS, "the decision stands again"


def test_a_decision_is_contested_by_a_reversal(desk: Desk) -> None:
    assert desk.state("decision", amount_fen=500, cut_g=7) is PASS
    assert desk.take_back(REGULATOR, 1) is PASS
    assert (held(desk, "fines", 2023), desk.book.cuts) == (0, {})


# -- taking back


def test_both_legs_are_mirrored_and_nothing_is_taken_back_twice(desk: Desk) -> None:
    desk.state("allocation")
    before = Counter(desk.book.balances)
    desk.state("transfer")
    reversal = desk.histories["a"].reversal(1, "wrong")
    assert desk.say("a", "reversal", reversal) is PASS
    assert Counter(desk.book.balances) == before
    assert [(p.account, p.debit, p.credit) for p in desk.entries[-1]] == [
        (p.account, p.credit, p.debit) for p in desk.entries[-2]
    ]
    assert desk.say("a", "reversal", reversal) is Refusal.NOT_REVERSIBLE


def test_a_reversal_proves_what_it_takes_back(desk: Desk) -> None:
    desk.state("allocation")
    for _ in range(5):
        desk.state("transfer", amount_g=TONNE)
    right = desk.histories["a"].reversal(2, "wrong")
    other = desk.histories["a"].reversal(3, "wrong")
    bigger = [{**row, "debit": 2 * row["debit"], "credit": 2 * row["credit"]} for row in right["postings"]]
    for changes in (
        {"number": 3},
        {"body": other["body"]},
        {"body": b"nonsense"},
        {"postings": bigger},
        {"place": 2},
        {"place": -1},
        {"place": 10**6},
        {"path": []},
        {"path": [b"", *right["path"][1:]]},
        {"path": other["path"]},
    ):
        assert desk.say("a", "reversal", right | changes) is Refusal.NOT_REVERSIBLE, changes
    assert desk.say("b", "reversal", right) is Refusal.NOT_REVERSIBLE, "another party's"
    assert desk.say("a", "reversal", right) is PASS


def test_what_was_refused_can_t_be_taken_back(desk: Desk) -> None:
    """A transfer that both signed and the book refused is no title to anything."""
    desk.state("allocation")
    desk.state("transfer", amount_g=TONNE)
    assert desk.state("transfer", amount_g=500 * TONNE) is Refusal.OVER_BALANCE
    refused = stated("a", 2, "transfer", content_of("transfer", amount_g=500 * TONNE))
    forged = desk.histories["a"].reversal(1, "wrong") | {"number": 2, "body": refused.body}
    assert desk.say("a", "reversal", forged) is Refusal.NOT_REVERSIBLE


@pytest.mark.parametrize(
    "kind", ["plan", "target", "weather", "price", "ruleset", "assessment", "retirement", "closing"]
)
def test_of_some_kinds_nothing_is_taken_back(desk: Desk, kind: str) -> None:
    verified(desk, emissions=0)
    desk.state("offset")
    changes = {"banked_g": 100 * TONNE} if kind == "closing" else {}
    assert desk.state(kind, **changes) is PASS
    said, entry = desk.accepted[-1][0], desk.entries[-1]
    rows = [{"account": one.account, "debit": one.debit, "credit": one.credit} for one in entry]
    content = {"number": said.number, "reason": "", "body": said.body, "postings": rows, "place": 0, "path": []}
    assert desk.say(said.party, "reversal", content) is Refusal.NOT_REVERSIBLE


def test_a_reversal_brings_no_account_below_zero(desk: Desk) -> None:
    desk.state("allocation")
    desk.state("transfer", amount_g=60 * TONNE)
    desk.state("transfer", "b", buyer="c", amount_g=1)
    assert desk.take_back("a", 1) is Refusal.OVER_BALANCE
    assert desk.take_back(REGULATOR, 1) is Refusal.OVER_BALANCE


def test_an_allocation_in_advance_goes_only_after_the_whole(desk: Desk) -> None:
    desk.state("allocation")
    desk.state("allocation", stage="FINAL", amount_g=120 * TONNE)
    assert desk.take_back(REGULATOR, 1) is Refusal.NOT_REVERSIBLE
    assert desk.take_back(REGULATOR, 2) is PASS
    assert held(desk, "allowances", 2023) == 100 * TONNE
    assert desk.take_back(REGULATOR, 1) is PASS
    assert (held(desk, "allowances", 2023), desk.book.allocated) == (0, {})


def test_an_issue_is_taken_back_while_its_credits_are_there(desk: Desk) -> None:
    desk.state("offset")
    desk.state("offset", first=201)
    desk.state("retirement", first=7)
    assert desk.take_back(CREDITS, 1) is Refusal.NOT_REVERSIBLE
    assert desk.take_back(CREDITS, 2) is PASS
    assert desk.state("offset", "b", first=201) is PASS


@pytest.mark.parametrize("kind", ["allocation", "verification", "surrender", "reduction"])
def test_what_a_closed_year_rests_on_stays(desk: Desk, kind: str) -> None:
    verified(desk)
    surrender(desk, (2023, 90))
    desk.state("reduction")
    assert desk.state("closing", banked_g=10 * TONNE) is PASS
    (said,) = (one for one, _ in desk.accepted if one.kind == kind)
    assert desk.take_back(said.party, said.number) is Refusal.YEAR_CLOSED


def test_what_was_retired_counts_within_the_cap_of_what_was_verified_last(desk: Desk) -> None:
    desk.state("offset")
    verified(desk, emissions=100)
    desk.state("retirement", count=5, purpose="COMPLIANCE")
    assert desk.take_back(VERIFIER, 1) is PASS
    assert desk.state("verification", emissions_g=60 * TONNE) is PASS
    assert desk.book.open_need("a", 2023) == 57 * TONNE


# -- the whole


def busy() -> Desk:
    """A book with something of everything."""
    desk = Desk(Book(480))
    desk.state("offset", scheme="C C:E%R")
    cut(desk)
    verified(desk)
    desk.state("allocation", "b:ü b", year=2024, stage="FINAL")
    desk.state("transfer")
    desk.state("retirement", scheme="C C:E%R", first=7)
    desk.state("activity")
    for source in ("kiln 1", "", "a:b"):
        desk.state("activity", source=source)
    desk.state("surrender", lines=[{"vintage": 2023, "amount_g": 80 * TONNE}])
    desk.state("closing", shortfall_g=10 * TONNE, banked_g=10 * TONNE, net_sold_g=10 * TONNE)
    assert len(desk.accepted) == 13
    return desk


def test_the_book_comes_back_from_its_lines() -> None:
    book = busy().book
    again = Book(480)
    for line in book.lines():
        word, *words = line.split(" ")
        assert (word, line.splitlines()) == ("book", [line])
        again.read_line(words)
    assert again == book and again.lines() == book.lines()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "number a",
        "account nobody:a 1",
        "account due:a:2023 x 1",
        "ranges issued 5-5",
        "ranges issued 1-3,2-4",
        "past a 3 00",
    ],
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Book().read_line(line.split(" "))


def test_every_entry_balances_and_a_refusal_changes_nothing() -> None:
    desk = busy()
    assert all(balances(entry) for entry in desk.entries)
    before = desk.book.lines()
    refused: dict[str, dict[str, Any]] = {
        "closing": {},
        "transfer": {"amount_g": 10**12},
        "surrender": {},
        "allocation": {},
        "offset": {"scheme": "C C:E%R"},
        "retirement": {},
        "activity": {},
        "verification": {},
        "decision": {"cut_g": 1},
    }
    for kind, changes in refused.items():
        assert desk.state(kind, **changes) is not PASS, kind
    assert desk.book.lines() == before
    again = Book(480)
    for line in before:
        again.read_line(line.split(" ")[1:])
    assert again == desk.book, "nor what its lines were not made of again"


def test_a_book_grows_with_accounts_and_not_with_submissions(desk: Desk) -> None:
    desk.state("allocation", amount_g=10**6 * TONNE)
    desk.state("allocation", "b", amount_g=10**6 * TONNE)

    def pass_on(times: int) -> int:
        for _ in range(times):
            assert desk.state("transfer", amount_g=TONNE) is PASS
            assert desk.state("transfer", "b", buyer="a", amount_g=TONNE) is PASS
        return len("\n".join(desk.book.lines()))

    few, many = pass_on(32), pass_on(480)
    assert many < few + 2 * 64 * 5 + 20, "a hash for each doubling, and longer numbers"


def test_what_readers_add_up_stays_inside_64_bits(desk: Desk) -> None:
    most = 2**62 - 1
    assert desk.state("allocation", amount_g=most + 1) is Refusal.OVER_BALANCE
    assert desk.state("allocation", amount_g=most) is PASS
    assert desk.state("allocation", "b", amount_g=1) is Refusal.OVER_BALANCE, "of all that is issued"


def test_what_goes_to_and_fro_adds_up_too(desk: Desk) -> None:
    third = 2**62 // 3
    desk.state("allocation", amount_g=third)
    steps = [desk.state("transfer", s, buyer=b, amount_g=third) for s, b in ("ab", "ba", "ab", "ba", "ab", "ba")]
    assert steps == [PASS] * 5 + [Refusal.OVER_BALANCE]
