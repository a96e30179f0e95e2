"""The commands about the registry: a change is written in plain words, and refused where it may not be made."""

import json
from pathlib import Path

import pytest

from consensus.ledger import Ledger
from consensus.log.committee import AHEAD
from consensus.member.store import LedgerFile
from infra.channel import load
from infra.copy import registry_in_force
from infra.registration import Draft, DraftError
from tests import registrars
from tests.committee import write_channel
from tests.consensus.test_registration import Scene
from tests.infra.copies import Invoke, StoredChain, invoker
from tests.small import seed


@pytest.fixture
def chain(tmp_path: Path) -> StoredChain:
    chain = StoredChain(tmp_path)
    chain.fill()
    return chain


@pytest.fixture
def invoke(
    chain: StoredChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def test_the_registry_of_the_genesis_is_shown_as_its_file(chain: StoredChain, invoke: Invoke) -> None:
    assert invoke("registry", "show", "--height", "3")[:2] == (0, chain.world.registry.file.decode())
    (row,) = json.loads(invoke("registry", "show", "--output", "json")[1])
    assert (row["from"], row["in_force"], row["digest"]) == (0, True, chain.world.registry.digest.hex())


def test_a_change_is_written_in_plain_words(chain: StoredChain, invoke: Invoke, tmp_path: Path) -> None:
    draft, entry = tmp_path / "change.json", tmp_path / "entry.json"
    point = json.loads(chain.world.registry.file)["points"][0]
    entry.write_text(json.dumps(point | {"max": 7}))
    code, _, said = invoke(
        "registry", "propose", str(draft), "--put", f"points={entry}", "--drop", "submitters=aggregator"
    )
    assert (code, "from height 204" in said, "closed to corrections: plant-0-0" in said) == (0, True, True)
    written = Draft.load(draft.read_text(), chain.world.channel)
    assert written.put == (("points", point | {"max": 7}),)
    assert (written.number, written.base, written.first, written.drop) == (1, 0, 204, (("submitters", "aggregator"),))
    with pytest.raises(DraftError, match="another channel"):
        Draft.load(draft.read_text(), bytes(32))
    for wrong in ("{}", "[]", json.dumps(json.loads(draft.read_text()) | {"put": [5]})):
        with pytest.raises(DraftError, match="no change"):
            Draft.load(wrong, chain.world.channel)


def test_a_gateway_is_revoked_or_gets_its_next_run(chain: StoredChain, invoke: Invoke, tmp_path: Path) -> None:
    draft = str(tmp_path / "change.json")
    assert invoke("registry", "propose", draft, "--revoke", "gw-0")[0] == 0
    change = Draft.load(Path(draft).read_text(), chain.world.channel)
    assert change.put[0][1]["revoked"] is True
    assert invoke("registry", "propose", draft, "--rotate", f"gw-0={'ab' * 32}")[0] == 0
    ((_, entry),) = Draft.load(Path(draft).read_text(), chain.world.channel).put
    old = chain.world.registry.gateways["gw-0"].key.hex()
    assert (entry["key"], entry["run"], entry["retired"]) == ("ab" * 32, 1, [old])


def test_workers_begin_with_the_registry_in_force_by_the_copies_at_hand(tmp_path: Path) -> None:
    world = write_channel(tmp_path, points=3, gateways=1, registrars=registrars.REGISTRARS)
    channel = load(tmp_path)
    assert registry_in_force(tmp_path, channel) == (0, channel.registry)
    scene = Scene()
    assert scene.world.genesis == world.genesis
    scene.change(registrars.entry(scene.now, "points", "plant-0-1", max=7))
    for member, height in ((1, AHEAD - 1), (0, AHEAD), (2, AHEAD - 2)):
        scene.until(height)
        folder = tmp_path / "members" / str(member)
        folder.mkdir(parents=True)
        file = LedgerFile(folder / "ledger.sqlite")
        copied = Ledger(world.genesis, channel.registry, file)
        for package in scene.store.kept[:height]:
            assert copied.install(package)
        file.close()
        found = registry_in_force(tmp_path, channel)
        assert found == ((0, channel.registry) if member == 1 else (1 + AHEAD, scene.now))
    (tmp_path / "members" / "0" / "ledger.sqlite").write_bytes(b"damaged")
    assert registry_in_force(tmp_path, channel) == (0, channel.registry)


@pytest.mark.parametrize(
    "options",
    [("--revoke", "nobody"), ("--drop", "points=plant-0-0"), (), ("--rotate", "gw-0=xyz"), ("--rotate", "gw-0")],
)
def test_what_is_no_change_is_not_understood(invoke: Invoke, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert invoke("registry", "propose", str(tmp_path / "change.json"), *options)[0] == 2
    assert not (tmp_path / "change.json").exists()


def test_nobody_but_a_registrar_submits(invoke: Invoke, tmp_path: Path) -> None:
    draft, own = str(tmp_path / "change.json"), tmp_path / "own.seed"
    own.touch(0o600)
    own.write_text(seed("registrar").hex())
    invoke("registry", "propose", draft, "--revoke", "gw-0")
    code, _, said = invoke("registry", "submit", draft, "--registrar", "registrar", "--seed-file", str(own))
    assert (code, "not_signed" in said) == (1, True)


def test_what_changed_is_shown_from_heights_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = write_channel(tmp_path, points=3, gateways=1, registrars=registrars.REGISTRARS)
    scene = Scene()
    scene.change(registrars.entry(scene.now, "points", "plant-0-1", max=7))
    scene.until(AHEAD + 1)
    folder = tmp_path / "members" / "0"
    folder.mkdir(parents=True)
    file = LedgerFile(folder / "ledger.sqlite")
    copied = Ledger(world.genesis, load(tmp_path).registry, file)
    for package in scene.store.kept:
        assert copied.install(package)
    file.close()
    (tmp_path / "later.json").write_bytes(scene.now.file)
    invoke = invoker(tmp_path, monkeypatch, capsys)
    wanted = {"section": "points", "id": "plant-0-1", "what": "changed", "field": "max", "before": 10**9, "after": 7}
    for later in (str(1 + AHEAD), str(tmp_path / "later.json")):
        code, printed, said = invoke("registry", "diff", str(AHEAD), later, "--output", "json")
        assert (code, json.loads(printed)) == (0, [wanted])
        assert "height 64, in force from 0" in said and "closed to corrections: plant-0-1" in said
    code, printed, said = invoke("registry", "diff", "1", "2")
    assert (code, "plant" in printed, "closed" in said) == (0, False, False)
    code, printed, _ = invoke("registry", "diff", "0", str(1 + AHEAD))
    assert code == 0 and "plant-0-1" in printed and "1000000000" in printed
    assert invoke("registry", "diff", "0", str(tmp_path / "none.json"))[0] == 3
    assert invoke("registry", "diff", "0", str(tmp_path / "channel" / "genesis.json"))[0] == 2
