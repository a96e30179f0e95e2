"""The evidence half of facts: output, value added, laboratory results, prices."""

from carbon.claims.ground import (
    MOST_FEN,
    MOST_PRICE_FEN_T,
    Ground,
    days,
    months,
    name,
    positive,
    with_an_account,
    years,
)
from carbon.claims.units import output_refusal
from carbon.refusal import Refusal
from carbon.submission import Submission

MOST_CARBON_PPM = 10**6
"""Nothing holds more carbon than carbon does."""
MOST_NCV_KJ_KG = 60_000
"""Declared; the highest in the factor tables is 50,179 (LPG)."""
CARBON_PER_HEAT_G_GJ = range(5_000, 100_001)
"""Carbon per heat of any fuel, gC/GJ. Declared; the factor tables have 12,100 to 70,800."""


def output(submission: Submission, ground: Ground) -> Refusal:
    """What was put out in some days; 0 is a statement too."""
    content = submission.content
    return (
        with_an_account(content["subject"], ground)
        or days(content["start"], content["end"], ground)
        or name(content["product"])
        or output_refusal(content["quantity"], content["scale"], content["unit"], content["product"])
    )


def gdp(submission: Submission, ground: Ground) -> Refusal:
    """Value added in whole months, of an enterprise or a region."""
    content = submission.content
    return months(content["start"], content["end"], ground) or positive(content["amount_fen"], MOST_FEN)


def laboratory(submission: Submission, ground: Ground) -> Refusal:
    """Carbon and calorific value of a sample, each within what fuels have, and in a ratio that a fuel has."""
    content = submission.content
    carbon_ppm, ncv = content["carbon_ppm"], content["ncv_kj_kg"]
    # 10^-6 tC/t over kJ/kg is g of carbon over MJ, a thousand times g/GJ
    return (
        with_an_account(content["subject"], ground)
        or next((found for part in ("source", "sample", "batch") if (found := name(content[part]))), Refusal.PASS)
        or days(content["start"], content["end"], ground)
        or positive(carbon_ppm, MOST_CARBON_PPM)
        or positive(ncv, MOST_NCV_KJ_KG)
        or (Refusal.PASS if carbon_ppm * 1000 // ncv in CARBON_PER_HEAT_G_GJ else Refusal.ABSURD)
    )


def price(submission: Submission, ground: Ground) -> Refusal:
    """The average of a month."""
    content = submission.content
    of_a_month = Refusal.PASS if content["month"] in range(1, 13) else Refusal.WRONG_PERIOD
    return years(content["year"]) or of_a_month or positive(content["price_fen_t"], MOST_PRICE_FEN_T)
