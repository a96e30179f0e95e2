"""A change of the registry on its way to the ledger: one JSON file in plain words, which its registrar reads and signs.

What is signed is made from the plain words and the registry in force each time.
"""

import json
from dataclasses import dataclass
from typing import Any

from carbon import amendment
from carbon.amendment import Amendment
from carbon.registry import Registry
from consensus import registration
from consensus.log.leaf import REGISTRATION
from infra.copy import LedgerCopy


class DraftError(ValueError):
    """A file that is no change of this channel's registry."""


@dataclass(frozen=True)
class History:
    """The registries of a channel up to a height of its ledger."""

    height: int
    registries: dict[int, Registry]
    """By registry height; the last may be one that is to come."""
    recorded: dict[int, int]
    """Registry height to the height of its record."""
    decided: dict[int, tuple[int, int]]
    """Number of each proposed change to its height and reason (0: accepted)."""

    def at(self, height: int) -> int:
        """Registry height of the registry in force at a height."""
        return registration.in_force(self.registries, height)


def history(copy: LedgerCopy) -> History:
    """The registries that a copy of the ledger leads to from the genesis. Raises LedgerError."""
    found = History(copy.newest().height, copy.registries, {0: 0}, {})
    for block, opened in copy.blocks():
        for item in opened:
            if item.leaf.leaf.kind != REGISTRATION:
                continue
            change = registration.change_of(item.payload)
            found.decided[change.number] = (block.height, item.leaf.leaf.reason)
            if item.leaf.leaf.accepted:
                found.recorded[change.first] = block.height
    return found


@dataclass(frozen=True)
class Draft:
    """A change of the registry in plain words."""

    channel: bytes
    number: int
    base: int
    first: int
    put: tuple[tuple[str, dict[str, Any]], ...]
    drop: tuple[tuple[str, str], ...]

    def change(self, now: Registry) -> Amendment:
        """What is signed, of the registry at `base`. Raises RegistryError for a change that may not be made."""
        return amendment.amendment(now, self.number, self.base, self.first, self.put, self.drop)

    def dump(self) -> str:
        """The file."""
        head = {"channel": self.channel.hex(), "number": self.number, "base": self.base, "first": self.first}
        put = [{"section": section, "entry": entry} for section, entry in self.put]
        drop = [{"section": section, "id": name} for section, name in self.drop]
        return json.dumps(head | {"put": put, "drop": drop}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def load(cls, text: str, channel: bytes) -> "Draft":
        """The draft of a file. Raises DraftError."""
        try:
            data = json.loads(text)
            put = tuple((str(row["section"]), dict(row["entry"])) for row in data["put"])
            drop = tuple((str(row["section"]), str(row["id"])) for row in data["drop"])
            number, base, first = (int(data[name]) for name in ("number", "base", "first"))
            of = bytes.fromhex(data["channel"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DraftError(f"no change of a registry: {error!r}") from error
        if of != channel:
            raise DraftError("a change of another channel's registry")
        return cls(of, number, base, first, put, drop)


def entry_of(now: Registry, section: str, name: str) -> dict[str, Any]:
    """An entry of a registry as its file states it. Raises DraftError."""
    for entry in json.loads(now.file).get(section, ()):
        if entry["id"] == name:
            return dict(entry)
    raise DraftError(f"the registry's {section} have no {name!r}")


def revoked(now: Registry, gateway: str) -> tuple[str, dict[str, Any]]:
    """A gateway whose key counts no more. Raises DraftError."""
    return "gateways", entry_of(now, "gateways", gateway) | {"revoked": True}


def rotated(now: Registry, gateway: str, key: bytes) -> tuple[str, dict[str, Any]]:
    """A gateway's next run, with a new key. Raises DraftError."""
    entry = entry_of(now, "gateways", gateway)
    retired = [*entry.pop("retired", ()), entry["key"]]
    entry.pop("revoked", None)
    return "gateways", entry | {"key": key.hex(), "run": entry["run"] + 1, "retired": retired}
