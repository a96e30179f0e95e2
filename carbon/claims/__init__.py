"""What a submission claims, checked against the registry and the factor set alone: one function a kind.

Amounts are positive and bounded, periods and units are right, and what a formula gives is computed again
(`docs/submission-rules.md`).
"""

from collections.abc import Mapping

from carbon.claims import accounts, authority, facts, plans
from carbon.claims.activity import activity
from carbon.claims.ground import Ground, Rule
from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.submission import Submission, envelope_refusal, read
from schemas import codec

RULES: Mapping[str, Rule] = {
    "allocation": accounts.allocation,
    "transfer": accounts.transfer,
    "offset": accounts.offset,
    "retirement": accounts.retirement,
    "reduction": accounts.reduction,
    "verification": accounts.verification,
    "surrender": accounts.surrender,
    "closing": accounts.closing,
    "reversal": accounts.reversal,
    "plan": plans.plan,
    "target": plans.target,
    "output": facts.output,
    "gdp": facts.gdp,
    "activity": activity,
    "laboratory": facts.laboratory,
    "price": facts.price,
    "decision": authority.decision,
    "weather": authority.weather,
    "ruleset": authority.ruleset,
    "assessment": authority.assessment,
}
"""The rules of each kind."""


def refusal(payload: bytes, channel: bytes, registry: Registry, utc_offset_minutes: int) -> Refusal:
    """The evidence half of a submission: a pure function of its bytes, the registry, and what the genesis says.

    `channel` is the digest of the genesis, `utc_offset_minutes` the offset at which days and years begin.
    """
    try:
        submission = read(payload)
    except codec.CodecError:
        return Refusal.MALFORMED
    stated = envelope_refusal(submission, channel, registry, utc_offset_minutes)
    return stated or content_refusal(submission, registry, utc_offset_minutes)


def content_refusal(submission: Submission, registry: Registry, utc_offset_minutes: int) -> Refusal:
    """The rules of its kind."""
    return RULES[submission.kind](submission, Ground(registry, utc_offset_minutes))
