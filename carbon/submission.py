"""Submissions: what no meter says — allowances, trades, plans, output, bills of fuel — signed by who may say it.

A submission is judged twice, as a record is. What its bytes and the registry alone decide is judged here and in
`carbon.claims`; what depends on what came before is judged by `carbon.ledger.book`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carbon import anomaly, calendar, identity, signing
from carbon import record as records
from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.subjects import speaks_for
from schemas import codec

KIND = "submission"
"""Kind of the signatures, over the body."""
SALT_BYTES = 16

ROLES: Mapping[str, tuple[str, ...]] = {
    "allocation": ("regulator",),
    "transfer": ("enterprise",),
    "offset": ("offset registry",),
    "retirement": ("enterprise",),
    "reduction": ("verifier",),
    "verification": ("verifier",),
    "surrender": ("enterprise",),
    "closing": ("regulator",),
    "plan": ("enterprise",),
    "target": ("enterprise",),
    "output": ("enterprise", "statistics"),
    "gdp": ("statistics", "regulator"),
    "activity": ("enterprise",),
    "laboratory": ("laboratory",),
    "price": ("exchange",),
    "decision": ("regulator",),
    "weather": ("regulator",),
    "ruleset": ("regulator",),
    "assessment": ("verifier", "regulator", "enterprise"),
    "reversal": ("regulator", "verifier", "enterprise", "offset registry", "statistics", "laboratory", "exchange"),
}
"""Who may submit what, by kind."""


@dataclass(frozen=True)
class Submission:
    """One submission, decoded. `content` is the value of schema submission-<kind>; g CO2e, ms UTC, 0.01 CNY."""

    party: str
    number: int
    kind: str
    content: Mapping[str, Any]
    salt: bytes
    body: bytes
    signatures: tuple[tuple[str, bytes], ...]
    """Party and signature: the author's first."""

    @property
    def subject(self) -> str | None:
        """Whose account it is about: a transfer's seller, a heavy-pollution region; none of prices and rules."""
        for name in ("subject", "seller", "region"):
            if name in self.content:
                return str(self.content[name])
        return None

    @property
    def commitment(self) -> bytes:
        """What its leaf commits to it by: SHA-256 of its salt and payload."""
        rows = [{"party": party, "signature": signature} for party, signature in self.signatures]
        return records.commitment(self.salt, codec.encode_bare("submission", {"body": self.body, "signatures": rows}))


def read(payload: bytes) -> Submission:
    """The submission of a payload. Raises CodecError."""
    outer = codec.decode_bare("submission", payload)
    return _of_body(outer["body"], tuple((row["party"], row["signature"]) for row in outer["signatures"]))


def _of_body(data: bytes, signatures: tuple[tuple[str, bytes], ...] = ()) -> Submission:
    body = codec.decode_bare("submission-body", data)
    if body["kind"] not in ROLES:
        raise codec.CodecError(f"no kind of submission: {body['kind']!r}")
    content = codec.decode_bare(f"submission-{body['kind']}", body["content"])
    return Submission(**{**body, "content": content}, body=data, signatures=signatures)


def reversed_by(submission: Submission) -> Submission | None:
    """What a reversal takes back, unsigned; None unless it is of the same party and the stated number."""
    try:
        original = _of_body(submission.content["body"])
    except codec.CodecError:
        return None
    stated = (submission.party, submission.content["number"])
    return original if (original.party, original.number) == stated else None


def body_of(party: str, number: int, kind: str, content: Mapping[str, Any], salt: bytes) -> bytes:
    """What the parties sign. Raises what `codec.encode_bare` raises for a content that is not of its schema."""
    inner = codec.encode_bare(f"submission-{kind}", content)
    fields = {"party": party, "number": number, "kind": kind, "content": inner, "salt": salt}
    return codec.encode_bare("submission-body", fields)


def signed(body: bytes, seeds: Mapping[str, bytes], channel: bytes) -> bytes:
    """The payload of a body, signed by some parties with their seeds, in that order: the author's first."""
    rows = [{"party": party, "signature": signing.sign(seed, KIND, channel, body)} for party, seed in seeds.items()]
    return codec.encode_bare("submission", {"body": body, "signatures": rows})


def salt_of(payload: bytes) -> bytes | None:
    """The salt of a payload that is a submission; None for any other bytes."""
    try:
        return read(payload).salt
    except codec.CodecError:
        return None


def code(submission: Submission, commitment: bytes, time_ms: int, prefix: str) -> str:
    """The carbon code of a submission in a block of that time: of whom it is about, else of its party."""
    about = submission.subject or submission.party
    return identity.submission_code(prefix, about, submission.kind, time_ms, commitment)


def plain(value: Any) -> Any:
    """A content, or a part of one, as a JSON value: bytes in hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def envelope_refusal(submission: Submission, channel: bytes, registry: Registry, utc_offset_minutes: int) -> Refusal:
    """Whether those who must have signed did, and may say this: the part of the evidence half common to all kinds."""
    author = registry.parties.get(submission.party)
    if author is None:
        return Refusal.UNKNOWN_PARTY
    if submission.number < 1 or len(submission.salt) != SALT_BYTES:
        return Refusal.MALFORMED
    if not _all_signed(submission, channel, registry):
        return Refusal.NOT_SIGNED
    if author.role not in ROLES[submission.kind]:
        return Refusal.WRONG_ROLE
    for subject in subjects_of(submission):
        if subject not in registry.subjects:
            return Refusal.UNKNOWN_SUBJECT
    if submission.subject is not None:
        at_ms = moment(submission, utc_offset_minutes)
        if not speaks_for(author, submission.subject, at_ms, registry):
            return Refusal.WRONG_ROLE
    return _countersigned(submission, registry)


def subjects_of(submission: Submission) -> tuple[str, ...]:
    """Every subject that a submission names as whom it is about."""
    names = (submission.content.get(name) for name in ("subject", "seller", "buyer", "region"))
    return tuple(str(name) for name in names if name is not None)


def moment(submission: Submission, utc_offset_minutes: int) -> int:
    """The last instant of what it is about, ms UTC: who was above whom then decides whose word counts; else 0."""
    content = submission.content
    if "end" in content:
        return int(content["end"]) - 1
    if content.get("year") in calendar.YEARS:
        return calendar.year_start(content["year"] + 1, utc_offset_minutes) - 1
    raised = anomaly.raised(content.get("anomaly", ""))
    return 0 if raised is None else raised.at


def _all_signed(submission: Submission, channel: bytes, registry: Registry) -> bool:
    signers = [name for name, _ in submission.signatures]
    if signers[:1] != [submission.party] or len(set(signers)) != len(signers):
        return False
    for name, signature in submission.signatures:
        party = registry.parties.get(name)
        if party is None or not signing.verify(party.key, KIND, channel, submission.body, signature):
            return False
    return True


def _countersigned(submission: Submission, registry: Registry) -> Refusal:
    """A transfer needs the buyer's signature beside the seller's, to be taken back too; nothing else a second one."""
    stated = reversed_by(submission) if submission.kind == "reversal" else submission
    if stated is None or stated.kind != "transfer":
        return Refusal.PASS
    others = (registry.parties[name] for name, _ in submission.signatures[1:])
    buyer = stated.content["buyer"]
    signed_by_buyer = any(party.role == "enterprise" and party.subject == buyer for party in others)
    return Refusal.PASS if signed_by_buyer else Refusal.NOT_COUNTERSIGNED
