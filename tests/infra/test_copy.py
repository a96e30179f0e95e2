"""Look-ups and proofs from a member's copy go by the registry that a record names."""

import json
from pathlib import Path
from typing import Any

import pytest

from carbon import identity
from carbon import packet as packets
from carbon import record as records
from consensus.ledger import Ledger
from consensus.log.follower import Follower
from consensus.log.leaf import WINDOW_RECORD
from consensus.member.archive import Archive
from consensus.member.publisher import messages_of
from consensus.member.store import LedgerFile
from infra.channel import Channel, load
from infra.copy import LedgerCopy
from schemas import codec, topics
from tests.carbon.test_charging import late_and_later, recorded
from tests.committee import write_channel
from tests.consensus.test_registration import (
    BEGINS,
    NEW,
    POINT,
    Scene,
    narrowed,
    with_a_new_point,
    with_another_factor_set,
    with_another_run,
)
from tests.infra.copies import Invoke, invoker
from tests.registrars import REGISTRARS
from tests.small import HOUR, QUARTER, START


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def store(data: Path, scene: Scene, messages: list[bytes], **changes: Any) -> None:
    """What member 0 keeps of a scene: its ledger, and the packets in its archive."""
    write_channel(data, points=3, gateways=1, registrars=REGISTRARS, **changes)
    channel, folder = load(data), data / "members" / "0"
    folder.mkdir(parents=True)
    file = LedgerFile(folder / "ledger.sqlite")
    ledger = Ledger(channel.genesis, channel.registry, file)
    assert all(ledger.install(package) for package in scene.store.kept)
    file.close()
    archive = Archive(folder / "archive.sqlite", ledger.registries, channel.genesis.digest, HOUR)
    assert all(archive.add(message) for message in messages)
    archive.commit({})
    archive.close()


def reading_code(scene: Scene, messages: list[bytes], at: int) -> str:
    """The code of the reading of POINT at a time, in whichever packet it is."""
    point = scene.now.points[POINT]
    for packet in (packets.decode_body(packets.body_of(message)) for message in messages):
        for place, leaf in enumerate(packets.leaf_hashes(packet)):
            if (packet.points[packet.point[place]], packet.at[place]) == (POINT, at):
                return identity.reading_code(scene.now.prefix, point.subject, point.object, at, leaf)
    raise AssertionError(f"no reading at {at}")


def new_record_code(scene: Scene) -> str:
    """The code of the first record of NEW."""
    return record_code(scene, START + 2 * HOUR, NEW)


def record_code(scene: Scene, start: int, point_id: str = POINT) -> str:
    """The code of a point's record of a window."""
    point = scene.now.points[point_id]
    follower = Follower(scene.world.genesis)
    blocks = [follower.accept(m[2]) for p in scene.store.kept for m in messages_of(p) if m[0] == topics.LEDGER_BLOCKS]
    payloads = [codec.decode_bare("block-package", package)["payloads"] for package in scene.store.kept]
    leaf = next(
        leaf
        for block, opened in zip(blocks, payloads, strict=True)
        for leaf, payload in zip(block.leaves if block else (), opened, strict=True)
        if leaf.leaf.kind == WINDOW_RECORD and is_of(payload, point_id, start)
    )
    return identity.record_code(
        scene.now.prefix, point.subject, point.object, start, point.window_seconds, leaf.leaf.commitment
    )


def is_of(payload: bytes, point: str, start: int) -> bool:
    fields = records.decode(payload)
    return (fields["point"], fields["window_start"]) == (point, start)


def shown(invoke: Invoke, data: Path, code: str) -> dict[str, Any]:
    """What `resolve` shows of a code, once `prove` made a proof of it that the genesis alone verifies."""
    done, proof, said = invoke("prove", code)
    assert done == 0, said
    (data / "proof.json").write_text(proof)
    genesis = str(data / "channel" / "genesis.json")
    assert invoke("verify-proof", str(data / "proof.json"), "--genesis", genesis)[0] == 0
    (row,) = json.loads(invoke("resolve", code, "--output", "json")[1])
    return dict(row)


def test_a_record_of_a_new_point_is_found_and_proved(invoke: Invoke, tmp_path: Path) -> None:
    scene = with_a_new_point()
    store(tmp_path, scene, scene.messages)
    code = new_record_code(scene)
    row = shown(invoke, tmp_path, code)
    assert (row["point"], row["subject"], row["record"]) == (NEW, "boiler", code)
    assert (row["verdict"], row["height"], row["gateway_kind"]) == ("accepted", BEGINS, "edge")
    said = [row[name] for name in ("factor_set", "source", "gas", "scope", "computed_emission_g")]
    assert said == ["2026-1", "combustion", "CO2", 1, row["emission_g"]]
    nobodys = code.replace("9" * 24, "8" * 24)
    assert invoke("resolve", nobodys)[0] == 1


def test_a_record_is_computed_again_by_the_factor_set_that_it_names(invoke: Invoke, tmp_path: Path) -> None:
    scene = with_another_factor_set()
    store(tmp_path, scene, scene.messages)
    for place, version in ((0, "2026-1"), (2, "2027-1")):
        row = shown(invoke, tmp_path, record_code(scene, START + place * HOUR))
        assert (row["factor_set"], row["computed_emission_g"]) == (version, row["emission_g"])
        # 9.5 GJ/MWh / 29.3076 GJ/tce = 324.148 gce/kWh
        assert row["computed_standard_coal_g"] == round(row["quantity"] * 9_500 / 29_307.6) > 1_000
        assert row["computed_biogenic_g"] == 0


def test_readings_of_a_run_that_is_over_and_of_the_next_are_found_and_proved(invoke: Invoke, tmp_path: Path) -> None:
    scene, messages = with_another_run()
    store(tmp_path, scene, messages)
    for hour, run, height in ((0, 0, 1), (2, 1, BEGINS)):
        row = shown(invoke, tmp_path, reading_code(scene, messages[3 * run :], START + hour * HOUR))
        assert (row["run"], row["at"], row["height"]) == (run, START + hour * HOUR, height)


def test_a_reading_counts_by_the_registry_of_its_record(invoke: Invoke, tmp_path: Path) -> None:
    scene = narrowed(Scene())
    scene.begin()
    scene.order(scene.windows(2, 2, BEGINS))
    store(tmp_path, scene, scene.messages)
    before, after = (reading_code(scene, scene.messages, START + h * HOUR + 3 * QUARTER) for h in (1, 3))
    assert shown(invoke, tmp_path, before)["value"] == 1_007
    assert invoke("resolve", after)[0] == 1


def test_every_version_of_an_hour_that_was_charged_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule in such a record ends with the tier, so it begins otherwise than its point's others."""
    scene = late_and_later()
    (tmp_path / "members" / "0").mkdir(parents=True)
    (tmp_path / "members" / "0" / "ledger.sqlite").touch()
    copy = LedgerCopy(tmp_path, Channel(tmp_path, scene.world.genesis, scene.world.registry))
    monkeypatch.setattr(copy, "packages", lambda: iter(recorded(scene).packages))
    point, charged = scene.world.registry.points["blind"], scene.fields("SUBSTITUTED")[0]
    found = copy.versions(point, charged["window_start"])
    assert [one.fields["cause"] for one in found] == ["WINDOW", "SUBSTITUTED", "MEASURED"]
    for one in found:
        code = records.code(one.fields, one.leaf.leaf.commitment, scene.world.registry)
        assert copy.find(identity.parse(code)) == (one, None)
