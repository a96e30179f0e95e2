"""What the demonstration's parties submit, all declared: of every emitter allowances, a plan, output, value added."""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

from carbon import calendar, submission
from carbon.emission import round_half_even
from carbon.registry import Registry
from carbon.signers import Role
from consensus import submission as submissions
from infra.channel import Channel, party_key
from infra.demo.parameters import FILE, Parameters, Stated

GRAMS_PER_TONNE = 1_000_000
SCALE = 3
"""Decimal places of output."""


class Statement(NamedTuple):
    """The content of a submission, and who states it: the role, and of an enterprise the subject."""

    role: Role
    subject: str | None
    kind: str
    content: dict[str, Any]

    def party(self, registry: Registry) -> str:
        """The registered party that states it. Raises LookupError for a registry without one."""
        for party in registry.parties.values():
            if party.role == self.role and self.subject in (None, party.subject):
                return party.id
        raise LookupError(f"no party of role {self.role} for {self.subject}")


def statements(parameters: Parameters, utc_offset_minutes: int, days: int | None) -> list[Statement]:
    """All of them, in the order in which they are submitted. Output is of the `days` replayed, None for the year's.

    Value added is of the months that these touch: it is stated by the month.
    """
    year, document = parameters.submissions.year, sha256(FILE.read_bytes()).digest()
    replayed = parameters.rows(days) // (calendar.DAY_MS // 1000 // parameters.time.step_seconds)
    told = parameters.submissions.stated
    found = [Statement("regulator", None, "allocation", _allocation(stated, year)) for stated in told]
    found += [Statement("enterprise", stated.subject, "plan", _plan(stated, year)) for stated in told]
    start = calendar.year_start(year, utc_offset_minutes)
    for stated in told:
        period = {"subject": stated.subject, "start": start, "end": start + replayed * calendar.DAY_MS}
        quantity = round_half_even(stated.output * 10**SCALE * replayed, _days(year)[-1])
        put_out = {"product": stated.product, "quantity": quantity, "scale": SCALE, "unit": stated.unit}
        found.append(Statement("enterprise", stated.subject, "output", period | put_out | {"document": document}))
    values = [(stated.subject, stated.value_added) for stated in told]
    for subject, added in [*values, (parameters.region.id, parameters.submissions.region_value_added)]:
        content = {"subject": subject, **_value_added(added, year, replayed, utc_offset_minutes)}
        found.append(Statement("statistics", None, "gdp", content | {"document": document}))
    return found


def proposal(parameters: Parameters, channel: Channel) -> bytes:
    """The message of records.proposed with all of them, each signed by its party, in one batch of the regulator's.

    Salts are new each time: whoever may have to send it again keeps it. Raises EnvironmentFault without a key.
    """
    found = statements(parameters, channel.genesis.utc_offset_minutes, channel.days)
    numbers, payloads = Counter[str](), []
    for statement in found:
        party = statement.party(channel.registry)
        numbers[party] += 1
        salt = secrets.token_bytes(submission.SALT_BYTES)
        body = submission.body_of(party, numbers[party], statement.kind, statement.content, salt)
        payloads.append(submission.signed(body, {party: _seed(channel, party)}, channel.genesis.digest))
    brings = found[0].party(channel.registry)
    return submissions.proposal(payloads, brings, _seed(channel, brings), 1, 0, channel.genesis.digest)


def _seed(channel: Channel, party: str) -> bytes:
    return channel.seed(party_key(party))


def _allocation(stated: Stated, year: int) -> dict[str, Any]:
    amount = {"stage": "PRE", "amount_g": stated.allowances * GRAMS_PER_TONNE, "share_percent": 100}
    return {"subject": stated.subject, "year": year, **amount, "outputs": [], "cut_g": 0, "decision": [], "allowed": []}


def _plan(stated: Stated, year: int) -> dict[str, Any]:
    """Each month has its days' share."""
    grams = _by_month(stated.planned * GRAMS_PER_TONNE, year)
    output = _by_month(stated.output * 10**SCALE, year)
    months = [{"emission_g": emission, "output": put_out} for emission, put_out in zip(grams, output, strict=True)]
    product = {"product": stated.product, "scale": SCALE, "unit": stated.unit}
    return {"subject": stated.subject, "year": year, "months": months, **product}


def _value_added(added: int, year: int, replayed: int, utc_offset_minutes: int) -> dict[str, Any]:
    ends = _days(year)
    last = next(month for month, end in enumerate(ends) if end >= replayed)
    period = [calendar.month_start(year, month, utc_offset_minutes) for month in (1, last + 1)]
    return {"start": period[0], "end": period[1], "amount_fen": round_half_even(100 * added * ends[last], ends[-1])}


def _days(year: int) -> Sequence[int]:
    """Days of a year before each month, and of the whole year."""
    first = date(year, 1, 1)
    months = [date(year, month, 1) for month in range(1, 13)]
    return [(begin - first) // timedelta(days=1) for begin in (*months, date(year + 1, 1, 1))]


def _by_month(amount: int, year: int) -> Iterator[int]:
    """An integer amount over the months by their days; the parts add up."""
    days = _days(year)
    shares = [round_half_even(amount * before, days[-1]) for before in days]
    return (after - before for before, after in pairwise(shares))
