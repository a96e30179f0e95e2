"""The state half computed again from certified blocks and their payloads, by whoever has no packets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbon import plain as plains
from carbon import record as records
from carbon import submission
from carbon.packet import ZERO_DIGEST
from carbon.plain import differ
from carbon.record import Replaced
from carbon.refusal import Refusal
from carbon.substitution import stated
from consensus import registration
from consensus import state as states
from consensus.contract import Ruling
from consensus.log import leaf as leaves
from consensus.log.committee import change_of
from consensus.log.follower import LedgerError, VerifiedBlock
from consensus.log.leaf import MEMBERSHIP, REGISTRATION, SUBMISSION, WINDOW_RECORD, Leaf
from consensus.state import Chain, Head, State
from consensus.substitution import Told


def replay(state: State, block: VerifiedBlock, salts: bytes, payloads: list[bytes]) -> None:
    """Bring `state` from before a verified block to after it, from the payloads alone. Raises LedgerError.

    The state half is computed again for every record that passed the evidence half, and its verdict, like the digest of
    the state afterwards, must be the one that the committee certified.
    """
    check_payloads(block, salts, payloads)
    state.begin(block.height)
    in_force = state.registry_at(block.height)
    reasons = block.columns["reason"]
    passed = (reasons == 0) | (reasons >= Refusal.WRONG_PREDECESSOR)
    is_window = block.columns["kind"] == WINDOW_RECORD
    windows = np.flatnonzero(passed & is_window)
    left = _follow(state, in_force, np.take(block.columns, windows), [payloads[place] for place in windows.tolist()])
    others = np.union1d(windows[left], np.flatnonzero(passed & ~is_window))
    for place, leaf in zip(others.tolist(), leaves.opened(np.take(block.columns, others)), strict=True):
        try:
            _apply(state, leaf, payloads[place], block.height, block.header["time"])
        except ValueError as error:
            raise LedgerError(f"leaf {block.first + place}: {error}") from error
    for batch in block.header["batches"]:
        state.streams[batch["submitter"], batch["stream"]] = batch["number"]
    if states.digest(state.text()) != block.header["state"]:
        raise LedgerError(f"block {block.height}: the state that it leads to is not the one that it states")


def check_payloads(block: VerifiedBlock, salts: bytes, payloads: list[bytes]) -> None:
    """Whether payloads are what the leaves of a verified block commit to, all of them. Raises LedgerError."""
    count = len(block.hashes)
    if len(payloads) != count or len(salts) != records.SALT_BYTES * count:
        raise LedgerError(f"block {block.height}: payloads are missing")
    made, wanted = records.commitments(salts, payloads), block.columns["commitment"]
    if b"".join(made) != wanted.tobytes():
        wrong = [commitment != leaf for commitment, leaf in zip(made, wanted.tolist(), strict=True)].index(True)
        raise LedgerError(f"leaf {block.first + wrong}: not the payload that the leaf commits to")


def _follow(state: State, in_force: int, columns: NDArray[np.void], payloads: list[bytes]) -> NDArray[np.intp]:
    """Take in each point's records up to its first that is not plain, accepted and behind the one before it.

    Returns the places of the records that are left for a closer look. No point's records depend on another's.
    """
    plain = plains.read(payloads)
    if plain is None or not payloads:
        return np.arange(len(payloads))
    order = np.argsort(plain.point, kind="stable")
    number, leaf = plain.point[order], np.take(columns, order)
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    counts = np.diff(firsts, append=len(order))
    begun = zip(number[firsts].tolist(), plain.start[order[firsts]].tolist(), strict=True)
    chains = [_chain(plain.points[point].fields, first) for point, first in begun]
    heads = [state.heads.get(chain.point) or Head(chain.first, ZERO_DIGEST) for chain in chains]
    reach = [(head.window_end, chain.window_ms) for head, chain in zip(heads, chains, strict=True)]
    if any(abs(end) >> 62 or abs(span) >> 41 for end, span in reach):
        return np.arange(len(payloads))  # times that would leave 64 bits
    end, span = np.array(reach).T
    due = np.repeat(end - firsts * span, counts) + np.arange(len(order)) * np.repeat(span, counts)
    before = np.roll(leaf["commitment"], 1)
    before[firsts] = np.frombuffer(b"".join(head.commitment for head in heads), "V32")
    clauses = [~plain.plain[order], leaf["reason"] != 0, plain.start[order] != due]
    is_substituted = [stated(plain.points[point].fields["rule"]) is not None for point in number[firsts].tolist()]
    clauses += [np.repeat(is_substituted, counts)]
    clauses += [differ(plain.previous[order], before), differ(plain.evidence_root[order], leaf["evidence_root"])]
    clauses += [leaf["registry_height"] != in_force]
    wrong = np.logical_or.reduce(clauses)
    so_far = np.cumsum(wrong)
    taken = so_far == np.repeat(so_far[firsts] - wrong[firsts], counts)
    windows = np.add.reduceat(taken, firsts, dtype=np.intp)
    lasts, grams = leaf["commitment"][firsts + windows - 1], np.add.reduceat(plain.emission[order] * taken, firsts)
    after = (column.tolist() for column in (end + windows * span, lasts, grams))
    for chain, any_, *head in zip(chains, windows.tolist(), *after, strict=True):
        if any_:
            state.advance(chain, *head)
    return np.sort(order[~taken])


def _chain(fields: dict[str, Any], start: int) -> Chain:
    """A point's chain; its first window is the registry's word, which a genesis alone takes from the first record."""
    return Chain(fields["point"], fields["subject"], 1000 * fields["window_seconds"], start)


def _apply(state: State, leaf: Leaf, payload: bytes, height: int, time_ms: int) -> None:
    """Apply the state half to one record. Raises ValueError if its verdict is another than its leaf's."""
    if leaf.kind == MEMBERSHIP:
        refusal = state.enact(change_of(payload), height)
    elif leaf.kind == REGISTRATION:
        refusal = state.amend(registration.change_of(payload), height)
    elif leaf.kind == SUBMISSION:
        refusal = state.submit(submission.read(payload), leaf.registry_height, height, time_ms)
    else:
        refusal = _judge(state, leaf, payload, height)
    if refusal != leaf.reason:
        raise ValueError("its verdict does not follow from the ledger")


def _judge(state: State, leaf: Leaf, payload: bytes, height: int) -> Refusal:
    fields = records.read(payload)  # its leaf commits to it, and its verdict is checked
    root, start = leaf.evidence_root, fields["window_start"]
    if fields["evidence_root"] != root:
        raise ValueError("another evidence root than its payload's")
    if leaf.registry_height != state.registry_at(height):
        return Refusal.OTHER_REGISTRY
    replaced, posted = fields["replaces"] and Replaced(**fields["replaces"]), records.posted_g(fields)
    link = (fields["previous"], fields["version"], posted, replaced, Told.read(fields))
    return state.apply(_chain(fields, start), start, Ruling(Refusal.PASS, b"", leaf.commitment, root, *link))
