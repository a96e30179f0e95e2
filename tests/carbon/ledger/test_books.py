"""All accounts: records and submissions post to the same ones, whatever came first."""

import random
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import record as payloads
from carbon.ledger import chart
from carbon.ledger.book import Book
from carbon.ledger.books import Books, BooksError, source_of
from carbon.ledger.chart import Posting, account
from carbon.plain import Plain, Stated
from carbon.refusal import Refusal
from consensus.log.leaf import decode, split
from schemas import codec
from tests import synthetic
from tests.carbon.ledger.desk import TONNE, Desk
from tests.carbon.ledger.records import COAL, GRID, HOUR, YEAR_2023, YEAR_2024, record
from tests.carbon.ledger.test_book import busy
from tests.small import World


def plain_of(records: list[dict[str, Any]]) -> Plain:
    """The columns of records, a point for each subject and rule."""
    points: dict[tuple[str, str], Stated] = {}
    for one in records:
        key = one["subject"], one["rule"]
        points.setdefault(key, Stated(len(points), b"", {"subject": key[0], "rule": key[1], "expected": 1}))
    numbers = np.array([points[one["subject"], one["rule"]].number for one in records], np.intp)
    starts, grams = (np.array([one[name] for one in records], np.int64) for name in ("window_start", "emission_g"))
    n, none = len(records), np.zeros(len(records), "V32")
    ones = np.ones(n, np.int64)
    return Plain([*points.values()], numbers, np.ones(n, bool), none, none, starts, ones, grams, grams)


records = st.lists(
    st.builds(
        record,
        st.sampled_from("ab"),
        st.integers(-(2**47), 2**47),
        st.integers(-48, 48).map(lambda hours: YEAR_2024 + hours * HOUR),
        rule=st.sampled_from([COAL, GRID]),
    ),
    max_size=12,
)


def closed(books: Books) -> Books:
    """With the year 2023 of `a` closed."""
    desk = Desk(books.book)
    assert desk.state("verification", emissions_g=0) is Refusal.PASS
    assert desk.state("closing") is Refusal.PASS
    return books


@given(records, st.sampled_from([-720, 0, 480]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_records_posted_together_are_as_posted_one_by_one(
    some: list[dict[str, Any]], offset: int, is_closed: bool
) -> None:
    together, singly = Books(offset), Books(offset)
    if is_closed:
        closed(together), closed(singly)
    changed = together.post_plain(plain_of(some), np.arange(len(some)), 3)
    posted = [singly.post(one, 3) for one in some]
    assert together.accounts == singly.accounts and +together.sums == +singly.sums
    assert changed == {one.posting.account for each in posted for one in each}
    together.check()


def test_points_are_posted_elsewhere_once_their_year_is_closed() -> None:
    books, plain = Books(), plain_of([record("a", 5)])
    books.post_plain(plain, np.arange(1), 1)
    desk = Desk()
    for kind in ("verification", "closing"):
        assert desk.state(kind, **({"emissions_g": 0} if kind == "verification" else {})) is Refusal.PASS
        books.apply(*desk.accepted[-1], 2)
    books.post_plain(plain, np.arange(1), 3)
    balances = {name: one.balance for name, one in books.accounts.items() if one.balance}
    assert balances == {
        "emissions:a:2023:combustion": 5,
        "obligation:a:2023": 5,
        "corrections:a:2024:combustion": 5,
        "obligation:a:2024": 5,
    }


def test_points_are_those_of_the_payloads_at_hand() -> None:
    books = Books()
    for subject in "ab":
        books.post_plain(plain_of([record(subject, 5)]), np.arange(1), 1)
    assert [books.accounts[f"obligation:{subject}:2023"].balance for subject in "ab"] == [5, 5]


def test_no_balance_depends_on_the_order_across_subjects() -> None:
    """What each subject has is in its own order; between the subjects the orders are shuffled."""
    of_each = []
    for number in range(4):
        subject = f"s{number}"
        desk = Desk()
        for kind, changes in (
            ("allocation", {}),
            ("activity", {}),
            ("verification", {"emissions_g": 50 * TONNE}),
            ("surrender", {"lines": [{"vintage": 2023, "amount_g": 40 * TONNE}]}),
            ("closing", {"shortfall_g": 10 * TONNE, "banked_g": 60 * TONNE}),
        ):
            assert desk.state(kind, subject, by=f"{kind} of {subject}", **changes) is Refusal.PASS
        steps: list[Any] = [record(subject, 7, YEAR_2023 + hour * HOUR) for hour in range(3)]
        of_each.append([*steps, *desk.accepted, record(subject, 9)])
    seen = set()
    for seed in range(5):
        turns = [number for number, steps in enumerate(of_each) for _ in steps]
        random.Random(seed).shuffle(turns)
        queues, books = [iter(steps) for steps in of_each], Books()
        for turn in turns:
            step = next(queues[turn])
            books.post(step, 1) if isinstance(step, dict) else books.apply(*step, 1)
        books.audit()
        seen.add("\n".join([*map(str, books), *sorted(books.book.lines())]))
    assert len(seen) == 1


def test_books_come_back_from_their_fields_and_lines() -> None:
    books = Books(480)
    for said, at in busy().accepted:
        books.apply(said, at, 5)
    books.post(record("a", 5), 6)
    again = Books.load(480, [one.row() for one in books], books.book.lines())
    assert again == books
    assert Counter({("debit", unit): books.sums["debit", unit] for unit in "gt"}) == Counter(
        {("debit", unit): again.sums["credit", unit] for unit in "gt"}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"emissions:a:2023:combustion": "debit_g"},
        {"allowances:b:2023": "debit_g", "issued::2023": "credit_g"},
    ],
    ids=["one side", "both sides"],
)
def test_books_that_do_not_add_up_are_refused(changes: dict[str, str]) -> None:
    books = Books(480)
    for said, at in busy().accepted:
        books.apply(said, at, 5)
    fields = {one.account: one.row() for one in books}
    for name, side in changes.items():
        fields[name][side] += 1
    with pytest.raises(BooksError):
        Books.load(480, fields.values(), books.book.lines())


def test_debits_that_are_no_credits_are_refused() -> None:
    books = Books()
    books._enter((Posting(account("fines", "a", 2023), 1, 0),), 1)
    with pytest.raises(BooksError, match="debits of 1 fen and credits of 0 fen"):
        books.check()


def test_a_sum_beyond_64_bits_is_refused() -> None:
    books = Books()
    books.post(record("a", 2**62), 1)
    with pytest.raises(BooksError, match="beyond 64 bits"):
        books.post(record("a", 2**62), 1)


def test_a_verdict_that_does_not_follow_is_refused() -> None:
    desk = Desk()
    assert desk.state("allocation") is Refusal.PASS
    books = Books(book=Book())
    books.apply(*desk.accepted[0], 1)
    with pytest.raises(BooksError, match="replayed"):
        books.apply(*desk.accepted[0], 2)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (COAL, "combustion"),
        (GRID, "electricity"),
        ("purchased electricity: table.row; market-based: 0.5 at 0 kgCO2/kWh, the rest table.rest", "electricity"),
        ("default carbon: 26 GJ/t · a · b · 44/12 · missing hours after 24 h: x", "combustion"),
        ("none", "none"),
        ("none · missing hours after 24 h: x", "none"),
        ("a later rule: x", "a_later_rule"),
    ],
)
def test_a_source_is_what_the_rule_says_that_emits(rule: str, source: str) -> None:
    assert source_of(rule) == source


@pytest.mark.parametrize("kind", chart.CLASSES)
@given(subject=st.text(), parts=st.lists(st.text(), min_size=2, max_size=2))
@settings(max_examples=20)
def test_a_name_says_what_it_was_made_of(kind: str, subject: str, parts: list[str]) -> None:
    wanted = chart.CLASSES[kind].parts
    stated = [2023 if part in ("year", "vintage") else parts[0] for part in wanted]
    name = account(kind, subject, *stated)
    year = 2023 if {"year", "vintage"} & {*wanted} else None
    detail = "".join(str(part) for part in stated if part != 2023)
    assert chart.parse(name) == (kind, subject, year, detail)
    assert len(name.split(" ")) == 1 == len(name.splitlines())


def test_what_pairs_is_mirrored_for_a_negative_amount() -> None:
    assert chart.pair("a", "b", -5) == tuple(posting.mirrored for posting in chart.pair("a", "b", 5))[::-1]
    assert chart.pair("a", "b", 0) == ()
    assert [*chain(chart.pair("a", "b", 5))] == [Posting("a", 5, 0), Posting("b", 0, 5)]


@pytest.mark.parametrize("apart", [None, "plant"])
def test_a_blocks_records_are_handed_out_as_they_were_posted(apart: str | None) -> None:
    """Blocks with a correction and a refused record each; whoever reads along sees each record once."""
    world = World.make(points=3, gateways=2)
    books, singly = Books(), Books()
    for height, package in enumerate(synthetic.build(world, 2, 2), 1):
        fields = codec.decode_bare("block-package", package)
        leaves = map(decode, split(codec.decode("block", fields["block"])["leaves"]))
        accepted = [p for p, leaf in zip(fields["payloads"], leaves, strict=True) if leaf.accepted]
        taken, one_by_one = books.take(accepted, height, apart), [payloads.read(payload) for payload in accepted]
        posted = [singly.post(one, height) for one in one_by_one]
        assert taken.changed == {line.posting.account for each in posted for line in each}
        alone = [one.place for one in taken.singly]
        assert alone == [place for place, one in enumerate(one_by_one) if apart or one["replaces"]] != []
        assert [one.fields for one in taken.singly] == [one_by_one[place] for place in alone]
        told = [(stated["point"], start, grams) for stated, start, grams in taken.each()]
        wanted = [(one["point"], one["window_start"], payloads.posted_g(one)) for one in one_by_one]
        assert sorted(told) == sorted(wanted)
    assert books.accounts == singly.accounts
