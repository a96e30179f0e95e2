"""Submissions on their way to the committee: the batch in which a party brings some.

Who brings a batch need not be who signed what is in it: each submission is judged for itself.
"""

from collections.abc import Sequence

from carbon import signing
from consensus.log.leaf import SUBMISSION
from schemas import codec

STREAM = "submissions"
"""Of every party, and of nobody else."""
BATCH = "batch"
"""Kind of the signature, over the batch."""


def proposal(
    payloads: Sequence[bytes], party: str, seed: bytes, number: int, registry_height: int, channel: bytes
) -> bytes:
    """The message of records.proposed by which a party brings submissions in its batch of that number, signed."""
    count = len(payloads)
    stream = {"submitter": party, "stream": STREAM, "number": number}
    kind = {"kind": SUBMISSION, "registry_height": registry_height}
    columns = {"points": [STREAM], "point": bytes(2 * count), "window": bytes(8 * count), "payloads": list(payloads)}
    body = codec.encode_bare("batch", stream | kind | columns)
    return codec.encode("proposal", {"body": body, "signature": signing.sign(seed, BATCH, channel, body)})
