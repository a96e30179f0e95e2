"""Reward and punishment: what the rules propose for recorded facts, as the contents of decisions.

A proposal decides nothing: a regulator signs the decision, and it is taken back by a reversal where it was wrong.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from carbon import compliance
from carbon.compliance import FEN, ComplianceError, FineRange
from carbon.emission import round_half_even
from carbon.factors import FactorSet
from carbon.rules.conduct import FACTS, Conduct, ConductRule


@dataclass(frozen=True)
class Fact:
    """What the ledger says of a subject: a kind of `carbon.rules.conduct.FACTS` with its figures."""

    subject: str
    year: int
    kind: str
    figures: Mapping[str, int]
    records: tuple[bytes, ...]
    """Commitments of the records that it rests on."""


class _Amount(NamedTuple):
    """What follows: a fine (a reward is below 0), a cut, and how it was found."""

    fen: int
    cut_g: int
    why: str


def proposals(
    facts: Iterable[Fact], rules: Conduct, factors: FactorSet, allowed: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The contents of submission-decision that the rules propose, in the order of facts, then rules.

    Raises ComplianceError for a rule beyond the law's range or a fact without its figures, FactorError.
    """
    found = [
        _proposal(rule, fact, factors, allowed) for fact in facts for rule in rules.rules if rule.fact == fact.kind
    ]
    return [content for content in found if content is not None]


def _proposal(rule: ConductRule, fact: Fact, factors: FactorSet, allowed: Collection[str]) -> dict[str, Any] | None:
    missing = [name for name in FACTS[fact.kind] if name not in fact.figures]
    if missing:
        raise ComplianceError(f"{fact.kind} of {fact.subject} without {', '.join(missing)}")
    amount = _EFFECTS[rule.effect](rule.parameters, fact.figures, factors, allowed)
    if amount is None:
        return None
    return {
        "subject": fact.subject,
        "year": fact.year,
        "rule": rule.name,
        "outcome": rule.outcome,
        "amount_fen": amount.fen,
        "cut_g": amount.cut_g,
        "reasons": f"{rule.ground}. {amount.why}",
        "records": sorted(set(fact.records)),
    }


Parameters = Mapping[str, Fraction]
Figures = Mapping[str, int]
_Effect = Callable[[Parameters, Figures, FactorSet, Collection[str]], _Amount | None]


def _praise(parameters: Parameters, figures: Figures, factors: FactorSet, allowed: Collection[str]) -> _Amount:
    return _Amount(0, 0, ", ".join(f"{name} {_amount(name, value)}" for name, value in sorted(figures.items())))


def _reward(parameters: Parameters, figures: Figures, factors: FactorSet, allowed: Collection[str]) -> _Amount | None:
    """So much a tonne below the plan, when the verified emission is far enough below it: declared, not law."""
    planned, verified = figures["planned_g"], figures["verified_g"]
    saved = planned - verified
    if saved <= 0 or 100 * saved < parameters["least_percent"] * planned:
        return None
    full = _rounded(parameters["fen_per_t"] * saved / compliance.GRAMS_PER_TONNE)
    fen = min(full, _rounded(parameters["most_fen"]))
    return _Amount(-fen, 0, f"planned {_t(planned)}, verified {_t(verified)}, {_t(saved)} less: {_cny(fen)}")


def _surrender_fine(parameters: Parameters, figures: Figures, factors: FactorSet, allowed: Collection[str]) -> _Amount:
    """Decree 775, art. 24."""
    short, price = figures["shortfall_g"], figures["price_fen_t"]
    fine = compliance.surrender_fine(short, price, factors, allowed)
    fen = _rounded(parameters["times"] * short * price / compliance.GRAMS_PER_TONNE)
    why = f"{_t(short)} short at {_cny(price)} a tonne, times {parameters['times']}: {_cny(fen)}"
    return _Amount(_within(fen, fine), 0, f"{why} of {_cny(fine.least_fen)} to {_cny(fine.most_fen)}")


def _shortfall_cut(parameters: Parameters, figures: Figures, factors: FactorSet, allowed: Collection[str]) -> _Amount:
    """Decree 775, art. 24, last sentence."""
    cut = compliance.next_year_cut_g(figures["shortfall_g"], True, factors, allowed)
    return _Amount(0, cut, f"{_t(figures['shortfall_g'])} short, correction refused: {_t(cut)}")


def _false_data_fine(parameters: Parameters, figures: Figures, factors: FactorSet, allowed: Collection[str]) -> _Amount:
    """Decree 775, art. 22."""
    gain = figures["gain_fen"]
    fine = compliance.false_data_fine(gain, factors, allowed)
    small = gain < FEN * compliance.SMALL_GAIN_CNY
    fen = _rounded(FEN * parameters["floor_cny"] if small else parameters["times"] * gain)
    why = f"a gain of {_cny(gain)}: {_cny(fen)} of {_cny(fine.least_fen)} to {_cny(fine.most_fen)}"
    return _Amount(_within(fen, fine), 0, why)


def _false_data_cut(parameters: Parameters, figures: Figures, factors: FactorSet, allowed: Collection[str]) -> _Amount:
    """Decree 775, art. 22, last sentence."""
    least, most = compliance.false_data_cut_percent(factors, allowed)
    percent = parameters["percent"]
    if not least <= percent <= most:
        raise ComplianceError(f"a cut of {percent} %, where {least} to {most} % is the law's range")
    cut = _rounded(percent * figures["next_year_g"] / 100)
    return _Amount(0, cut, f"{percent} % of {_t(figures['next_year_g'])}, of {least} to {most} %: {_t(cut)}")


_EFFECTS: Mapping[str, _Effect] = {
    "praise": _praise,
    "reward": _reward,
    "surrender_fine": _surrender_fine,
    "shortfall_cut": _shortfall_cut,
    "false_data_fine": _false_data_fine,
    "false_data_cut": _false_data_cut,
}


def _within(fen: int, fine: FineRange) -> int:
    if not fine.least_fen <= fen <= fine.most_fen:
        raise ComplianceError(
            f"a fine of {_cny(fen)}, where {_cny(fine.least_fen)} to {_cny(fine.most_fen)} is the law's range"
        )
    return fen


def _cny(fen: int) -> str:
    return f"CNY {fen // FEN:,}.{fen % FEN:02}"


def _t(grams: int) -> str:
    """Grams as tonnes, exact."""
    return f"{Decimal(grams).scaleb(-6).normalize():,f} t"


def _amount(name: str, value: int) -> str:
    return _cny(value) if name.endswith("_fen") else _t(value)


def _rounded(value: Fraction) -> int:
    return round_half_even(*value.as_integer_ratio())
