"""A channel on disk: genesis, registry and scenario, and the keys of everybody whom this machine plays.

With seven organisations each would hold its own keys; here all stand in one folder, one file a key, readable by their
owner only.
"""

import json
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from carbon import factors, signing
from carbon import registry as registries
from carbon.registry import Registry, RegistryError
from consensus.log import genesis as geneses
from consensus.log.committee import Member
from consensus.log.genesis import Genesis, GenesisError
from consensus.log.note import NoteKey
from infra.errors import EnvironmentFault
from schemas.topics import Bounds

if TYPE_CHECKING:
    from consensus.member.config import KeyPair
    from infra.demo.parameters import Parameters

AGGREGATOR = "aggregator"
HORIZON_SECONDS = 400 * 86_400

MEMBERS = (
    ("power-company-1", "power company"),
    ("power-company-2", "power company"),
    ("emission-department-1", "local carbon-emission department"),
    ("emission-department-2", "local carbon-emission department"),
    ("verifier", "third-party verifier"),
    ("environment-department", "environmental-protection department"),
    ("trading-centre", "carbon-trading centre"),
)
"""The seven institutions of the committee."""


@dataclass(frozen=True)
class Channel:
    """A channel as its files state it."""

    folder: Path
    genesis: Genesis
    registry: Registry

    @property
    def days(self) -> int | None:
        """How many days of the demonstration are replayed; None for all."""
        days: int | None = json.loads((self.folder / "scenario.json").read_text())["days"]
        return days

    @property
    def played(self) -> list[int]:
        """The members that this machine plays, by the number of their process: those whose keys are here."""
        names = {path.name.split(".")[0] for path in (self.folder / "keys").glob("member-*.vote*.seed")}
        return sorted(int(name.removeprefix("member-")) for name in names)

    def seed_file(self, name: str) -> Path:
        """The key file of a gateway, a submitter, a party or a member's vote or note key."""
        return _seed_file(self.folder, name)

    def seed(self, name: str) -> bytes:
        """A 32-byte key seed. Raises EnvironmentFault when its file is missing or others can read it."""
        return read_seed(self.seed_file(name))


def party_key(party: str) -> str:
    """The name of a party's key file."""
    return f"party-{party}"


def _seed_file(folder: Path, name: str) -> Path:
    return folder / "keys" / f"{name}.seed"


def read_seed(path: Path) -> bytes:
    """A 32-byte key seed. Raises EnvironmentFault when its file is missing or others can read it."""
    try:
        readable = path.stat().st_mode & 0o077
        seed = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"the key {path} can't be read: {error}") from error
    if readable:
        raise EnvironmentFault(f"others can read the key {path}: chmod 600 it, and replace it if they may have")
    return seed


def new_seed(path: Path) -> bytes:
    """Make a key file that only its owner can read; the public key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    seed = secrets.token_bytes(signing.SEED_BYTES)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(seed.hex() + "\n")
    return signing.public_key(seed)


def member_keys(folder: Path, member: str) -> tuple["KeyPair", ...]:
    """The key pairs that a member process such as `member-3` holds, oldest first. Raises EnvironmentFault."""
    from consensus.member.config import KeyPair

    votes = sorted((folder / "keys").glob(f"{member}.vote*.seed"))
    files = [(vote, vote.with_name(vote.name.replace(".vote", ".note"))) for vote in votes]
    return tuple(KeyPair(read_seed(vote), read_seed(note), (vote, note)) for vote, note in files)


def new_pair(folder: Path, member: str) -> tuple[bytes, bytes]:
    """Make one more pair of keys for a member; its public vote and note key."""
    held = [path.name for path in (folder / "keys").glob(f"{member}.vote*.seed")]
    number = "" if not held else f"-{1 + max(int(name[len(member) + 6 : -5] or 0) for name in held)}"
    vote, note = (new_seed(_seed_file(folder, f"{member}.{use}{number}")) for use in ("vote", "note"))
    return vote, note


def folder_of(data: Path) -> Path:
    """Where the channel of a data folder stands."""
    return data / "channel"


def load(data: Path) -> Channel:
    """The channel of a data folder. Raises EnvironmentFault when there is none, or its files don't belong together."""
    folder = folder_of(data)
    try:
        genesis = geneses.parse((folder / "genesis.json").read_bytes())
        registry = registries.parse((folder / "registry.json").read_bytes(), factors.load())
    except FileNotFoundError as error:
        raise EnvironmentFault(
            f"{data} holds no channel yet: 'carbonledger demo' or 'carbonledger up' makes one"
        ) from error
    except (GenesisError, RegistryError) as error:
        raise EnvironmentFault(f"the channel in {folder} is damaged: {error}") from error
    if registry.digest != genesis.registry:
        raise EnvironmentFault(f"{folder}/registry.json is not the registry that the genesis names: restore it")
    if registry.factors.digest != genesis.factors:
        raise EnvironmentFault(
            "the genesis names another factor set than this version ships: use the version that made it"
        )
    return Channel(folder, genesis, registry)


def create(data: Path, parameters: "Parameters", days: int | None) -> Channel:
    """Make the demonstration's keys, registry and genesis, unless they are there. Raises EnvironmentFault."""
    from infra.demo import scenario

    folder = folder_of(data)
    if (folder / "genesis.json").exists():
        return load(data)
    gateways = [*parameters.gateways, parameters.registry.intake]
    keys = {gateway: new_seed(_seed_file(folder, gateway)) for gateway in gateways}
    parties = {party.id: new_seed(_seed_file(folder, party_key(party.id))) for party in parameters.parties}
    submitters = {AGGREGATOR: new_seed(_seed_file(folder, AGGREGATOR))}
    registry = scenario.registry_bytes(parameters, keys, submitters, parties)
    (folder / "registry.json").write_bytes(registry)
    (folder / "scenario.json").write_text(json.dumps({"days": days}) + "\n")
    genesis = geneses.build(
        {
            "channel": "demo",
            "partition": 0,
            "members": [_member(folder, index) for index in range(len(MEMBERS))],
            "registry": sha256(registry).hexdigest(),
            "factors": factors.load().digest.hex(),
            "rules": "carbonledger/1",
            "window_seconds": parameters.time.window_seconds,
            "lateness_seconds": parameters.time.lateness_seconds,
            "utc_offset_minutes": 60,
            "evidence_horizon_seconds": HORIZON_SECONDS,
            "block": {"bytes": Bounds().block_bytes, "records": Bounds().block_records},
            "clock": "replay",
            "epoch": 0,
        }
    )
    # the genesis comes last: with it the channel is whole
    (folder / "genesis.json").write_bytes(genesis)
    return load(data)


def _member(folder: Path, index: int) -> dict[str, str]:
    name, role = MEMBERS[index]
    vote, note = (new_seed(_seed_file(folder, f"member-{index}.{use}")) for use in ("vote", "note"))
    note_key = NoteKey(f"carbonledger/demo/{name}", note)
    return Member(index, name, role, vote, note_key).card
