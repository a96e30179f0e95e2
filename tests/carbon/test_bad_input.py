"""Bad submissions, each by the rule that refuses it in one half or the other; whatever is refused changes nothing."""

from collections.abc import Sequence
from typing import Any

import pytest

from carbon import claims, submission
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from tests.carbon.test_submission import CHANNEL, WORLD, payload
from tests.contents import CONTENTS, MARCH, OFFSET, YEAR, month
from tests.small import seed

TONNE = 1_000_000
NOW = month(19)
"""The July after the year."""
GIVEN = {"outputs": [], "allowed": [], "amount_g": 100 * TONNE}
EMITTED = {
    "emissions_g": 40 * TONNE,
    "sources": [{"source": "boiler", "gas": "CO2", "scope": 1, "emission_g": 40 * TONNE}],
}
BOTH = ("plant-co", "works-co")


class Committee:
    """The two halves of the verdict, over one book; numbers rise by party unless stated."""

    def __init__(self) -> None:
        self.book = Book(OFFSET)

    def judge(self, data: bytes, at_ms: int = NOW) -> Refusal:
        found = claims.refusal(data, CHANNEL, WORLD, OFFSET)
        return found or self.book.apply(submission.read(data), at_ms)[0]

    def state(self, kind: str, *signers: str, at_ms: int = NOW, **changes: Any) -> Refusal:
        return self.judge(self.payload(kind, signers, **changes), at_ms)

    def payload(self, kind: str, signers: Sequence[str], **changes: Any) -> bytes:
        return payload(kind, signers, self.book.numbers.get(signers[0], 0) + 1, **changes)


GOOD: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("allocation", ("office",), GIVEN),
    ("output", ("plant-co",), {}),
    ("offset", ("credits",), {"vintage": YEAR - 1}),
    ("retirement", ("plant-co",), {"first": 1, "count": 5, "purpose": "VOLUNTARY"}),
    ("verification", ("verifier",), EMITTED),
    ("transfer", BOTH, {"amount_g": 10 * TONNE}),
    ("allocation", ("office",), {**GIVEN, "subject": "works", "year": YEAR - 1}),
    ("verification", ("verifier",), {**EMITTED, "subject": "works", "year": YEAR - 1}),
    (
        "surrender",
        ("works-co",),
        {"subject": "works", "year": YEAR - 1, "lines": [{"vintage": YEAR - 1, "amount_g": 40 * TONNE}]},
    ),
    ("closing", ("office",), {"subject": "works", "year": YEAR - 1, "banked_g": 60 * TONNE}),
]


@pytest.fixture
def committee() -> Committee:
    """After a year of good submissions: 90 t held, 5 credits of 10 left, 40 t verified."""
    made = Committee()
    assert [made.state(kind, *signers, **changes) for kind, signers, changes in GOOD] == [Refusal.PASS] * len(GOOD)
    return made


BAD: list[tuple[str, Refusal, str, tuple[str, ...], dict[str, Any]]] = [
    ("negative", Refusal.NOT_POSITIVE, "transfer", BOTH, {"amount_g": -TONNE}),
    ("negative output", Refusal.NOT_POSITIVE, "output", ("plant-co",), {"quantity": -1}),
    ("absurd", Refusal.ABSURD, "transfer", BOTH, {"amount_g": 10**15 + 1}),
    ("absurd price", Refusal.ABSURD, "price", ("exchange",), {"price_fen_t": 10**8}),
    ("future", Refusal.IN_FUTURE, "output", ("plant-co",), {"start": month(19), "end": month(20)}),
    ("future year", Refusal.WRONG_PERIOD, "plan", ("plant-co",), {"year": 2101}),
    ("duplicate period", Refusal.OVERLAPS, "output", ("plant-co",), MARCH),
    ("duplicate credits", Refusal.ALREADY_ISSUED, "offset", ("credits",), {"first": 10, "count": 1}),
    ("duplicate verification", Refusal.ALREADY_VERIFIED, "verification", ("verifier",), EMITTED),
    ("duplicate allocation", Refusal.ALREADY_ALLOCATED, "allocation", ("office",), GIVEN),
    ("wrong unit", Refusal.WRONG_UNIT, "output", ("plant-co",), {"unit": "t"}),
    ("wrong signer: not on this subject", Refusal.WRONG_ROLE, "surrender", ("works-co",), {}),
    ("wrong signer: a stranger", Refusal.UNKNOWN_PARTY, "price", ("stranger",), {}),
    ("wrong signer: not both sides", Refusal.NOT_COUNTERSIGNED, "transfer", ("plant-co",), {}),
    ("wrong role", Refusal.WRONG_ROLE, "allocation", ("plant-co",), GIVEN),
    ("wrong role: an authority of elsewhere", Refusal.WRONG_ROLE, "allocation", ("other-office",), GIVEN),
    ("already retired", Refusal.ALREADY_RETIRED, "retirement", ("plant-co",), {"first": 5, "count": 2}),
    ("over cap", Refusal.OVER_CAP, "retirement", ("plant-co",), {"first": 6, "count": 3}),
    ("over balance", Refusal.OVER_BALANCE, "transfer", BOTH, {"amount_g": 90 * TONNE + 1}),
    ("over balance of credits", Refusal.OVER_BALANCE, "retirement", ("plant-co",), {"first": 10, "count": 2}),
    ("closed year", Refusal.YEAR_CLOSED, "plan", ("works-co",), {"subject": "works", "year": YEAR - 1}),
    ("no allowances for it", Refusal.WRONG_SUBJECT, "allocation", ("office",), {**GIVEN, "subject": "shop"}),
    ("an amount that the benchmarks don't give", Refusal.WRONG_AMOUNT, "allocation", ("office",), {"amount_g": 1}),
    ("a factor from memory", Refusal.UNTRUSTED_FACTOR, "allocation", ("office",), {"allowed": []}),
]


@pytest.mark.parametrize(("wanted", "kind", "signers", "changes"), [case[1:] for case in BAD], ids=[c[0] for c in BAD])
def test_bad_input_is_refused_by_its_rule_and_changes_nothing(
    committee: Committee, wanted: Refusal, kind: str, signers: tuple[str, ...], changes: dict[str, Any]
) -> None:
    before = committee.book.lines()
    assert committee.state(kind, *signers, **changes) is wanted
    assert committee.book.lines() == before


def test_a_replayed_one_is_refused_and_changes_nothing(committee: Committee) -> None:
    data = committee.payload("transfer", BOTH, amount_g=TONNE)
    assert committee.judge(data) is Refusal.PASS
    before = committee.book.lines()
    assert committee.judge(data) is Refusal.REPLAYED
    assert committee.book.lines() == before


def test_one_that_another_key_signed_is_refused_and_changes_nothing(committee: Committee) -> None:
    before = committee.book.lines()
    body = submission.body_of("exchange", 1, "price", CONTENTS["price"], bytes(16))
    assert committee.judge(submission.signed(body, {"exchange": seed("somebody else")}, CHANNEL)) is Refusal.NOT_SIGNED
    assert committee.book.lines() == before


def test_what_just_passes_beside_them(committee: Committee) -> None:
    assert committee.state("retirement", "plant-co", first=6, count=2) is Refusal.PASS
    assert committee.state("transfer", *BOTH, amount_g=90 * TONNE) is Refusal.PASS
