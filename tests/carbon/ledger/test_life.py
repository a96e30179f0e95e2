"""The whole life of accounts: any sequence of valid and invalid submissions and records keeps what must hold.

`ACCOUNTS_STEPS` and `ACCOUNTS_EXAMPLES` make it longer than a test of every day.
"""

import os
from collections import Counter, defaultdict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carbon import calendar
from carbon.ledger import chart, ranges
from carbon.ledger.book import Book
from carbon.ledger.books import Books
from carbon.refusal import Refusal
from tests.carbon.ledger.desk import TONNE, Desk, content_of, stated
from tests.carbon.ledger.records import COAL, GRID, record

STEPS, EXAMPLES = int(os.environ.get("ACCOUNTS_STEPS", "25")), int(os.environ.get("ACCOUNTS_EXAMPLES", "25"))
SUBJECTS, YEARS = ["a", "b"], [2022, 2023, 2024]
subjects, years = st.sampled_from(SUBJECTS), st.sampled_from(YEARS)
tonnes = st.sampled_from([1, 2, 10, 50, 12_000]).map(lambda amount: amount * TONNE) | st.integers(1, 3 * TONNE)
serials = st.integers(1, 40)


class Life(RuleBasedStateMachine):
    """Everybody states what comes to mind, in blocks whose time never falls."""

    def __init__(self) -> None:
        super().__init__()
        self.desk, self.books = Desk(), Books()
        self.now = calendar.year_start(2023, 0)
        self.history: list[Any] = []
        self.retired: Counter[int] = Counter()
        self.metered: defaultdict[str, int] = defaultdict(int)

    @initialize(stage=st.sampled_from(["nothing", "allowances", "verified"]))
    def begin(self, stage: str) -> None:
        """Some lives begin with something to move, some with a year to settle."""
        if stage == "nothing":
            return
        self.now = calendar.year_start(2024, 0)
        self.state("offset", "a", count=30)
        for subject in SUBJECTS:
            self.state("allocation", subject, year=2023, amount_g=100 * TONNE)
            if stage == "verified":
                self.state("verification", subject, year=2023, emissions_g=90 * TONNE)

    def state(self, kind: str, subject: str, **changes: Any) -> Refusal:
        """State it, and check that a refusal changes nothing."""
        return self.check(lambda: self.desk.state(kind, subject, at=self.now, **changes))

    def check(self, say: Any) -> Refusal:
        before = (self.desk.book.lines(), len(self.desk.accepted))
        refusal: Refusal = say()
        if refusal is not Refusal.PASS:
            assert (self.desk.book.lines(), len(self.desk.accepted)) == before
            assert self.again().balances == self.desk.book.balances
            return refusal
        said, at = self.desk.accepted[-1]
        assert chart.balances(self.desk.entries[-1])
        self.books.apply(said, at, len(self.history))
        self.history.append((said, at))
        if said.kind == "retirement":
            first = said.content["first"]
            self.retired.update(range(first, first + said.content["count"]))
        return refusal

    def again(self) -> Book:
        """The book of its own lines."""
        made = Book()
        for line in self.desk.book.lines():
            made.read_line(line.split(" ")[1:])
        return made

    @rule(days=st.integers(1, 400))
    def wait(self, days: int) -> None:
        self.now += days * 86_400_000

    @rule(subject=subjects, year=years, stage=st.sampled_from(["PRE", "FINAL"]), amount=tonnes, cut=st.booleans())
    def allocate(self, subject: str, year: int, stage: str, amount: int, cut: bool) -> None:
        found = self.desk.book.cuts.get((subject, year - 1)) if cut else None
        taken = {"cut_g": found.cut_g, "decision": [found.commitment]} if found else {}
        self.state("allocation", subject, year=year, stage=stage, amount_g=amount, **taken)

    @rule(seller=subjects, year=years, amount=tonnes, twice=st.booleans())
    def trade(self, seller: str, year: int, amount: int, twice: bool) -> None:
        buyer = SUBJECTS[1 - SUBJECTS.index(seller)]
        self.state("transfer", seller, buyer=buyer, vintage=year, amount_g=amount)
        if twice:
            number = self.desk.book.numbers.get(seller, 0)
            again = stated(seller, number, "transfer", content_of("transfer", seller, buyer=buyer, vintage=year))
            assert self.check(lambda: self.desk.take(again, self.now)) is Refusal.REPLAYED

    @rule(subject=subjects, first=serials, count=st.integers(1, 20))
    def issue(self, subject: str, first: int, count: int) -> None:
        self.state("offset", subject, first=first, count=count)

    @rule(subject=subjects, first=serials, count=st.integers(1, 9), year=years, due=st.booleans())
    def retire(self, subject: str, first: int, count: int, year: int, due: bool) -> None:
        purpose = "COMPLIANCE" if due else "VOLUNTARY"
        passed = self.state("retirement", subject, first=first, count=count, year=year, purpose=purpose)
        if due and passed is Refusal.PASS:
            held = self.desk.book.held
            assert 20 * held("retired", subject, year, "compliance") * TONNE <= held("due", subject, year)

    @rule(subject=subjects, year=years, amount=tonnes)
    def verify(self, subject: str, year: int, amount: int) -> None:
        self.state("verification", subject, year=year, emissions_g=amount)

    @rule(subject=subjects, year=years, vintage=years, amount=tonnes, exact=st.booleans())
    def surrender(self, subject: str, year: int, vintage: int, amount: int, exact: bool) -> None:
        need = self.desk.book.open_need(subject, year)
        oldest = next(iter(self.desk.book.holdings(subject, year).items()), (vintage, (need,)))
        sold = (oldest[0], min(need, sum(oldest[1]))) if exact and need else (vintage, amount)
        lines = [{"vintage": sold[0], "amount_g": sold[1]}]
        passed = self.state("surrender", subject, year=year, lines=lines) is Refusal.PASS
        assert not passed or need >= lines[0]["amount_g"]

    @rule(subject=subjects, year=years, wrong=st.sampled_from([0, 0, 0, 1]))
    def close(self, subject: str, year: int, wrong: int) -> None:
        book = self.desk.book
        held = sum(map(sum, book.holdings(subject, year).values()))
        banked = min(held, book.banking_cap(subject, year))
        stated_ = {"banked_g": banked, "expired_g": held - banked, "net_sold_g": book.net_sold(subject, year)}
        shortfall = book.open_need(subject, year) + wrong
        refusal = self.state("closing", subject, year=year, shortfall_g=shortfall, **stated_)
        assert not (wrong and refusal is Refusal.PASS)
        if refusal is Refusal.PASS:
            assert sum(banked for banked, _ in book.holdings(subject, year).values()) == banked
            assert book.open_need(subject, year) == 0

    @rule(subject=subjects, month=st.integers(1, 30), long=st.integers(1, 3), source=st.sampled_from(["x", "y"]))
    def file(self, subject: str, month: int, long: int, source: str) -> None:
        start, end = (calendar.month_start(2022, one, 0) for one in (month, month + long))
        if self.state("activity", subject, source=source, start=start, end=end) is Refusal.PASS:
            self.metered[subject] += 3 * TONNE

    @rule(subject=subjects, kind=st.sampled_from(["reduction", "plan", "output", "gdp", "laboratory", "target"]))
    def note(self, subject: str, kind: str) -> None:
        self.state(kind, subject)

    @rule(subject=subjects, year=years, amount=st.integers(-5, 5), cut=st.integers(0, 2))
    def decide(self, subject: str, year: int, amount: int, cut: int) -> None:
        self.state("decision", subject, year=year, amount_fen=amount, cut_g=cut)

    @precondition(lambda self: self.desk.accepted)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        said, _ = data.draw(st.sampled_from(self.desk.accepted))
        history = self.desk.histories[said.party]
        try:
            content = history.reversal(said.number, "wrong")
        except KeyError:  # final, or taken back already
            return
        refusal = self.check(lambda: self.desk.say(said.party, "reversal", content, self.now))
        if refusal is Refusal.PASS:
            if said.kind == "activity":
                self.metered[said.content["subject"]] -= 3 * TONNE
            again = self.check(lambda: self.desk.say(said.party, "reversal", content, self.now))
            assert again is Refusal.NOT_REVERSIBLE

    @rule(subject=subjects, grams=st.integers(-5, 500), before=st.none() | st.integers(0, 9), day=st.integers(0, 900))
    def meter(self, subject: str, grams: int, before: int | None, day: int) -> None:
        start = calendar.year_start(2022, 0) + day * 86_400_000
        made = record(subject, grams, start, before=before, rule=GRID if grams % 2 else COAL)
        self.books.post(made, len(self.history))
        self.history.append(made)
        self.metered[subject] += grams - (before or 0)

    @invariant()
    def debits_are_credits_and_nobody_is_below_zero(self) -> None:
        self.books.audit()
        for one in self.books:
            least = chart.CLASSES[one.kind].least
            assert least is None or one.balance >= least, one

    @invariant()
    def allowances_are_somewhere(self) -> None:
        """What was issued is held, was surrendered or has expired."""
        sums: Counter[str] = Counter()
        for one in self.books:
            sums[one.kind] += one.balance
        assert sums["issued"] == sum(sums[kind] for kind in ("allowances", "banked", "surrendered", "expired"))
        assert sums["credits"] == sums["offsets"] + sums["retired"]
        assert sums["traded"] == 0
        assert sums["verified"] == sums["due"] + sums["shortfall"]

    @invariant()
    def a_credit_is_retired_once(self) -> None:
        assert all(times == 1 for times in self.retired.values())
        retired = self.desk.book.ranges.get(("retired", "CCER"), ())
        assert {n for low, high in retired for n in range(low, high)} == {*self.retired}
        for subject in SUBJECTS:
            held = self.desk.book.ranges.get(("held", "CCER", subject), ())
            assert sum(high - low for low, high in held) == self.desk.book.held("offsets", subject, "CCER")
            assert not any(ranges.overlaps(retired, low, high) for low, high in held)

    @invariant()
    def what_was_emitted_is_what_was_metered_and_filed(self) -> None:
        emitted: Counter[str] = Counter()
        for one in self.books:
            emitted[one.subject] += one.balance if one.kind in ("emissions", "corrections") else 0
        assert +emitted - +Counter(self.metered) == +Counter(self.metered) - +emitted == Counter()

    def teardown(self) -> None:
        """The text of the book, a snapshot of the books and a replay from nothing all come to the same."""
        assert self.again() == self.desk.book == self.books.book
        loaded = Books.load(0, [one.row() for one in self.books], self.books.book.lines())
        replayed = Books()
        for height, step in enumerate(self.history):
            replayed.post(step, height) if isinstance(step, dict) else replayed.apply(*step, height)
        assert loaded == replayed == self.books


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
)
