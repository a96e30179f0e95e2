"""The newest records of some points, from a member's copy of the ledger, each block checked before it counts."""

from collections.abc import Collection
from typing import Any

from carbon import record as records
from carbon.ledger.moment import Moment
from consensus.log import leaf as leaves
from consensus.log import package as packages
from consensus.log.follower import Follower
from consensus.replay import check_payloads
from infra.copy import LedgerCopy

Windows = dict[int, dict[str, Any]]
"""Window start, ms UTC, to the fields of its newest accepted record."""


def newest(copy: LedgerCopy, points: Collection[str], moment: Moment) -> dict[str, Windows]:
    """The windows of each point, up to a moment. Raises LedgerError, EnvironmentFault."""
    beginnings = tuple(map(records.beginning, points))
    reader, found = Follower(copy.channel.genesis), dict[str, Windows]({point: {} for point in points})
    for package in copy.packages():
        message, salts, payloads = packages.read(package)
        block = reader.accept(message)
        assert block is not None, "a copy holds each height once"
        if not moment.includes(block.height, block.header["time"]):
            break
        check_payloads(block, salts, payloads)
        accepted = (block.columns["verdict"] == leaves.ACCEPTED) & (block.columns["kind"] == leaves.WINDOW_RECORD)
        for is_record, payload in zip(accepted.tolist(), payloads, strict=True):
            if is_record and payload.startswith(beginnings):
                fields = records.decode(payload)
                found[fields["point"]][fields["window_start"]] = fields
    return found
