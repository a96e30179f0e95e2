"""Who limits or stops what in heavy-pollution weather: by the alert's level and the subject's performance grade."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carbon.rules.fields import RuleError, fields_of, known

LEVELS = ("YELLOW", "ORANGE", "RED")


@dataclass(frozen=True)
class Limit:
    """The most that may be emitted, in percent of what is usual; 0 is a stop."""

    percent: int
    reason: str


@dataclass(frozen=True)
class Weather:
    """Limits by level and grade; sectors that stay free of them, with the reason."""

    standing: str
    limits: Mapping[tuple[str, str], Limit]
    exempt: Mapping[str, str]
    otherwise: str
    """The grade whose limits hold for a subject without a known one."""

    @classmethod
    def read(cls, raw: Any) -> "Weather":
        """Of a table. Raises RuleError."""
        row = fields_of(raw, {"standing": str, "otherwise": str, "limits": list, "exempt": list})
        limits = [_limit(limit) for limit in row["limits"]]
        grades = {grade for (_, grade), _ in limits}
        if len(limits) != len(grades) * len(LEVELS) or {key for key, _ in limits} != _pairs(grades):
            raise RuleError("every grade has one limit at each level")
        exempt = [fields_of(each, {"sector": str, "reason": str}) for each in row["exempt"]]
        free = {each["sector"]: each["reason"] for each in exempt}
        return cls(row["standing"], dict(limits), free, known(row["otherwise"], sorted(grades), "grade"))


def _pairs(grades: set[str]) -> set[tuple[str, str]]:
    return {(level, grade) for level in LEVELS for grade in grades}


def _limit(raw: Any) -> tuple[tuple[str, str], Limit]:
    row = fields_of(raw, {"level": str, "grade": str, "limit_percent": int, "reason": str})
    if not 0 <= row["limit_percent"] <= 100:
        raise RuleError(f"a limit of {row['limit_percent']} %")
    return (known(row["level"], LEVELS, "level"), row["grade"]), Limit(row["limit_percent"], row["reason"])
