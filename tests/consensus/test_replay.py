"""Replaying a block at once says what replaying it record by record says, whatever stands in the block."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carbon import record
from carbon.refusal import Refusal
from consensus import replay as replays
from consensus.log import leaf
from consensus.log import package as packages
from consensus.log.follower import Follower, LedgerError, VerifiedBlock
from consensus.log.package import Package
from consensus.state import State
from infra.verification import Verification
from schemas import codec
from tests import synthetic
from tests.small import HOUR, START, World

BEFORE = 2
"""Blocks that the state stands on."""
Fields = dict[str, Any]


class Scene:
    """The next block of a small ledger, and the state before it."""

    def __init__(self) -> None:
        world = World.make(points=3, gateways=2)
        self.packages = synthetic.build(world, BEFORE + 1, batches=3, hours=3)
        self.horizon_ms = 1000 * world.genesis.evidence_horizon_seconds
        follower, state = Follower(world.genesis), State(self.horizon_ms)
        for data in self.packages:
            self.before = state.text()
            self.package, self.block = opened(follower, data)
            replays.replay(state, self.block, *self.package[1:])
        self.after = state.text()

    def state(self) -> State:
        return State.load(self.before, self.horizon_ms)


def opened(follower: Follower, data: bytes) -> tuple[Package, VerifiedBlock]:
    package = packages.read(data)
    block = follower.accept(package.block)
    assert block is not None
    return package, block


SCENE = Scene()
COUNT = len(SCENE.package.payloads)
HASHES = st.sampled_from([bytes(32), b"\1" * 32])


def test_a_ledger_is_replayed_to_the_same_state_both_ways(monkeypatch):
    state = SCENE.state()
    monkeypatch.setattr(replays, "_follow", none_at_once)
    replays.replay(state, SCENE.block, *SCENE.package[1:])
    assert state.text() == SCENE.after != SCENE.before


def test_nearly_all_is_taken_at_once():
    """All but the refused record, the correction, and what stands behind it in its chain."""
    passed = np.flatnonzero(SCENE.block.columns["reason"] == 0)
    payloads = [SCENE.package.payloads[place] for place in passed]
    left = replays._follow(SCENE.state(), 0, SCENE.block.columns[passed], payloads)
    assert len(passed) == COUNT - 1
    assert 1 <= len(left) <= 1 + 3
    assert record.read(payloads[left[0]])["version"] == 2


def test_of_another_registry_than_the_one_in_force_nothing_is_taken_at_once():
    passed = np.flatnonzero(SCENE.block.columns["reason"] == 0)
    payloads = [SCENE.package.payloads[place] for place in passed]
    assert len(replays._follow(SCENE.state(), 5, SCENE.block.columns[passed], payloads)) == len(passed)


def none_at_once(_state: State, _in_force: int, _columns: Any, payloads: list[bytes]) -> Any:
    return np.arange(len(payloads))


def outcome(block: VerifiedBlock, salts: bytes, payloads: list[bytes], end: int | None = None) -> tuple[str, bytes]:
    """Why a block is refused, and the state after all of its records if it is for that state only.

    `end`, when given, is where the newest window of plant-0-0 ended before.
    """
    state = SCENE.state()
    if end is not None:
        state.heads["plant-0-0"] = state.heads["plant-0-0"]._replace(window_end=end)
    try:
        replays.replay(state, block, salts, payloads)
    except LedgerError as error:
        return str(error), state.text() if "the state that it leads to" in str(error) else b""
    return "", state.text()


Change = Callable[[list[bytes], np.ndarray], None]
"""Makes something else of the payloads of a block and of its leaves' columns."""


def of_fields(place: int, new: Fields) -> Change:
    def change(payloads: list[bytes], columns: np.ndarray) -> None:
        try:
            fields = record.decode(payloads[place]) | new
        except codec.CodecError:
            return
        payloads[place] = codec.encode_bare("record", fields)
        if "evidence_root" not in new or place % 2:
            columns["evidence_root"][place] = fields["evidence_root"]

    return change


def of_bytes(place: int, at: int, bit: int) -> Change:
    def change(payloads: list[bytes], columns: np.ndarray) -> None:
        damaged = bytearray(payloads[place] or b"\0")
        damaged[at % len(damaged)] ^= 1 << bit
        payloads[place] = bytes(damaged)

    return change


def of_length(place: int, size: int) -> Change:
    def change(payloads: list[bytes], columns: np.ndarray) -> None:
        payloads[place] = (payloads[place] + b"\0" * 8)[:size]

    return change


def of_verdict(place: int, reason: int) -> Change:
    def change(payloads: list[bytes], columns: np.ndarray) -> None:
        columns["reason"][place] = reason
        columns["verdict"][place] = leaf.REJECTED if reason else leaf.ACCEPTED

    return change


def of_kind(place: int, kind: int) -> Change:
    def change(payloads: list[bytes], columns: np.ndarray) -> None:
        columns["kind"][place] = kind

    return change


def of_order(place: int, other: int) -> Change:
    def change(payloads: list[bytes], columns: np.ndarray) -> None:
        payloads[place], payloads[other] = payloads[other], payloads[place]
        columns[[place, other]] = columns[[other, place]]

    return change


PLACES = st.integers(0, COUNT - 1)
RANGE = {"gateway": "gw-0", "run": 0, "first": 1, "last": 300, "digest": bytes(32)}
REPLACED = {"version": 1, "evidence_root": bytes(32), "emission_g": 0}
NUMBERS = st.sampled_from([-1, 0, 1, 63, 64, 8_192, 2**31 - 1, 2**47, 2**48, 2**62, -(2**63)])
TIERS = f" · missing hours after 24 h: part75 from {START} up to 5"
FIELDS = st.one_of(
    st.fixed_dictionaries({"previous": HASHES}),
    st.fixed_dictionaries({"evidence_root": HASHES}),
    st.fixed_dictionaries({"boundary": HASHES}),
    st.fixed_dictionaries({"emission_g": NUMBERS}),
    st.fixed_dictionaries({"quantity": NUMBERS}),
    st.fixed_dictionaries({"window_start": NUMBERS}),
    st.fixed_dictionaries({"version": st.sampled_from([0, 1, 2, 64])}),
    st.fixed_dictionaries({"cause": st.sampled_from(record.CAUSES)}),
    st.fixed_dictionaries({"replaces": st.sampled_from([None, REPLACED])}),
    st.fixed_dictionaries({"evidence": st.sampled_from([[], [RANGE], [RANGE, RANGE | {"gateway": "ä"}]])}),
    st.fixed_dictionaries({"point": st.sampled_from(["plant-0-0", "plant-1-1", "new", "", "x" * 200])}),
    st.fixed_dictionaries({"subject": st.sampled_from(["plant", "region"])}),
    st.fixed_dictionaries({"rule": st.sampled_from(["none", f"none{TIERS}", f"none{TIERS} · tier none"])}),
    st.fixed_dictionaries({"window_seconds": st.sampled_from([0, 900, -3600, 2**31 - 1])}),
)
OF_ONE_POINT = [
    place
    for place, payload in enumerate(SCENE.package.payloads)
    if record.decode(payload)["point"] == "plant-0-0" and SCENE.block.columns["reason"][place] == 0
]
NONE_NEXT = [
    of_verdict(place, Refusal.WRONG_PREDECESSOR if number else Refusal.WINDOW_NOT_NEXT)
    for number, place in enumerate(OF_ONE_POINT)
]
CHANGES = st.one_of(
    st.builds(of_fields, PLACES, FIELDS),
    st.builds(of_bytes, PLACES, st.integers(0, 10_000), st.integers(0, 7)),
    st.builds(of_bytes, PLACES, st.integers(-12, -1), st.integers(0, 7)),
    st.builds(of_length, PLACES, st.integers(0, 400)),
    st.builds(of_verdict, PLACES, st.sampled_from([0, *Refusal])),
    st.builds(of_kind, PLACES, st.sampled_from([leaf.MEMBERSHIP, leaf.SUBMISSION, 9])),
    st.builds(of_order, PLACES, PLACES),
)


@example(NONE_NEXT, False, 2**63)
@example([of_kind(OF_ONE_POINT[0], 9)], False, None)
@given(st.lists(CHANGES, max_size=4), st.booleans(), st.sampled_from([None, None, -(2**64), 2**63]))
def test_a_block_that_liars_certified_fares_the_same_both_ways(changes, chained, end):
    """What the leaves commit to is changed with them, as a committee of liars could; `chained`, later records too."""
    payloads, columns = list(SCENE.package.payloads), SCENE.block.columns.copy()
    for change in changes:
        change(payloads, columns)
    if chained:
        relink(payloads, columns)
    columns["commitment"] = np.frombuffer(b"".join(record.commitments(SCENE.package.salts, payloads)), "V32")
    block = dataclasses.replace(SCENE.block, columns=columns)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replays, "_follow", none_at_once)
        wanted = outcome(block, SCENE.package.salts, payloads, end)
    assert outcome(block, SCENE.package.salts, payloads, end) == wanted
    assert changes or end or wanted == ("", SCENE.after)


def relink(payloads: list[bytes], columns: np.ndarray) -> None:
    """Let every readable record name the commitment of its point's last accepted one."""
    state, size = SCENE.state(), record.SALT_BYTES
    heads = {point: head.commitment for point, head in state.heads.items()}
    for place, payload in enumerate(payloads):
        try:
            fields = record.decode(payload)
        except codec.CodecError:
            continue
        fields["previous"] = heads.get(fields["point"], bytes(32))
        payloads[place] = codec.encode_bare("record", fields)
        if columns["reason"][place] == 0:
            salt = SCENE.package.salts[size * place : size * place + size]
            heads[fields["point"]] = record.commitment(salt, payloads[place])


@given(st.integers(0, COUNT - 1), st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_of_a_payload_or_salt_is_refused(place, at, bit):
    _, salts, payloads = SCENE.package
    damaged = list(payloads)
    of_bytes(place, at, bit)(damaged, SCENE.block.columns)
    wanted = f"leaf {SCENE.block.first + place}: not the payload that the leaf commits to"
    assert outcome(SCENE.block, salts, damaged) == (wanted, b"")
    spoiled = bytearray(salts)
    spoiled[record.SALT_BYTES * place + at % record.SALT_BYTES] ^= 1 << bit
    assert outcome(SCENE.block, bytes(spoiled), payloads) == (wanted, b"")


@pytest.mark.parametrize("cut", [1, HOUR])
def test_missing_payloads_are_refused(cut):
    block, (_, salts, payloads) = SCENE.block, SCENE.package
    for wrong in ((salts, payloads[:-cut]), (salts[:-cut], payloads), (salts + b"\0", payloads)):
        assert outcome(block, *wrong) == (f"block {block.height}: payloads are missing", b"")


@given(st.integers(0, 1_000_000), st.integers(0, 7))
def test_a_flipped_bit_of_a_package_is_refused(at, bit):
    damaged = bytearray(SCENE.packages[0])
    damaged[at % len(damaged)] ^= 1 << bit
    with pytest.raises(LedgerError):
        taken(bytes(damaged))


@pytest.mark.parametrize("more", [b"\0", b"\2\0\0"])
def test_a_package_is_taken_in_its_canonical_encoding_only(more):
    whole = SCENE.packages[0]
    taken(whole)
    with pytest.raises(LedgerError, match="canonical"):
        taken(whole + more)
    with pytest.raises(LedgerError, match="canonical"):
        taken(in_two_blocks(whole))


def taken(data: bytes) -> None:
    Verification(World.make(points=3, gateways=2).genesis).package(data)


def in_two_blocks(data: bytes) -> bytes:
    """The same value, its payloads in two blocks of the array: Avro allows that."""
    block, salts, payloads = packages.read(data)
    start = b"".join(record.encode_long(len(part)) + part for part in (block, salts))
    for some in (payloads[:1], payloads[1:]):
        start += record.encode_long(len(some)) + b"".join(record.encode_long(len(p)) + p for p in some)
    assert codec.read_bare("block-package", start + b"\0")["payloads"] == payloads
    return start + b"\0"
