"""The evidence half of what a subject means to do: its year's plan and its reduction target."""

from carbon.claims.ground import (
    MOST_G,
    Ground,
    all_not_negative,
    name,
    not_negative,
    positive,
    rising,
    with_an_account,
    years,
)
from carbon.claims.units import output_refusal
from carbon.refusal import Refusal
from carbon.submission import Submission

MONTHS = 12


def plan(submission: Submission, ground: Ground) -> Refusal:
    """Twelve months that add up to a year, and what is put out in them if a product is stated."""
    content, months = submission.content, submission.content["months"]
    emissions = [month["emission_g"] for month in months]
    return (
        with_an_account(content["subject"], ground)
        or years(content["year"])
        or (Refusal.PASS if len(months) == MONTHS else Refusal.MALFORMED)
        or all_not_negative(emissions, MOST_G)
        or positive(sum(emissions), MOST_G)
        or _outputs(submission)
    )


def _outputs(submission: Submission) -> Refusal:
    content = submission.content
    outputs = [month["output"] for month in content["months"]]
    if not content["product"]:
        nothing = (content["unit"], content["scale"], *outputs) == ("", 0, *[0] * MONTHS)
        return Refusal.PASS if nothing else Refusal.MALFORMED
    ends = (
        output_refusal(end, content["scale"], content["unit"], content["product"])
        for end in (min(outputs), max(outputs))
    )
    return name(content["product"]) or next((found for found in ends if found), Refusal.PASS)


def target(submission: Submission, ground: Ground) -> Refusal:
    """Less in a later year than in the base year, on a path of years between."""
    content, path = submission.content, submission.content["path"]
    between = [content["base_year"], *(step["year"] for step in path), content["target_year"]]
    return (
        with_an_account(content["subject"], ground)
        or years(*between)
        or (Refusal.PASS if not rising(between) else Refusal.WRONG_PERIOD)
        or positive(content["base_g"], MOST_G)
        or not_negative(content["target_g"], MOST_G)
        or all_not_negative((step["amount_g"] for step in path), MOST_G)
        or (Refusal.PASS if content["target_g"] < content["base_g"] else Refusal.WRONG_AMOUNT)
    )
