"""The state half of substitution: which hour's turn it is, what replaces it, and how long a charge is known."""

from carbon import factors, substitution
from carbon.hours import Due
from carbon.record import Replaced, Tier
from carbon.refusal import Refusal
from carbon.substitution import HOUR_MS, Regime, Substitution
from consensus.contract import Ruling
from consensus.state import Chain, Registered, State
from consensus.substitution import Told

WAITS = 24
RULE = Substitution((Regime(0, substitution.tier_set("part75", factors.load()), 500),), WAITS)
CHAIN = Chain("p", "plant", HOUR_MS, 0)


class Books:
    """A state and the records that are put to it, each behind the last that it took."""

    def __init__(self, horizon_hours: int = 100) -> None:
        self.state, self.number = State(horizon_hours * HOUR_MS), 0

    def put(self, hour: int, told: Told, replaced: Replaced | None = None, posted: int = 10) -> Refusal:
        self.number += 1
        head = self.state.heads.get("p")
        before = bytes(32) if head is None else head.commitment
        version = 1 if replaced is None else replaced.version + 1
        link = (root(hour), before, version, posted, replaced, told)
        return self.state.apply(CHAIN, hour * HOUR_MS, Ruling(Refusal.PASS, b"", self.number.to_bytes(32), *link))

    def windows(self, first: int, end: int, missing: tuple[int, ...] = ()) -> None:
        for hour in range(first, end):
            assert self.put(hour, Told(RULE, "WINDOW", None if hour in missing else 7, None)) is Refusal.PASS

    def charge(self, hour: int) -> Told:
        value, *tier = self.due(hour)
        return Told(RULE, "SUBSTITUTED", value, Tier(*tier))

    def due(self, hour: int) -> Due:
        return self.state.substitutions.hours["p"].charge(hour, RULE)


def root(hour: int) -> bytes:
    return hour.to_bytes(32)


def before(hour: int, version: int, grams: int = 10) -> Replaced:
    return Replaced(version, root(hour), grams)


def test_the_oldest_hour_that_is_due_is_the_only_one() -> None:
    books = Books()
    books.windows(0, 3 + 1 + WAITS, missing=(3, 4))
    refused = books.put(28, Told(RULE, "WINDOW", 7, None))
    assert refused is Refusal.SUBSTITUTION_DUE
    assert books.put(4, books.charge(4), before(4, 1)) is Refusal.WRONG_SUBSTITUTION
    assert books.put(3, books.charge(3), before(3, 1)) is Refusal.PASS
    assert books.put(3, books.charge(4), before(3, 2)) is Refusal.WRONG_SUBSTITUTION
    books.windows(28, 29)
    assert books.put(4, books.charge(4)._replace(value=1), before(4, 1)) is Refusal.WRONG_SUBSTITUTION
    assert books.put(4, books.charge(4), before(4, 1)) is Refusal.PASS


def test_a_charge_is_replaced_by_what_was_measured_and_by_nothing_else() -> None:
    books = Books()
    books.windows(0, 3 + 1 + WAITS, missing=(3,))
    assert books.put(3, books.charge(3), before(3, 1, 10), posted=90) is Refusal.PASS
    assert books.put(3, Told(RULE, "LATE", 8, None), before(3, 2, 100)) is Refusal.WRONG_SUBSTITUTION
    assert books.put(3, Told(RULE, "MEASURED", None, None), before(3, 2, 100)) is Refusal.WRONG_SUBSTITUTION
    assert books.put(3, Told(RULE, "MEASURED", 8, None), before(3, 2, 99)) is Refusal.WRONG_SUBSTITUTION
    assert books.put(5, Told(RULE, "MEASURED", 8, None), before(5, 1)) is Refusal.WRONG_SUBSTITUTION
    assert books.put(3, Told(RULE, "MEASURED", 8, None), before(3, 2, 100), posted=-60) is Refusal.PASS
    assert books.put(3, Told(RULE, "LATE", 9, None), before(3, 3, 40), posted=5) is Refusal.PASS
    assert books.state.substitutions.charged == {} and books.state.substitutions.hours["p"].missing == []
    assert books.state.balances == {"plant": 28 * 10 + 90 - 60 + 5}


def test_a_charge_is_known_while_it_can_be_replaced() -> None:
    books = Books(horizon_hours=30)
    books.windows(0, 3 + 1 + WAITS, missing=(3,))
    assert books.put(3, books.charge(3), before(3, 1), posted=90) is Refusal.PASS
    books.windows(28, 34)
    assert books.state.substitutions.charged == {"p": {3 * HOUR_MS: 100}}
    books.windows(34, 35)
    assert books.state.substitutions.charged == {}
    assert State.load(books.state.text(), 30 * HOUR_MS) == books.state


def test_a_point_without_substitution_has_no_such_records() -> None:
    state = State(100 * HOUR_MS)
    for cause in ("SUBSTITUTED", "MEASURED"):
        ruling = Ruling(Refusal.PASS, b"", bytes(32), told=Told(None, cause, 7, Tier("", b"")))
        assert state.apply(CHAIN, 0, ruling) is Refusal.WRONG_SUBSTITUTION
    assert (
        state.apply(CHAIN, 0, Ruling(Refusal.PASS, b"", bytes(32), told=Told(None, "WINDOW", 7, None))) is Refusal.PASS
    )
    assert state.substitutions.hours == {}


def test_a_registry_that_closes_the_point_settles_its_hours() -> None:
    books = Books()
    books.windows(0, 3 + 1 + WAITS, missing=(3, 27))
    assert books.put(28, Told(RULE, "WINDOW", 7, None)) is Refusal.SUBSTITUTION_DUE
    books.state.registries[9], books.state.closing = Registered(1, bytes(32)), ("p", "q")
    books.state.text()
    books.state.begin(9)
    assert State.load(books.state.text(), 100 * HOUR_MS) == books.state
    books.windows(28, 30 + 1 + WAITS, missing=(30,))
    assert books.put(55, Told(RULE, "WINDOW", 7, None)) is Refusal.SUBSTITUTION_DUE
