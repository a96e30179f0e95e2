"""Who is above whom at an instant, totals along these lines, and who may see what of whom.

Two lines lead up from a subject. Owners: itself, its parent company, that company's. Regions: itself, the region in
which it lies, the region around that; a subject that states no region lies where its parent lies. A sale changes the
first line from its day on and leaves the second alone, so that a region's total doesn't move.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from carbon.registry import Registry
from carbon.signers import Party

Line = Callable[[str, int, Registry], list[str]]
"""A subject and those above it at an instant (ms UTC), nearest first."""


def owners(subject: str, at_ms: int, registry: Registry) -> list[str]:
    """A subject, its parent at an instant, and so on: the line of companies, and whoever is above the last."""
    return _line(subject, lambda name: registry.subjects[name].parent_at(at_ms))


def regions(subject: str, at_ms: int, registry: Registry) -> list[str]:
    """A subject, where it lies at an instant, and so on: the line that an authority's word and sight go down."""
    return _line(subject, lambda name: registry.subjects[name].region or registry.subjects[name].parent_at(at_ms))


def _line(subject: str, up: Callable[[str], str | None]) -> list[str]:
    # it ends: no subject is under itself, and a region is under regions alone and states none
    found: list[str] = []
    name: str | None = subject
    while name is not None:
        found.append(name)
        name = up(name)
    return found


@dataclass
class Total:
    """What counts for a subject, in g CO2e: its own, and that of those directly below it while they were."""

    own_g: int = 0
    parts_g: dict[str, int] = field(default_factory=dict)

    @property
    def grams(self) -> int:
        """The whole, which is the sum of its parts."""
        return self.own_g + sum(self.parts_g.values())


def roll_up(rows: Iterable[tuple[str, int, int]], line: Line, registry: Registry) -> dict[str, Total]:
    """Totals of all that (subject, time in ms UTC, g CO2e) touch, each row counted with those above it at its time."""
    totals: dict[str, Total] = {}
    for subject, at_ms, grams in rows:
        way = line(subject, at_ms, registry)
        totals.setdefault(subject, Total()).own_g += grams
        for below, name in pairwise(way):
            parts = totals.setdefault(name, Total()).parts_g
            parts[below] = parts.get(below, 0) + grams
    return totals


def speaks_for(party: Party, subject: str, at_ms: int, registry: Registry) -> bool:
    """Whether a party's word on a subject at an instant counts.

    An authority's does on all below its subject, a verifier's or laboratory's on those it is assigned, everybody
    else's on its own subject; that of a party without any subject does on all.
    """
    if party.assigned:
        return subject in party.assigned
    if party.subject is None:
        return True
    if party.role in ("regulator", "statistics"):
        return party.subject in regions(subject, at_ms, registry)
    return party.subject == subject


def may_see(viewer: Party | None, subject: str, at_ms: int, registry: Registry) -> bool:
    """Whether somebody may see a subject's account as it was at an instant; None is the public.

    An enterprise sees itself, a parent its subsidiaries while they are its own, a regulator its region, a verifier
    those it is assigned. A region's totals are for everybody, and other roles see no more than these.
    """
    if registry.subjects[subject].regional:
        return True
    if viewer is None:
        return False
    if viewer.role == "enterprise":
        return viewer.subject in owners(subject, at_ms, registry)
    return viewer.role in ("regulator", "verifier") and speaks_for(viewer, subject, at_ms, registry)


Span = tuple[int | None, int | None]
"""From an instant on, and until another, ms UTC; None for without end on that side."""


def sight(viewer: Party | None, subject: str, registry: Registry) -> list[Span]:
    """When a subject's account is for somebody's eyes: `may_see` at every instant, as disjoint spans in order."""
    starts = sorted(_changes(subject, registry))
    edges: list[int | None] = [None, *starts]
    instants = [starts[0] - 1 if starts else 0, *starts]
    spans: list[Span] = []
    for start, end, at_ms in zip(edges, [*starts, None], instants, strict=True):
        if not may_see(viewer, subject, at_ms, registry):
            continue
        if spans and spans[-1][1] == start:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return spans


def _changes(subject: str, registry: Registry) -> set[int]:
    """The instants at which anything above a subject changes, whatever is above it when."""
    found, seen, above = set[int](), set[str](), [subject]
    while above:
        entry = registry.subjects[above.pop()]
        if entry.id not in seen:
            seen.add(entry.id)
            found |= {tenure.start for tenure in entry.parents}
            parents = (entry.region, entry.parent, *(tenure.parent for tenure in entry.parents))
            above += [name for name in parents if name is not None]
    return found
