"""The ledger's figures at a moment, from a member's copy, each block checked before it counts."""

import numpy as np

from carbon import record as records
from carbon.ledger.reads import Moment, View, changes_of_hands
from carbon.registry import Registry
from consensus import registration
from consensus.log import leaf as leaves
from consensus.log import package as packages
from consensus.log.follower import Follower, VerifiedBlock
from consensus.replay import check_payloads
from infra.copy import LedgerCopy


def view(copy: LedgerCopy, moment: Moment) -> View:
    """What stands after the last block that a moment includes. Raises LedgerError, EnvironmentFault."""
    found = _fold(copy, moment, changes_of_hands(copy.channel.registry))
    while (changes := changes_of_hands(found.registry)) != found.changes:
        # a later registry says that a subject changed hands: what was read is cut there too
        found = _fold(copy, moment, changes)
    return found


def _fold(copy: LedgerCopy, moment: Moment, changes: tuple[int, ...]) -> View:
    genesis = copy.channel.genesis
    reader, registries = Follower(genesis), {0: copy.channel.registry}
    found = View(copy.channel.registry, genesis.utc_offset_minutes, changes)
    for package in copy.packages():
        message, salts, payloads = packages.read(package)
        block = reader.accept(message)
        assert block is not None, "a copy holds each height once"
        if not moment.includes(block.height, block.header["time"]):
            break
        check_payloads(block, salts, payloads)
        _take(found, registries, block, payloads)
    return found


def _take(found: View, registries: dict[int, Registry], block: VerifiedBlock, payloads: list[bytes]) -> None:
    kinds = np.where(block.columns["verdict"] == leaves.ACCEPTED, block.columns["kind"], 0)
    for kind, payload in zip(kinds.tolist(), payloads, strict=True):
        if kind == leaves.WINDOW_RECORD:
            # byte for byte what the members put together themselves
            found.record(records.read(payload), block.height)
        elif kind == leaves.REGISTRATION:
            registration.adopt(registries, payload)
    found.registry = registries[max(registries)]
    found.stand(block.height, block.header["time"])
