"""Each rule refuses what it names, at its very boundary, and nothing else."""

import pytest

from carbon import validation
from carbon.validation import Reason
from tests.small import HOUR, QUARTER, START, World

SENT = START + 48 * HOUR
GOOD = START + 24 * HOUR

CASES = {
    Reason.UNKNOWN_POINT: [("nobody", GOOD, 1), ("plant-1-0", GOOD, 1)],
    Reason.UNKNOWN_FLAG: [("plant-0-0", GOOD, 1, "Z")],
    Reason.NOT_A_NUMBER: [("plant-0-0", GOOD, 0, "X")],
    Reason.NOT_NORMAL: [("plant-0-0", GOOD, 1, flag) for flag in "FMSDCB"],
    Reason.FROM_THE_FUTURE: [("plant-0-0", SENT + QUARTER, 1)],
    Reason.BEFORE_REGISTRATION: [("plant-0-0", START - QUARTER, 1)],
    Reason.UNALIGNED: [("plant-0-0", GOOD + 1, 1)],
    Reason.OUT_OF_RANGE: [("plant-0-0", GOOD, -1), ("plant-0-0", GOOD, 10**9 + 1)],
    Reason.VALID: [
        ("plant-0-0", SENT, 1),
        ("plant-0-0", START, 0),
        ("plant-0-0", GOOD, 10**9),
        ("plant-0-0", GOOD, 1, "T"),
    ],
}


@pytest.mark.parametrize("reason", CASES)
def test_rule(reason):
    world = World.make(gateways=2)
    read = world.decode(world.pack(SENT, CASES[reason]))
    assert [Reason(code) for code in validation.check(read, world.registry)] == [reason] * len(CASES[reason])


def test_too_old_counts_from_the_signed_sending_time():
    world = World.make()
    limit = world.registry.limits.age_ms
    read = world.decode(world.pack(GOOD + limit, [("plant-0-0", GOOD, 1), ("plant-0-0", GOOD - QUARTER, 1)]))
    assert validation.check(read, world.registry).tolist() == [Reason.VALID, Reason.TOO_OLD]


def test_every_refusal_has_a_sentence():
    world = World.make()
    read = world.decode(world.pack(SENT, [("plant-0-0", GOOD, -1)]))
    for reason in Reason:
        if reason is not Reason.VALID:
            assert validation.sentence(reason, read, 0, world.registry)
    assert "-1 is not in 0…1000000000" in validation.sentence(Reason.OUT_OF_RANGE, read, 0, world.registry)


def test_an_empty_packet_is_valid():
    world = World.make()
    assert validation.check(world.decode(world.pack(SENT, [])), world.registry).tolist() == []
