"""Another factor set, put into force by a record while seven members work on a real broker: records name their sets."""

import json
from pathlib import Path

import pytest

from carbon import factors, registry, signing
from carbon.record import PayloadWriter
from consensus.log.committee import AHEAD
from tests.committee import LedgerTail, Processes, write_channel
from tests.consensus.test_registration import LESS
from tests.e2e.test_membership import Committee
from tests.registrars import REGISTRARS
from tests.small import seed
from tests.streams.pipeline import reset

pytestmark = [pytest.mark.broker, pytest.mark.extra(), pytest.mark.timeout(600)]
SEVEN = 7


def load(made: Committee, first: int) -> None:
    """Have a set with another oxidation rate recorded, in force from a height on."""
    tables, draft, own = made.data / "tables", made.data / "change.json", made.data / "registrar.seed"
    tables.mkdir()
    for name, data in LESS.items():
        (tables / name).write_bytes(data)
    own.touch(0o600)
    own.write_text(seed("registrar").hex() + "\n")
    assert signing.public_key(seed("registrar")).hex() == made.world.registry.registrars["registrar"].key.hex()
    valid = ("--id", "2027-1", "--from", "2027-01-01", "--first", str(first))
    made.run("factors", "load", str(tables), str(draft), *valid)
    said = made.run("registry", "submit", str(draft), "--registrar", "registrar", "--seed-file", str(own))
    assert f"in force from height {first}" in said
    made.until(1)


def go_on(made: Committee, first: int) -> None:
    """Propose by the registry of this height from now on."""
    file = made.run("registry", "show", "--height", str(first)).encode()
    made.world.registry, made.registry_height = registry.parse(file, factors.load()), first
    made.aggregator.writer = PayloadWriter(made.world.registry)


def test_records_before_and_after_name_their_sets_and_both_are_computed_again(broker: str, tmp_path: Path) -> None:
    reset(broker)
    world = write_channel(tmp_path, points=3, gateways=1, members=SEVEN, registrars=REGISTRARS)
    with Processes(tmp_path, broker) as processes:
        for member in range(SEVEN):
            processes.start(f"member-{member}")
        tail = LedgerTail(broker, world)
        made = Committee(tmp_path, broker, processes, tail, world)
        made.record()
        first = tail.follower.height + AHEAD + 2
        load(made, first)
        while tail.follower.height < first - 1:
            made.record()
        go_on(made, first)
        made.record()
        tail.close()
        lines = json.loads(made.run("statement", "plant", "emissions", "--last", "0", "--output", "json"))
        codes = [next(line["code"] for line in some) for some in (lines, reversed(lines))]
        then, now = (json.loads(made.run("resolve", code, "--output", "json"))[0] for code in codes)
    assert (then["factor_set"], now["factor_set"]) == ("2026-1", "2027-1")
    assert (then["height"], now["height"] >= first, then["factors"] != now["factors"]) == (1, True, True)
    for shown in (then, now):
        assert shown["computed_emission_g"] == shown["emission_g"]
    # 98 for 99 % oxidised
    per_unit = [shown["emission_g"] / shown["quantity"] for shown in (then, now)]
    assert per_unit[1] / per_unit[0] == pytest.approx(98 / 99, rel=1e-3)
