"""The channel on disk: made once, whole, with keys that only their owner can read."""

import json
import stat
from typing import get_args

import pytest

from carbon import signing
from carbon.signers import Role
from infra import channel
from infra.demo import parameters
from infra.errors import EnvironmentFault

DECLARED = parameters.load()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = tmp_path_factory.mktemp("channel")
    return data, channel.create(data, DECLARED, days=2)


def test_seven_institutions_with_keys_of_their_own(made):
    _, own = made
    roles = [member.role for member in own.genesis.members]
    assert (len(roles), own.genesis.committee.f, own.genesis.committee.quorum) == (7, 2, 5)
    assert roles.count("power company") == roles.count("local carbon-emission department") == 2
    assert own.genesis.clock == "replay"
    assert own.days == 2


def test_a_second_start_finds_the_same_channel(made):
    data, own = made
    assert channel.create(data, DECLARED, days=5).genesis.digest == own.genesis.digest
    assert channel.load(data).genesis == own.genesis


def test_every_party_has_a_key(made):
    _, own = made
    roles = {party.role for party in own.registry.parties.values()}
    assert roles == set(get_args(Role))
    assert {p.subject for p in own.registry.parties.values()} >= own.registry.subjects.keys()
    for party in own.registry.parties.values():
        assert signing.public_key(own.seed(channel.party_key(party.id))) == party.key


def test_key_files_are_their_owners(made):
    data, own = made
    for file in (data / "channel" / "keys").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(own.seed("member-0.vote")) == 32
    own.seed_file("member-0.vote").chmod(0o644)
    with pytest.raises(EnvironmentFault, match="chmod 600"):
        own.seed("member-0.vote")
    own.seed_file("member-0.vote").chmod(0o600)


def test_files_that_do_not_belong_together_are_refused(made, tmp_path):
    _, own = made
    other = channel.create(tmp_path, DECLARED, days=2)
    registry = other.folder / "registry.json"
    whole = registry.read_bytes()
    registry.write_bytes((own.folder / "registry.json").read_bytes())
    with pytest.raises(EnvironmentFault, match="is not the registry that the genesis names"):
        channel.load(tmp_path)
    registry.write_bytes(whole.replace(b"  ", b"   ", 1))
    with pytest.raises(EnvironmentFault, match="damaged"):
        channel.load(tmp_path)
    registry.write_bytes(whole)
    genesis = json.loads((other.folder / "genesis.json").read_text())
    genesis["factors"] = "00" * 32
    (other.folder / "genesis.json").write_bytes(channel.geneses.canonical_json(genesis))
    with pytest.raises(EnvironmentFault, match="another factor set"):
        channel.load(tmp_path)


def test_no_channel_says_what_to_do(tmp_path):
    with pytest.raises(EnvironmentFault, match="carbonledger demo"):
        channel.load(tmp_path)
