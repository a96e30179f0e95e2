"""What the ledger says of every subject that an outlook is made of: daily emissions, plans, targets, output, levels.

A fold over what was accepted, in ledger order. It grows with subjects and their days of the last two years, never with
records.
"""

import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from carbon.calendar import DAY_MS, YEARS
from carbon.emission import Unbooked, told
from carbon.ledger.books import Books
from carbon.ledger.chart import account
from carbon.ledger.standing import GRAMS_PER_CREDIT
from carbon.planning import rules as rulesets
from carbon.planning.days import day_of, first_of, year_of
from carbon.planning.outlook import Outlook, Stated, look
from carbon.planning.plan import Plan
from carbon.planning.rules import RULESET, Held, Kind, Rules
from carbon.planning.season import History, Output
from carbon.planning.target import Target
from carbon.planning.warning import EarlyWarning, judge
from carbon.submission import Submission, reversed_by

SILENT_MS = 7 * DAY_MS
"""A source that is so far behind the newest of its subject is not waited for."""
_KEPT_PLANS = 3
"""Years of which a plan is known: a correction may make a day of the last one complete."""
KEPT_DAYS = 800
"""This year's and the one's before, and some: what a forecast can use."""


@dataclass
class Watched:
    """One subject. `grams` are its days from `first` on, `heads` the end (ms UTC) of what each source told last."""

    first: int = 0
    grams: "array[int]" = field(default_factory=lambda: array("q"))
    heads: dict[str, int] = field(default_factory=dict)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The newest of each year, by it."""
    target: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    since: int = YEARS[-1]
    """The first year of which emissions were told or verified."""
    judged: int | None = None
    """The last day whose warnings were told."""
    levels: dict[Kind, Held] = field(default_factory=dict)

    def add(self, day: int, grams: int) -> None:
        """Add to a day's emissions; one that is older than what is kept changes nothing."""
        if not self.grams:
            self.first = day
        if day < self.first:
            if self.first + len(self.grams) - day > KEPT_DAYS:
                return
            self.grams = array("q", bytes(8 * (self.first - day))) + self.grams
            self.first = day
        self.grams.extend([0] * (day + 1 - self.first - len(self.grams)))
        self.grams[day - self.first] += grams
        too_many = len(self.grams) - KEPT_DAYS
        if too_many > 0:
            del self.grams[:too_many]
            self.first += too_many

    def mean_to(self, plan: dict[str, Any]) -> None:
        """Know of a plan. Those of years long past are of no use."""
        self.plans = {year: known for year, known in self.plans.items() if int(year) > plan["year"] - _KEPT_PLANS}
        self.plans[str(plan["year"])] = plan

    def put_out(self, output: dict[str, Any], sign: int) -> None:
        """Know of an output, or with a sign of -1 no more."""
        oldest = output["end"] - KEPT_DAYS * DAY_MS
        self.outputs = [row for row in self.outputs if row != output and row["end"] > oldest]
        if sign > 0:
            self.outputs.append(output)

    def complete(self, offset_minutes: int) -> tuple[int, int]:
        """The last day that every source has told whole, and how many sources are silent."""
        newest = max(self.heads.values())
        awaited = [end for end in self.heads.values() if newest - end < SILENT_MS]
        return day_of(min(awaited), offset_minutes) - 1, len(self.heads) - len(awaited)

    def until(self, day: int) -> History:
        """Its days up to one."""
        return History(self.first, self.grams[: max(day + 1 - self.first, 0)])

    def between(self, first: int, end: int) -> int:
        """The emissions of the days [first, end)."""
        start, stop = max(first - self.first, 0), max(end - self.first, 0)
        return sum(self.grams[start:stop])

    def facts(self) -> str:
        """All but the days, as JSON."""
        return json.dumps({name: value for name, value in vars(self).items() if name not in ("first", "grams")})

    @classmethod
    def of(cls, facts: str) -> "Watched":
        """A subject without days, of what `facts` made."""
        fields = json.loads(facts)
        fields["levels"] = {kind: Held(*held) for kind, held in fields["levels"].items()}
        return cls(**fields)


@dataclass
class Watch:
    """All subjects after some height, and the rules of early warning in force. `changed` is what to keep."""

    offset_minutes: int
    rules: Rules = field(default_factory=rulesets.default)
    ruleset: str | None = None
    """The submitted rules, if there are any."""
    subjects: dict[str, Watched] = field(default_factory=dict)
    changed: dict[str, set[int]] = field(default_factory=dict)
    """Subjects and their days since this was cleared last."""

    def window(self, fields: Mapping[str, Any], start: int, grams: int) -> None:
        """A record of a window from `start` on, ms UTC, posts so many grams; what emits nothing tells nothing."""
        if told(fields["rule"]) in (None, Unbooked):
            return
        self.emitted(fields["subject"], fields["point"], start, start + 1000 * fields["window_seconds"], grams)

    def emitted(self, subject: str, source: str, start: int, end: int, grams: int) -> None:
        """A source told of a period [start, end), ms UTC: its grams are spread evenly over the days that it touches."""
        watched = self._touched(subject)
        first, last = day_of(start, self.offset_minutes), day_of(end - 1, self.offset_minutes)
        watched.since = min(watched.since, year_of(first))
        count, sign, whole = last + 1 - first, -1 if grams < 0 else 1, abs(grams)
        for number in range(count):
            # so that what is taken back comes off the days that it was put on
            part = whole * (number + 1) // count - whole * number // count
            watched.add(first + number, sign * part)
            self.changed[subject].add(first + number)
        watched.heads[source] = max(end, watched.heads.get(source, end))

    def state(self, submission: Submission) -> None:
        """Take in an accepted submission."""
        stated, sign = submission, 1
        if submission.kind == "reversal":
            original = reversed_by(submission)
            if original is None:
                return
            stated, sign = original, -1
        content = stated.content
        match stated.kind:
            case "plan":
                self._touched(content["subject"]).mean_to(_plain(content))
            case "target":
                self._touched(content["subject"]).target = _plain(content)
            case "output":
                self._touched(content["subject"]).put_out(_plain(content), sign)
            case "verification":
                watched = self._touched(content["subject"])
                watched.since = min(watched.since, content["year"])
            case "activity":
                name = f"activity {content['source']}"
                self.emitted(content["subject"], name, content["start"], content["end"], sign * content["emission_g"])
            case "ruleset" if content["name"] == RULESET:
                self.adopt(content["rules"])

    def adopt(self, ruleset: str) -> None:
        """Judge by these rules from now on, unless they contradict themselves."""
        try:
            self.rules, self.ruleset = rulesets.parse(json.loads(ruleset)), ruleset
        except (ValueError, RecursionError):
            return

    def _touched(self, subject: str) -> Watched:
        self.changed.setdefault(subject, set())
        return self.subjects.setdefault(subject, Watched())

    def judge(self, books: Books) -> Iterator[tuple[Outlook, list[EarlyWarning]]]:
        """The outlook and the warnings at the end of each day that became complete, subject by subject."""
        for subject in sorted(self.changed):
            watched = self.subjects[subject]
            if not watched.heads:
                continue
            last, _ = watched.complete(self.offset_minutes)
            first = watched.first if watched.judged is None else watched.judged + 1
            for day in range(first, last + 1):
                outlook = self.outlook(subject, day, books)
                watched.levels, warnings = judge(outlook, watched.levels, self.rules)
                watched.judged = day
                yield outlook, warnings

    def outlook(self, subject: str, day: int, books: Books) -> Outlook:
        """The outlook at the end of a day that is complete. Raises KeyError for a subject that nothing is known of."""
        watched = self.subjects[subject]
        _, silent = watched.complete(self.offset_minutes)
        return look(subject, watched.until(day), self._stated(subject, watched, day, books), silent)

    def _stated(self, subject: str, watched: Watched, day: int, books: Books) -> Stated:
        year, book, obligation = year_of(day), books.book, 0
        for open_ in range(max(book.closed.get(subject, 0) + 1, watched.since), year + 1):
            later = watched.between(max(day + 1, first_of(open_)), first_of(open_ + 1))
            obligation += _need(subject, open_, later, books)
        plan = Plan.of(watched.plans[str(year)]) if str(year) in watched.plans else None
        retired = sum(book.held("retired", subject, year, purpose) for purpose in ("compliance", "voluntary"))
        return Stated(
            held_g=_held(subject, year, books),
            obligation_g=obligation,
            reductions_g=book.held("reductions", subject, year),
            retired_g=retired * GRAMS_PER_CREDIT,
            plan=plan,
            outputs=tuple(self._outputs(watched, plan)) if plan is not None else (),
            target=None if watched.target is None else Target.of(watched.target),
        )

    def _outputs(self, watched: Watched, plan: Plan) -> Iterator[Output]:
        """What was put out of what is planned, in the plan's units."""
        for row in watched.outputs:
            if (row["product"], row["unit"]) == (plan.product, plan.unit):
                first, end = (day_of(row[name], self.offset_minutes) for name in ("start", "end"))
                yield Output(first, max(end, first + 1), row["quantity"] * 10.0 ** (plan.scale - row["scale"]))


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """A content without what is no JSON: the digests of documents."""
    return {name: value for name, value in content.items() if not isinstance(value, bytes)}


def _held(subject: str, year: int, books: Books) -> int | None:
    """Allowances that may be surrendered for a year, g CO2e; None until some of the year were given or bought."""
    holdings = books.book.holdings(subject, year)
    if (subject, year) not in books.book.allocated and year not in holdings:
        return None
    return sum(map(sum, holdings.values()))


def _need(subject: str, year: int, later_g: int, books: Books) -> int:
    """What is to be surrendered for an open year, g CO2e: as verified, else as emitted, less what came later."""
    if (subject, year) in books.book.verified:
        return books.book.open_need(subject, year)
    obligation = books.accounts.get(account("obligation", subject, year))
    return 0 if obligation is None else obligation.balance - later_g
