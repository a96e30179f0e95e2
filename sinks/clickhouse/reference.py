"""What the registry says about a point, as far as a table shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from carbon.registry import Registry


class PointFacts(NamedTuple):
    """Whose point it is, what it measures, and how its values are written (integers of 10^-scale of unit)."""

    subject: str
    object: str
    unit: str
    scale: int


UNKNOWN = PointFacts("", "", "", 0)


@dataclass(frozen=True)
class Reference:
    """The prefix of the channel's carbon codes, the facts of its points by id, and the kinds of its gateways by id."""

    prefix: str
    points: Mapping[str, PointFacts]
    gateways: Mapping[str, str]

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """The reference of a registry."""
        points = {p.id: PointFacts(p.subject, p.object, p.unit, p.scale) for p in registry.points.values()}
        return cls(registry.prefix, points, {g.id: g.kind for g in registry.gateways.values()})

    def facts(self, point: str) -> PointFacts:
        """The facts of a point; empty ones for an unknown point."""
        return self.points.get(point, UNKNOWN)

    def kind(self, gateway: str) -> str:
        """The kind of a gateway; empty for an unknown one."""
        return self.gateways.get(gateway, "")
