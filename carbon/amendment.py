"""Changes of the registry: how the next file follows from the one in force, and what a change may not touch.

A change puts whole entries in the place of those with their id, or behind the last, and drops entries of people. What
a point's readings mean stays for ever: another unit, scale, step or window is another point. A gateway's key changes
only together with its run, and no key comes back. A factor set comes behind the last and never changes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from carbon.registry import Registry, RegistryError, canonical_json, parse
from carbon.signers import Gateway
from schemas import codec

SECTIONS = ("subjects", "gateways", "submitters", "operators", "registrars", "parties", "factors", "points")
PEOPLE = ("submitters", "operators", "registrars", "parties")
"""Sections whose entries may go: nothing that was recorded leads back to them."""
_MEANING = (
    *("subject", "gateway", "object", "unit", "scale", "step_seconds", "window_seconds"),
    *("start", "time", "rising", "counter", "quantity"),
)
"""What stays as it is of a point."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Amendment:
    """One change: from the registry in force, at registry height `base`, to the next, in force from height `first`.

    `closed` are the points whose readings count otherwise from then on: their windows recorded before are corrected no
    more. `number` is that of the batch that brings the change, `digest` SHA-256 of the next file.
    """

    number: int
    base: int
    first: int
    digest: bytes
    put: tuple[tuple[str, bytes], ...]
    """Section and canonical JSON of an entry."""
    drop: tuple[tuple[str, str], ...]
    """Section and id."""
    closed: tuple[str, ...]

    def encode(self) -> bytes:
        """Canonical Avro of registry-change: what a registrar signs."""
        rows = {
            "put": [{"section": section, "entry": entry} for section, entry in self.put],
            "drop": [{"section": section, "id": name} for section, name in self.drop],
        }
        head = {"number": self.number, "base": self.base, "first": self.first, "digest": self.digest}
        return codec.encode_bare("registry-change", head | rows | {"closed": list(self.closed)})

    @classmethod
    def decode(cls, data: bytes) -> "Amendment":
        """The change of its bytes. Raises CodecError."""
        fields = codec.decode_bare("registry-change", data)
        put = tuple((row["section"], row["entry"]) for row in fields["put"])
        drop = tuple((row["section"], row["id"]) for row in fields["drop"])
        return cls(**{**fields, "put": put, "drop": drop, "closed": tuple(fields["closed"])})


def amendment(
    now: Registry, number: int, base: int, first: int, put: Sequence[tuple[str, Entry]], drop: Sequence[tuple[str, str]]
) -> Amendment:
    """The change that puts and drops some entries. Raises RegistryError for one that may not be made."""
    entries = tuple((section, canonical_json(entry)) for section, entry in put)
    after = _next(now, entries, drop)
    return Amendment(number, base, first, after.digest, entries, tuple(drop), closed(now, after))


def amended(now: Registry, change: Amendment) -> Registry:
    """The registry that a change leads to. Raises RegistryError when it may not be made, or states another."""
    after = _next(now, change.put, change.drop)
    if (after.digest, closed(now, after)) != (change.digest, change.closed):
        raise RegistryError("the change leads to another registry, or closes other points, than it states")
    return after


def _next(now: Registry, put: Sequence[tuple[str, bytes]], drop: Sequence[tuple[str, str]]) -> Registry:
    raw = json.loads(now.file)
    for section, data in put:
        if section not in SECTIONS:
            raise RegistryError(f"no section of a registry that changes: {section!r}")
        _put(raw.setdefault(section, []), _entry(data))
    for section, name in drop:
        kept = [entry for entry in raw.get(section, ()) if entry["id"] != name]
        if section not in PEOPLE or len(kept) != len(raw.get(section, ())) - 1:
            raise RegistryError(f"{section} has no {name!r} that may go")
        raw[section] = kept
    after = parse(canonical_json(raw), now.sets[0])
    if after.digest == now.digest:
        raise RegistryError("a change that changes nothing")
    _check(now, after)
    return after


def _entry(data: bytes) -> Entry:
    try:
        entry: Entry = json.loads(data)
        is_canonical = canonical_json(entry) == data and type(entry["id"]) is str
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise RegistryError(f"no entry of a registry: {error!r}") from error
    if not is_canonical:
        raise RegistryError("an entry that is not in its canonical form")
    return entry


def _put(section: list[Entry], entry: Entry) -> None:
    place = next((i for i, other in enumerate(section) if other["id"] == entry["id"]), None)
    if place is None:
        section.append(entry)
    else:
        section[place] = entry


def _check(now: Registry, after: Registry) -> None:
    for name, point in now.points.items():
        if any(getattr(point, part) != getattr(after.points[name], part) for part in _MEANING):
            raise RegistryError(f"{name}: what its readings mean stays; register another point")
    for name, subject in now.subjects.items():
        later = after.subjects[name]
        former = (subject.parent, subject.region, subject.parents)
        if (later.parent, later.region, later.parents[: len(subject.parents)]) != former:
            raise RegistryError(f"{name}: who was above it stays; add from when somebody else is")
    for was, stands in zip(now.sets, after.sets, strict=False):
        if (was.version, was.start, was.digest) != (stands.version, stands.start, stands.digest):
            raise RegistryError(f"the factor set {was.version} stays as it is: make another version")
    known = {key for gateway in now.gateways.values() for key in (gateway.key, *gateway.retired)}
    for name, gateway in after.gateways.items():
        before = now.gateways.get(name)
        if before != gateway:
            _check_gateway(before, gateway, known)
    used = [key for gateway in after.gateways.values() for key in (gateway.key, *gateway.retired)]
    if len(set(used)) != len(used):
        raise RegistryError("a gateway's key is its own, and never comes back")


def _check_gateway(before: Gateway | None, gateway: Gateway, known: set[bytes]) -> None:
    if before is None or gateway.run != before.run:
        retired = () if before is None else (*before.retired, before.key)
        is_later = before is None or (gateway.run > before.run and gateway.kind == before.kind)
        if not is_later or gateway.retired != retired or gateway.key in known or gateway.revoked:
            raise RegistryError(
                f"{gateway.id}: a new run is a later one with a key never used, behind the retired ones"
            )
    elif (gateway.key, gateway.retired, gateway.kind) != (before.key, before.retired, before.kind) or before.revoked:
        raise RegistryError(f"{gateway.id}: another key or kind, or the end of a revocation, takes another run")


def closed(now: Registry, after: Registry) -> tuple[str, ...]:
    """The points of `now` whose readings count otherwise in `after`: by their rules, a partner's, or their run."""
    runs = {name for name, gateway in now.gateways.items() if after.gateways[name] != gateway}
    touched = {name for name, point in now.points.items() if after.points[name] != point or point.gateway in runs}
    return tuple(sorted(name for name, point in now.points.items() if touched & {name, *point.partners}))
