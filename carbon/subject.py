"""What a subject is: its kind, under whom it is from when on, where it lies, its units; and what no entry may say."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from carbon import identity


@dataclass(frozen=True)
class Kind:
    """What a kind of subject is."""

    controlled: bool
    """Whether the market gives it allowances."""
    regional: bool
    """Whether it is an authority's area."""


KINDS: Mapping[str, Kind] = {
    "region": Kind(controlled=False, regional=True),
    "supervisory unit": Kind(controlled=False, regional=True),
    "group": Kind(controlled=True, regional=False),
    "enterprise": Kind(controlled=True, regional=False),
    "controlled": Kind(controlled=True, regional=False),
    "plant": Kind(controlled=True, regional=False),
    "SME": Kind(controlled=False, regional=False),
    "non-controlled": Kind(controlled=False, regional=False),
}
"""Subjects by kind: a group is a parent company, a plant what an enterprise or a group has."""


@dataclass(frozen=True)
class Tenure:
    """Under whom a subject is from an instant on, ms UTC."""

    start: int
    parent: str | None


@dataclass(frozen=True)
class Unit:
    """A part of a subject: a boiler, a turbine, a kiln; and its points."""

    id: str
    points: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """An enterprise, a parent company or a region. `kind` is one of `KINDS`.

    What stands behind `parent` is in a registry file only where there is some.
    """

    id: str
    name: str
    kind: str
    parent: str | None
    """The company, or for want of one the region, that it was under first."""
    parents: tuple[Tenure, ...] = ()
    """Under whom it came later, in order of time."""
    region: str | None = None
    """In which region it lies: that of its parent when none is stated."""
    sector: str | None = None
    units: tuple[Unit, ...] = ()

    def parent_at(self, at_ms: int) -> str | None:
        """Under whom it is at an instant."""
        return next((tenure.parent for tenure in reversed(self.parents) if tenure.start <= at_ms), self.parent)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Subject":
        """The subject of a registry's entry. Raises KeyError, TypeError."""
        parents = tuple(Tenure(**tenure) for tenure in raw.get("parents", ()))
        units = tuple(Unit(unit["id"], tuple(unit.get("points", ()))) for unit in raw.get("units", ()))
        return cls(**{**raw, "parents": parents, "units": units})

    @property
    def regional(self) -> bool:
        """Whether it is an authority's area."""
        return KINDS[self.kind].regional


def fault(subject: Subject, subjects: Mapping[str, Subject], points: Collection[str]) -> str | None:
    """What is wrong with a subject among all those of its registry, of which it has these points; None for nothing."""
    if not identity.is_id(subject.id):
        return "a subject's id is a part of carbon codes: small letters, digits and hyphens"
    if subject.kind not in KINDS:
        return f"kind is one of {', '.join(KINDS)}, not {subject.kind!r}"
    if subject.sector is not None and (type(subject.sector) is not str or not subject.sector):
        return "a sector has a name"
    return _parents_fault(subject, subjects) or _region_fault(subject, subjects) or _units_fault(subject, points)


def _parents_fault(subject: Subject, subjects: Mapping[str, Subject]) -> str | None:
    starts = [tenure.start for tenure in subject.parents]
    if any(type(start) is not int or start < 0 for start in starts) or starts != sorted(set(starts)):
        return "parents follow one another, from instants in ms since 1970"
    parents = [parent for parent in (subject.parent, *(tenure.parent for tenure in subject.parents)) if parent]
    if not set(parents) <= subjects.keys():
        return "a subject's parent is not registered"
    if any(_is_ring(subject, at_ms, subjects) for at_ms in (-1, *starts)):
        return "under itself"
    if subject.regional and not all(subjects[parent].regional for parent in parents):
        return "a region is under regions alone"
    return None


def _is_ring(subject: Subject, at_ms: int, subjects: Mapping[str, Subject]) -> bool:
    """Whether a subject leads to itself or a ring above; a ring is there from the change that closes it on."""
    seen: set[str] = set()
    above: str | None = subject.id
    while above is not None and above in subjects:
        if above in seen:
            return True
        seen.add(above)
        above = subjects[above].parent_at(at_ms)
    return False


def _region_fault(subject: Subject, subjects: Mapping[str, Subject]) -> str | None:
    if subject.region is None:
        return None
    if subject.regional or subject.region not in subjects or not subjects[subject.region].regional:
        return "a region is a registered subject of such a kind, and has a parent instead"
    return None


def _units_fault(subject: Subject, points: Collection[str]) -> str | None:
    names = [unit.id for unit in subject.units]
    measured = [point for unit in subject.units for point in unit.points]
    if len(set(names)) != len(names) or len(set(measured)) != len(measured):
        return "a unit stands once, and a point in one unit"
    if not set(measured) <= set(points):
        return "a unit's points are points of its subject"
    return None
