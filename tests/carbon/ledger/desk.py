"""Submissions as the state half sees them: past the evidence half, so without signatures. All figures are synthetic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from carbon import calendar, submission
from carbon.ledger.book import Book
from carbon.ledger.chart import Entry
from carbon.ledger.history import History
from carbon.refusal import Refusal
from carbon.submission import Submission

TONNE = 1_000_000
NOW = calendar.month_start(2024, 7, 0)
"""When blocks are made unless said otherwise: 2023 is over."""
DOCUMENT = bytes(32)

REGULATOR, VERIFIER, CREDITS, EXCHANGE = "regulator", "verifier", "credits", "exchange"
_AUTHORS = {
    "allocation": REGULATOR,
    "closing": REGULATOR,
    "decision": REGULATOR,
    "weather": REGULATOR,
    "ruleset": REGULATOR,
    "assessment": VERIFIER,
    "verification": VERIFIER,
    "reduction": VERIFIER,
    "offset": CREDITS,
    "price": EXCHANGE,
}
"""Who states what, where it isn't the subject's own party."""

_START, _END = calendar.month_start(2023, 3, 0), calendar.month_start(2023, 4, 0)
MARCH = {"start": _START, "end": _END}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "allocation": {
        "year": 2023,
        "stage": "PRE",
        "amount_g": 100 * TONNE,
        "outputs": [],
        "share_percent": 100,
        "cut_g": 0,
        "decision": [],
        "allowed": [],
    },
    "transfer": {"buyer": "b", "vintage": 2023, "amount_g": 10 * TONNE, "price_fen_t": 7_000, "venue": ""},
    "offset": {"scheme": "CCER", "project": "p", "vintage": 2022, "first": 1, "count": 100},
    "retirement": {"scheme": "CCER", "first": 1, "count": 1, "purpose": "VOLUNTARY", "year": 2023},
    "reduction": {"year": 2023, "amount_g": TONNE, "description": "", "document": DOCUMENT},
    "verification": {"year": 2023, "emissions_g": 90 * TONNE, "sources": [], "document": DOCUMENT},
    "surrender": {"year": 2023, "lines": [{"vintage": 2023, "amount_g": 90 * TONNE}]},
    "closing": {"year": 2023, "shortfall_g": 0, "banked_g": 0, "expired_g": 0, "net_sold_g": 0, "allowed": []},
    "plan": {
        "year": 2024,
        "months": [{"emission_g": 1, "output": 1}] * 12,
        "product": "",
        "scale": 0,
        "unit": "MWh",
    },
    "target": {"base_year": 2020, "base_g": 9, "target_year": 2030, "target_g": 5, "path": []},
    "output": {**MARCH, "product": "power", "quantity": 5, "scale": 0, "unit": "MWh", "document": DOCUMENT},
    "gdp": {**MARCH, "amount_fen": 5, "document": DOCUMENT},
    "activity": {
        **MARCH,
        "source": "boiler",
        "quantity": 5,
        "scale": 0,
        "unit": "t",
        "rule": [{"name": "rule", "value": "fuel"}],
        "factors": bytes(32),
        "emission_g": 3 * TONNE,
        "allowed": [],
        "document": DOCUMENT,
    },
    "laboratory": {
        **MARCH,
        "source": "boiler",
        "sample": "1",
        "batch": "1",
        "carbon_ppm": 1,
        "ncv_kj_kg": 1,
        "document": DOCUMENT,
    },
    "price": {"year": 2024, "month": 6, "price_fen_t": 7_000},
    "decision": {
        "year": 2023,
        "rule": "shortfall",
        "outcome": "fine",
        "amount_fen": 0,
        "cut_g": 0,
        "reasons": "",
        "records": [],
    },
    "weather": {**MARCH, "level": "RED", "measures": []},
    "ruleset": {"name": "colours", "rules": "{}\n"},
    "assessment": {"point": "p", "anomaly": "anomaly/p/gap/raised/5", "verdict": "DISMISSED", "reason": "r"},
}
"""A content of each kind, but for whom it is about."""


def stated(party: str, number: int, kind: str, content: Mapping[str, Any]) -> Submission:
    """A submission of a party, whose signature nobody looks at here."""
    body = submission.body_of(party, number, kind, content, sha256(b"%d" % number).digest()[:16])
    return Submission(party, number, kind, content, sha256(b"%d" % number).digest()[:16], body, ((party, bytes(64)),))


def content_of(kind: str, subject: str = "a", **changes: Any) -> dict[str, Any]:
    """A content about a subject: DEFAULTS with changes."""
    about = {"transfer": "seller", "weather": "region", "price": "", "ruleset": ""}.get(kind, "subject")
    return {**({about: subject} if about else {}), **DEFAULTS[kind], **changes}


@dataclass
class Desk:
    """A book, and everybody who states something: each party counts its submissions and knows its past."""

    book: Book = field(default_factory=Book)
    numbers: dict[str, int] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    accepted: list[tuple[Submission, int]] = field(default_factory=list)

    def state(self, kind: str, subject: str = "a", *, at: int = NOW, by: str | None = None, **changes: Any) -> Refusal:
        """What the book says to the next submission of whoever states such a thing."""
        return self.say(by or _AUTHORS.get(kind, subject), kind, content_of(kind, subject, **changes), at)

    def say(self, party: str, kind: str, content: Mapping[str, Any], at: int = NOW) -> Refusal:
        """What the book says to a party's next submission."""
        number = self.numbers[party] = self.numbers.get(party, 0) + 1
        return self.take(stated(party, number, kind, content), at)

    def take(self, submission: Submission, at: int = NOW) -> Refusal:
        """What the book says to a submission."""
        refusal, entry = self.book.apply(submission, at)
        if refusal is Refusal.PASS:
            self.histories.setdefault(submission.party, History()).take(submission, entry)
            self.entries.append(entry)
            self.accepted.append((submission, at))
        return refusal

    def take_back(self, party: str, number: int, at: int = NOW) -> Refusal:
        """What the book says when a party takes one of its submissions back. Raises KeyError for none that stands."""
        return self.say(party, "reversal", self.histories[party].reversal(number, "wrong"), at)
