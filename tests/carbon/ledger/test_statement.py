"""Statements: every line says why and what is left, and the last one is the balance."""

from collections import defaultdict
from typing import Any

from carbon.ledger import statement
from carbon.ledger.books import Books
from carbon.ledger.statement import Cause, Line
from carbon.refusal import Refusal
from tests.carbon.ledger.desk import NOW, REGULATOR, TONNE, Desk
from tests.carbon.ledger.records import HOUR, YEAR_2023, YEAR_2024, record


def told() -> tuple[Books, list[Line]]:
    """Records and submissions of two subjects, in the order of a ledger; the books after them and all lines."""
    desk, books, lines = Desk(), Books(), list[Line]()

    def metered(**fields: Any) -> None:
        at, one = len(lines), record("a", **fields)
        lines.extend(statement.of_record(books, one, books.post(one, at), Cause(at, NOW, f"record-{at}")))

    def stated(refusal: Refusal) -> None:
        assert refusal is Refusal.PASS
        at = len(lines)
        lines.extend(statement.of_submission(books, desk.accepted[-1][0], Cause(at, NOW, f"submission-{at}")))

    metered(grams=3 * TONNE)
    metered(grams=4 * TONNE, start=YEAR_2024 - HOUR)
    metered(grams=TONNE, before=4 * TONNE, start=YEAR_2024 - HOUR)
    stated(desk.state("allocation"))
    stated(desk.state("transfer"))
    stated(desk.state("activity"))
    stated(desk.take_back("a", 1))
    stated(desk.state("verification", emissions_g=0))
    stated(desk.state("closing", banked_g=100 * TONNE))
    metered(grams=5, start=YEAR_2023)
    stated(desk.state("activity", source="kiln"))
    stated(desk.take_back("a", 2))
    return books, lines


def test_the_running_balance_ends_at_what_the_account_holds() -> None:
    books, lines = told()
    books.audit()
    last: dict[str, int] = {}
    for line in lines:
        last[line.account] = line.balance
    assert last == {account.account: account.balance for account in books}


def test_each_line_adds_to_the_one_before_it() -> None:
    _, lines = told()
    moved: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        moved[line.account] += line.debit - line.credit
        assert abs(moved[line.account]) == abs(line.balance), line


def test_a_transfer_names_the_other_side_also_when_it_is_taken_back() -> None:
    _, lines = told()
    said = [
        (line.subject, line.counterparty, line.kind, line.debit - line.credit, line.takes_back)
        for line in lines
        if line.account.startswith("allowances:") and line.counterparty in ("a", "b")
    ]
    ten = 10 * TONNE
    assert said == [
        ("a", "b", "transfer", -ten, None),
        ("b", "a", "transfer", ten, None),
        ("a", "b", "reversal", ten, 1),
        ("b", "a", "reversal", -ten, 1),
    ]


def test_a_line_says_who_stated_it_and_where_it_stands() -> None:
    _, lines = told()
    allocated = next(line for line in lines if line.kind == "allocation")
    assert (allocated.counterparty, allocated.unit, allocated.cause.code) == (REGULATOR, "g", "submission-6")
    assert {line.counterparty for line in lines if line.kind == statement.RECORD} == {"point"}


def test_what_belongs_to_a_closed_year_is_marked() -> None:
    _, lines = told()
    marked = [(line.account, line.kind, line.debit - line.credit) for line in lines if line.corrects == 2023]
    assert marked == [
        ("corrections:a:2024:combustion", "record", 5),
        ("obligation:a:2024", "record", -5),
        ("corrections:a:2024:combustion", "activity", 3 * TONNE),
        ("obligation:a:2024", "activity", -3 * TONNE),
        ("obligation:a:2024", "reversal", 3 * TONNE),
        ("corrections:a:2024:combustion", "reversal", -3 * TONNE),
    ]
    assert {line.corrects for line in lines} == {None, 2023}
