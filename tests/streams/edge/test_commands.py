"""Commands: who may give them, what they may change, and that each is obeyed once."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import factors, registry, signing
from schemas import codec
from streams.edge.commands import (
    OUTCOME_KIND,
    Backfill,
    Command,
    CommandError,
    Decision,
    Reason,
    State,
    commanded,
    decide,
    outcome,
    read_outcome,
    sign,
    verify,
)
from streams.edge.sampling import Bounds, Rule
from tests.small import registry_bytes, seed

CHANNEL = bytes(range(32))
NOW = 1_600_000_000_000
POINT = "plant-0-0"
REGULATORY = Bounds(1_000, 5_000)
RULES = {POINT: Rule(1_000, REGULATORY, REGULATORY)}
OPERATORS = [
    {"id": "control-room", "key": signing.public_key(seed("control-room")).hex(), "gateways": ["gw-0"]},
    {"id": "other-plant", "key": signing.public_key(seed("other-plant")).hex(), "gateways": ["gw-1"]},
]
KNOWN = registry.parse(registry_bytes(gateways=2, operators=OPERATORS), factors.load())


def fields(**changes: Any) -> dict[str, Any]:
    plain = {"operator": "control-room", "gateway": "gw-0", "number": 1, "until": NOW + 60_000}
    return plain | {"kind": "interval", "point": POINT, "first": 2_000, "last": 2_000} | changes


def message(signer: str = "control-room", channel: bytes = CHANNEL, **changes: Any) -> bytes:
    return sign(seed(signer), channel, **fields(**changes))


def command(**changes: Any) -> Command:
    return verify(message(**changes), KNOWN, CHANNEL, "gw-0")


def run(*commands: Command, now: int = NOW, state: State | None = None) -> list[Decision]:
    decisions, kept = [], state or State()
    for one in commands:
        decisions.append(decide(kept, one, RULES, now))
        kept = State.from_json(json.loads(json.dumps(decisions[-1].state.as_json())))
        assert kept == decisions[-1].state
    return decisions


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_a_command"),
        (message()[:-1], "not_a_command"),
        (codec.encode("command", {"body": b"x", "signature": bytes(64)}), "not_a_command"),
        (message(operator="nobody"), "unknown_operator"),
        (message(signer="other-plant"), "wrong_signature"),
        (message(channel=bytes(32)), "wrong_signature"),
        (message(gateway="gw-1"), "other_gateway"),
        (message(signer="other-plant", operator="other-plant"), "not_entitled"),
    ],
)
def test_what_no_gateway_answers(data: bytes, reason: str) -> None:
    with pytest.raises(CommandError, match=f"^{reason}: "):
        verify(data, KNOWN, CHANNEL, "gw-0")


def test_a_signature_of_another_kind_is_none() -> None:
    body = codec.encode_bare("command-body", fields())
    other = signing.sign(seed("control-room"), "packet", CHANNEL, body)
    with pytest.raises(CommandError, match="wrong_signature"):
        verify(codec.encode("command", {"body": body, "signature": other}), KNOWN, CHANNEL, "gw-0")


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 500), st.integers(1, 255))
def test_damaged_bytes_raise_only_its_own_error(data: bytes, place: int, change: int) -> None:
    damaged = bytearray(message())
    damaged[place % len(damaged)] ^= change
    for one in (data, bytes(damaged)):
        with pytest.raises(CommandError):
            verify(one, KNOWN, CHANNEL, "gw-0")
        with pytest.raises(CommandError):
            read_outcome(one, KNOWN, CHANNEL)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, Reason.OBEYED),
        ({"until": NOW}, Reason.OBEYED),
        ({"until": NOW - 1}, Reason.EXPIRED),
        ({"number": 0}, Reason.OUTDATED),
        ({"number": -5}, Reason.OUTDATED),
        ({"point": "plant-9"}, Reason.UNKNOWN_POINT),
        ({"last": 3_000}, Reason.NOT_ONE_INTERVAL),
        ({"first": 5_000, "last": 5_000}, Reason.OBEYED),
        ({"first": 6_000, "last": 6_000}, Reason.OUTSIDE_BOUNDS),
        ({"first": 0, "last": 0}, Reason.OUTSIDE_BOUNDS),
        ({"first": 1_500, "last": 1_500}, Reason.OUTSIDE_BOUNDS),
        ({"kind": "bounds", "first": 1_000, "last": 4_000}, Reason.OBEYED),
        ({"kind": "bounds", "first": 1_000, "last": 6_000}, Reason.OUTSIDE_BOUNDS),
        ({"kind": "bounds", "first": 4_000, "last": 2_000}, Reason.OUTSIDE_BOUNDS),
        ({"kind": "bounds", "first": -(2**63), "last": 2**63 - 1}, Reason.OUTSIDE_BOUNDS),
        ({"kind": "backfill", "first": 0, "last": NOW}, Reason.OBEYED),
        ({"kind": "backfill", "first": 0, "last": NOW + 1}, Reason.NO_RANGE),
        ({"kind": "backfill", "first": 5, "last": 5}, Reason.NO_RANGE),
        ({"kind": "backfill", "first": -1, "last": 5}, Reason.NO_RANGE),
        ({"kind": "backfill", "first": 0, "last": 5, "point": "plant-9"}, Reason.UNKNOWN_POINT),
    ],
)
def test_reasons(changes: dict[str, Any], reason: Reason) -> None:
    one = command(**changes)
    (decision,) = run(one)
    assert decision.answer == (one.number, one.digest, NOW, reason)
    assert (decision.backfill is not None) == (one.kind == "backfill" and reason is Reason.OBEYED)
    assert (POINT in decision.state.bounds) == (one.kind != "backfill" and reason is Reason.OBEYED)


def test_bounds_and_frequency_come_into_the_rules() -> None:
    first, second = run(command(), command(number=2, kind="bounds", first=1_000, last=3_000))
    assert commanded(RULES, first.state)[POINT].bounds == (2_000, 2_000)
    assert commanded(RULES, second.state)[POINT].bounds == (1_000, 3_000)
    assert commanded(RULES, State())[POINT] == RULES[POINT]


def test_bounds_that_the_regulation_allows_no_more_are_left_out() -> None:
    (decision,) = run(command(first=5_000, last=5_000))
    tighter = {POINT: Rule(1_000, Bounds(1_000, 2_000), Bounds(1_000, 2_000))}
    assert commanded(tighter, decision.state) == tighter


def test_a_backfill_names_its_range() -> None:
    (decision,) = run(command(kind="backfill", first=100, last=200))
    assert decision.backfill == Backfill(POINT, 100, 200)


def test_the_same_command_again_is_answered_as_before_and_not_obeyed_again() -> None:
    one = command(kind="backfill", first=100, last=200)
    obeyed, again = run(one, one)
    assert obeyed.backfill is not None
    assert again == (obeyed.state, obeyed.answer, None)


def test_another_command_of_a_used_number_is_outdated_and_changes_nothing() -> None:
    used, late, other = run(command(number=7), command(number=7, first=3_000, last=3_000), command(number=6))
    assert [d.answer.reason for d in (used, late, other)] == [Reason.OBEYED, Reason.OUTDATED, Reason.OUTDATED]
    assert late.state == other.state == used.state


def test_a_refused_command_uses_its_number_up() -> None:
    refused, outdated = run(command(number=3, until=NOW - 1), command(number=3))
    assert (refused.answer.reason, outdated.answer.reason) == (Reason.EXPIRED, Reason.OUTDATED)


KIND = st.sampled_from(["interval", "bounds", "backfill"])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 6), KIND, st.integers(-1, 7), st.integers(-1, 7)), max_size=12))
def test_numbers_rise_and_rules_stay_within_the_regulation(given_: list[tuple[int, str, int, int]]) -> None:
    commands = [
        command(number=number, kind=kind, first=1_000 * first, last=1_000 * last)
        for number, kind, first, last in given_
    ]
    state, obeyed = State(), []
    for one in commands:
        decision = decide(state, one, RULES, NOW)
        if decision.answer.reason is Reason.OBEYED and decision.state != state:
            obeyed.append(one.number)
        state = decision.state
        assert commanded(RULES, state)[POINT].bounds.within(REGULATORY)
    assert obeyed == sorted(set(obeyed))


def test_an_outcome_is_signed_by_the_gateway() -> None:
    one = command()
    (decision,) = run(one)
    answered = outcome(seed("gw-0"), CHANNEL, one, decision.answer)
    assert read_outcome(answered, KNOWN, CHANNEL) == (one.digest, Reason.OBEYED)
    with pytest.raises(CommandError, match="wrong_signature"):
        read_outcome(outcome(seed("gw-1"), CHANNEL, one, decision.answer), KNOWN, CHANNEL)
    with pytest.raises(CommandError, match="unknown_gateway"):
        read_outcome(outcome(seed("gw-0"), CHANNEL, one._replace(gateway="gw-9"), decision.answer), KNOWN, CHANNEL)


def test_an_outcome_of_an_unknown_reason_is_none() -> None:
    body = codec.encode_bare(
        "command-outcome-body",
        {"gateway": "gw-0", "operator": "x", "number": 1, "command": bytes(32), "at": 0, "reason": "perhaps"},
    )
    signature = signing.sign(seed("gw-0"), OUTCOME_KIND, CHANNEL, body)
    with pytest.raises(CommandError, match="not_an_outcome"):
        read_outcome(codec.encode("command-outcome", {"body": body, "signature": signature}), KNOWN, CHANNEL)


def test_an_operator_of_an_unregistered_gateway_is_refused() -> None:
    with pytest.raises(registry.RegistryError, match="operator"):
        registry.parse(registry_bytes(operators=OPERATORS), factors.load())
