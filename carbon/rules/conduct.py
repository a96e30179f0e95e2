"""Reward and punishment: which recorded fact leads to which proposal, and by which clause."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from carbon.rules.fields import RuleError, decimal, distinct, fields_of, known

EFFECTS: Mapping[str, tuple[str, ...]] = {
    "praise": (),
    "reward": ("least_percent", "fen_per_t", "most_fen"),
    "surrender_fine": ("times",),
    "shortfall_cut": (),
    "false_data_fine": ("times", "floor_cny"),
    "false_data_cut": ("percent",),
}
"""What may follow, and the parameters that it needs."""
FACTS: Mapping[str, tuple[str, ...]] = {
    "surrendered_on_time": ("need_g",),
    "reduction": ("planned_g", "verified_g"),
    "missed_surrender": ("shortfall_g", "price_fen_t"),
    "refused_correction": ("shortfall_g",),
    "false_data": ("gain_fen",),
    "refused_false_data": ("next_year_g",),
}
"""What may have happened, and the figures that say how much: g CO2e, 0.01 CNY."""
FACTS_OF: Mapping[str, tuple[str, ...]] = {
    "praise": tuple(FACTS),
    "reward": ("reduction",),
    "surrender_fine": ("missed_surrender",),
    "shortfall_cut": ("refused_correction",),
    "false_data_fine": ("false_data",),
    "false_data_cut": ("refused_false_data",),
}
"""Which facts an effect can be computed from."""


@dataclass(frozen=True)
class ConductRule:
    """One rule: the fact, what follows, and on what ground."""

    name: str
    fact: str
    effect: str
    outcome: str
    ground: str
    parameters: Mapping[str, Fraction]

    @classmethod
    def read(cls, raw: Any) -> "ConductRule":
        """Of a table. Raises RuleError."""
        texts = dict.fromkeys(("name", "fact", "effect", "outcome", "ground"), str)
        row = fields_of(raw, texts | {"parameters": dict})
        effect = known(row["effect"], EFFECTS, "effect")
        if row["fact"] not in FACTS_OF[effect]:
            raise RuleError(f"{row['name']}: {effect} follows from {' or '.join(FACTS_OF[effect])}")
        given = fields_of(row["parameters"], dict.fromkeys(EFFECTS[effect], str))
        parameters = {name: decimal(text) for name, text in given.items()}
        if any(value < 0 for value in parameters.values()):
            raise RuleError(f"{row['name']}: a parameter below 0")
        return cls(**{**row, "parameters": parameters})


@dataclass(frozen=True)
class Conduct:
    """All rules of reward and punishment."""

    standing: str
    rules: tuple[ConductRule, ...]

    @classmethod
    def read(cls, raw: Any) -> "Conduct":
        """Of a table. Raises RuleError."""
        row = fields_of(raw, {"standing": str, "rules": list})
        rules = tuple(ConductRule.read(rule) for rule in row["rules"])
        distinct((rule.name for rule in rules), "rule")
        return cls(row["standing"], rules)
