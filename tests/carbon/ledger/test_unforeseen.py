"""A rule that stumbles over a submission refuses it, and nothing of the book has changed."""

from collections.abc import Callable
from typing import Any

import pytest

from carbon.ledger import book as books
from carbon.ledger import reversing, rules
from carbon.ledger.chart import Posting
from carbon.ledger.rules import Effect
from carbon.ledger.standing import Fact, Standing
from carbon.refusal import Refusal
from tests.carbon.ledger.desk import REGULATOR, Desk
from tests.carbon.ledger.test_book import busy


def stumbles(*_: object) -> Effect:
    raise KeyError("no such row")


def one_sided(*_: object) -> Effect:
    return Effect((Posting("allowances:a:2023", 5, 0),), (Fact("closed", "a", 2030),))


def of_no_account(*_: object) -> Effect:
    entry = (Posting("nonsense", 5, 0), Posting("allowances:a:2023", 0, 5))
    return Effect(entry, (Fact("verified", ("a", 2030), True),))


@pytest.mark.parametrize("rule", [stumbles, one_sided, of_no_account])
@pytest.mark.parametrize("kind", rules.RULES)
def test_whatever_a_rule_stumbles_over_nothing_has_changed(
    kind: str, rule: Callable[..., Effect], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = busy()
    before, fresh = desk.book.lines(), Standing.lines(desk.book)
    with monkeypatch.context() as broken:
        broken.setitem(rules.RULES, kind, rule)
        assert desk.state(kind) is Refusal.UNFORESEEN
    assert sorted(Standing.lines(desk.book)) == sorted(fresh) == before == desk.book.lines()
    desk.numbers = dict(desk.book.numbers)
    assert desk.state(kind) is not Refusal.REPLAYED, "its number was not taken"


def test_a_reversal_that_stumbles_takes_nothing_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.state("allocation")
    before = desk.book.lines()
    with monkeypatch.context() as broken:
        broken.setitem(reversing.UNDO, "allocation", stumbles)
        assert desk.take_back(REGULATOR, 1) is Refusal.UNFORESEEN
        assert desk.book.lines() == before
    assert desk.take_back(REGULATOR, 1) is Refusal.PASS


def test_a_past_that_cant_grow_leaves_the_accounts_as_they_were(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found last stands in the way of all that was found before."""
    monkeypatch.setattr(books, "leaf_of", stumbles)
    assert desk.state("allocation") is Refusal.UNFORESEEN
    assert desk.book.lines() == []


def test_who_runs_out_of_memory_judges_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def starves(*_: Any) -> Effect:
        raise MemoryError

    monkeypatch.setitem(rules.RULES, "allocation", starves)
    with pytest.raises(MemoryError):
        desk.state("allocation")
    assert desk.book.lines() == []


@pytest.fixture
def desk() -> Desk:
    return Desk()
