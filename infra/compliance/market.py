"""The parties of a scenario and the ledger's judgement of what they state: offline, in this process, without votes.

Each statement is a signed submission that passes the same two halves as in the committee: `carbon.claims.refusal` and
the book's `apply`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

from carbon import calendar, claims, signing
from carbon import factors as factor_sets
from carbon import registry as registries
from carbon import submission as submissions
from carbon.ledger.book import Book
from carbon.ledger.chart import Entry
from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.signers import Role
from carbon.submission import Submission
from infra.compliance.scenario import Scenario

CHANNEL = sha256(b"carbonledger compliance scenario").digest()
"""Stands for the digest of a genesis: signatures of a scenario count on no channel."""
AUTHORITIES: Mapping[str, tuple[Role, bool]] = {
    "authority": ("regulator", True),
    "statistics": ("statistics", True),
    "verifier": ("verifier", False),
    "exchange": ("exchange", False),
    "ccer-registry": ("offset registry", False),
}
"""Their roles, and whether they are the region's own."""
NOON_MS = 43_200_000


@dataclass(frozen=True)
class Stated:
    """A statement and its verdict; `entry` is what it posted, empty for one that is refused."""

    day: date
    submission: Submission
    refusal: Refusal
    entry: Entry
    payload: bytes

    @property
    def commitment(self) -> bytes:
        """What its leaf would commit to it by."""
        return self.submission.commitment


@dataclass
class Market:
    """All that was stated so far, and the book that it made."""

    registry: Registry
    utc_offset_minutes: int
    book: Book
    channel: bytes = CHANNEL
    stated: list[Stated] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def state(self, day: date, kind: str, content: Mapping[str, Any], *parties: str) -> Stated:
        """A submission by its author, and those who sign with it, at noon of a day; judged."""
        assert not self.stated or self.stated[-1].day <= day
        author = parties[0]
        number = self._numbers[author] = self._numbers.get(author, 0) + 1
        salt = sha256(f"{author} {number}".encode()).digest()[: submissions.SALT_BYTES]
        body = submissions.body_of(author, number, kind, content, salt)
        payload = submissions.signed(body, {party: seed(party) for party in parties}, self.channel)
        refusal, entry = self._judge(payload, self.instant(day))
        made = Stated(day, submissions.read(payload), refusal, entry, payload)
        self.stated.append(made)
        return made

    def _judge(self, payload: bytes, time_ms: int) -> tuple[Refusal, Entry]:
        refusal = claims.refusal(payload, self.channel, self.registry, self.utc_offset_minutes)
        if refusal is not Refusal.PASS:
            return refusal, ()
        return self.book.apply(submissions.read(payload), time_ms)

    def instant(self, day: date) -> int:
        """Noon of a day where the channel is, ms UTC."""
        days = (day - date(day.year, day.month, 1)).days
        return calendar.month_start(day.year, day.month, self.utc_offset_minutes) + days * calendar.DAY_MS + NOON_MS

    def accepted(self, kind: str, subject: str) -> list[Stated]:
        """What was accepted of a kind about a subject, in order."""
        return [
            each
            for each in self.stated
            if each.submission.kind == kind and each.submission.subject == subject and each.refusal is Refusal.PASS
        ]


def seed(party: str) -> bytes:
    """The key of a party of a scenario: known to everybody, as everything of a scenario is."""
    return sha256(f"compliance scenario {party}".encode()).digest()


def market_of(scenario: Scenario, channel: bytes = CHANNEL) -> Market:
    """The registry and the empty book of a scenario, signatures being for the channel.

    Raises RegistryError, FactorError.
    """
    file, offset = registry_file(scenario), scenario.utc_offset_minutes
    registry = registries.parse(file, factor_sets.load(scenario.factors))
    return Market(registry, offset, Book(utc_offset_minutes=offset), channel)


def registry_file(scenario: Scenario) -> bytes:
    """The registry of a scenario, as its file: subjects and parties, no points."""
    raw = {
        "prefix": "99.1000.1",
        "subjects": _subjects(scenario),
        "gateways": [],
        "submitters": [],
        "points": [],
        "limits": {"future_ms": 0, "age_ms": 0},
        "parties": _parties(scenario),
    }
    return registries.canonical_json(raw)


def _subjects(scenario: Scenario) -> list[dict[str, Any]]:
    region = {"id": scenario.region, "name": scenario.region, "kind": "region", "parent": None}
    below = [
        {"id": each.id, "name": each.name, "kind": "controlled", "parent": scenario.region, "sector": each.sector}
        for each in scenario.enterprises
    ]
    return [region, *below]


def _parties(scenario: Scenario) -> list[dict[str, Any]]:
    authorities = [
        {"id": name, "role": role, "subject": scenario.region if local else None}
        for name, (role, local) in AUTHORITIES.items()
    ]
    enterprises = [{"id": each.id, "role": "enterprise", "subject": each.id} for each in scenario.enterprises]
    return [{**party, "key": signing.public_key(seed(str(party["id"]))).hex()} for party in authorities + enterprises]
