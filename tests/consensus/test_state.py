"""The state half: what a chain takes, and that the state grows with points and never with records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon.record import Replaced
from carbon.refusal import Refusal
from consensus.contract import Ruling
from consensus.state import Chain, Head, Registered, State

HOUR = 3_600_000
HORIZON = 5 * HOUR
CHAIN = Chain("p", "plant", HOUR, 0)


def first(hour: int, before: bytes) -> Ruling:
    return Ruling(Refusal.PASS, b"", bytes((hour + 1,)) * 32, bytes((hour,)) * 32, before, posted_g=10)


def correction(hour: int, before: bytes, version: int = 2, root: bytes | None = None) -> Ruling:
    old = bytes((hour,)) * 32 if root is None else root
    return Ruling(
        Refusal.PASS,
        b"",
        bytes((99, version)) * 16,
        bytes((version,)) * 32,
        before,
        version,
        1,
        Replaced(version - 1, old, 9),
    )


def filled(hours: int) -> State:
    state = State(HORIZON)
    for hour in range(hours):
        assert state.apply(CHAIN, hour * HOUR, first(hour, head(state))) is Refusal.PASS
    return state


def head(state: State) -> bytes:
    return state.heads["p"].commitment if "p" in state.heads else bytes(32)


def test_each_window_once_and_in_order() -> None:
    state = filled(3)
    assert state.apply(CHAIN, 3 * HOUR, first(3, bytes(32))) is Refusal.WRONG_PREDECESSOR
    assert state.apply(CHAIN, 2 * HOUR, first(2, head(state))) is Refusal.WINDOW_NOT_NEXT
    assert state.apply(CHAIN, 4 * HOUR, first(4, head(state))) is Refusal.WINDOW_NOT_NEXT
    assert state.apply(CHAIN, 3 * HOUR, correction(3, head(state))) is Refusal.WINDOW_NOT_NEXT
    assert state.balances == {"plant": 30}


def test_a_correction_replaces_the_latest_version() -> None:
    state = filled(3)
    assert state.apply(CHAIN, HOUR, correction(1, head(state))) is Refusal.PASS
    assert state.apply(CHAIN, HOUR, correction(1, head(state))) is Refusal.WRONG_VERSION
    third = correction(1, head(state), version=3, root=bytes((2,)) * 32)
    assert state.apply(CHAIN, HOUR, third) is Refusal.PASS
    assert state.heads["p"].window_end == 3 * HOUR
    assert state.balances == {"plant": 32}


@pytest.mark.parametrize(("hours", "refusal"), [(6, Refusal.PASS), (7, Refusal.TOO_LATE)])
def test_a_window_can_be_corrected_up_to_the_horizon(hours: int, refusal: Refusal) -> None:
    state = filled(hours)
    assert state.apply(CHAIN, 0, correction(0, head(state))) is refusal
    assert state.balances == {"plant": 10 * hours + (refusal is Refusal.PASS)}


def test_the_state_never_grows_with_records() -> None:
    state, sizes = State(HORIZON), []
    for hour in range(200):
        assert state.apply(CHAIN, hour * HOUR, first(hour % 250, head(state))) is Refusal.PASS
        assert state.apply(CHAIN, hour * HOUR, correction(hour % 250, head(state))) is Refusal.PASS
        sizes.append(state.text().count(b"\n"))
        assert State.load(state.text(), HORIZON) == state
    assert sizes[10:] == [sizes[10]] * 190


POINTS = st.sampled_from(["b", "a", "a-1", "a-10", "a1", "z\t", "ä"])


@given(st.lists(st.tuples(POINTS, st.integers(0, 3), st.booleans())), st.booleans())
def test_the_text_is_the_same_whenever_it_was_written_before(steps: list[tuple[str, int, bool]], loaded: bool) -> None:
    state = State(HORIZON, streams={("a", "s"): 2}, balances={"plant": 1, "p": -5}, changes={1: b"change"})
    state.registries, state.closing, state.closed = {90: Registered(8, bytes(32))}, ("a", "b"), {"c": -1}
    for point, hour, written in steps:
        state.heads[point] = Head(hour * HOUR, bytes((hour,)) * 32)
        if written:
            state = State.load(state.text(), HORIZON) if loaded else state
            assert state.text() == state.text()
    lines = [f"point {point} {end} {commitment.hex()}" for point, (end, commitment) in state.heads.items()]
    lines += ["stream a s 2", "emissions plant 1", "emissions p -5", f"committee 1 {b'change'.hex()}"]
    lines += [f"registry 90 8 {bytes(32).hex()}", "closing a", "closing b", "closed c -1"]
    assert state.text().decode() == "".join(line + "\n" for line in sorted(lines))
