"""Rows of table `votes_log`: who of its committee stands behind a verified block."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from consensus.log.follower import VerifiedBlock
from schemas import codec
from sinks.clickhouse.rows import TIME

VOTES = pa.schema(
    [
        ("height", pa.uint64()),
        ("time", TIME),
        ("epoch", pa.uint32()),
        ("place", pa.uint8()),
        ("member", pa.string()),
        ("role", pa.string()),
        ("certified", pa.bool_()),
        ("endorsements", pa.uint32()),
    ]
)


def vote_rows(block: VerifiedBlock) -> Iterator[dict[str, Any]]:
    """A row for each member of the committee in charge of a block."""
    endorsed = Counter(codec.read("consensus-message", vote)["member"] for vote in block.votes)
    head = {"height": block.height, "time": block.header["time"], "epoch": block.committee.epoch}
    for member in block.committee.members:
        yield head | {
            "place": member.index,
            "member": member.name,
            "role": member.role,
            "certified": member.index in block.signers,
            "endorsements": endorsed[member.index],
        }
