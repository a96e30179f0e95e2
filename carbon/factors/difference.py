"""What differs between two factor sets, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass

from carbon.factors.rows import Factor

_SAID = ("value", "unit", "kind", "confidence", "source", "clause", "start", "end")


@dataclass(frozen=True)
class Difference:
    """A row that is not the same in both: none before is new, none after is gone."""

    before: Factor | None
    after: Factor | None

    @property
    def name(self) -> str:
        """`table.name`."""
        row = self.after or self.before
        assert row is not None
        return row.id

    @property
    def what(self) -> str:
        """New, gone, or what of it changed."""
        if self.before is None or self.after is None:
            return "new" if self.before is None else "gone"
        return ", ".join(part for part in _SAID if getattr(self.before, part) != getattr(self.after, part))


def differences(before: Mapping[str, Factor], after: Mapping[str, Factor]) -> list[Difference]:
    """The rows that two sets don't have in common, by name."""
    names = sorted({*before, *after})
    return [Difference(before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]
