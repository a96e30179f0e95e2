"""What the registries say about a point, as far as a table shows it: of each point the same in all of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from carbon.amendment import Amendment
from carbon.registry import Registry
from consensus import registration
from consensus.log.leaf import Leaf


class PointFacts(NamedTuple):
    """Whose point it is, what it measures, and how its values are written (integers of 10^-scale of unit)."""

    subject: str
    object: str
    unit: str
    scale: int


UNKNOWN = PointFacts("", "", "", 0)


@dataclass
class Reference:
    """The prefix of the channel's carbon codes, the facts of its points by id, and the kinds of its gateways by id.

    It grows with the ledger where it knows the `registries`, by registry height; without them it stays as it is.
    """

    prefix: str
    points: dict[str, PointFacts]
    gateways: dict[str, str]
    registries: dict[int, Registry] = field(default_factory=dict)

    @classmethod
    def of(cls, registry: Registry) -> Self:
        """The reference that begins with the registry of the genesis."""
        reference = cls(registry.prefix, {}, {}, {0: registry})
        reference._learn(registry)
        return reference

    def _learn(self, registry: Registry) -> None:
        self.points |= {p.id: PointFacts(p.subject, p.object, p.unit, p.scale) for p in registry.points.values()}
        self.gateways |= {g.id: g.kind for g in registry.gateways.values()}

    def follow(self, leaf: Leaf, payload: bytes) -> Amendment | None:
        """Know the registry that an accepted change leads to; the change, None for any other record."""
        change = registration.follow(self.registries, leaf, payload) if self.registries else None
        if change is not None:
            self._learn(self.registries[change.first])
        return change

    def adopt(self, payload: bytes) -> Registry:
        """Know the registry that an accepted change leads to; that registry."""
        registry = self.registries[registration.adopt(self.registries, payload).first]
        self._learn(registry)
        return registry

    def lacks(self, gateway: str, points: Iterable[str]) -> bool:
        """Whether a gateway or point is of a registry that is still to be read."""
        return bool(self.registries) and (gateway not in self.gateways or not self.points.keys() >= set(points))

    def facts(self, point: str) -> PointFacts:
        """The facts of a point; empty ones for an unknown point."""
        return self.points.get(point, UNKNOWN)

    def kind(self, gateway: str) -> str:
        """The kind of a gateway; empty for an unknown one."""
        return self.gateways.get(gateway, "")
