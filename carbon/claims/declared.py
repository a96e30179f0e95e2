"""Numbers that an emission rule declares, which no table has: each within what the thing can be.

They catch another unit or a slip; whether a number is true shows at the site alone. All bounds are declared.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from carbon.quantity import QuantityError, number
from carbon.refusal import Refusal

LEAST_HEAT_RATE = Fraction("3.6")
"""GJ/MWh: what a megawatt hour is, so that no plant generates one of less heat."""
BOUNDS: Mapping[str, tuple[Fraction, Fraction]] = {
    "heat_rate": (LEAST_HEAT_RATE, Fraction(50)),
    "ncv": (Fraction(1), Fraction(60)),
    "contract": (Fraction(0), Fraction(2)),
}
"""By the field of a rule: GJ/MWh, GJ/t, kgCO2/kWh."""
CARBON_PER_HEAT = Fraction(5, 1000), Fraction(100, 1000)
"""Carbon per heat of any fuel, tC/GJ; the factor tables have 0.0121 to 0.0708."""


def declared_refusal(fields: Sequence[Mapping[str, str]]) -> Refusal:
    """Whether the numbers that a rule declares are ones; a field that names a row is none."""
    values = {field["name"]: field["value"] for field in fields}
    try:
        numbers = {name: number(values[name]) for name in BOUNDS if name in values}
        carbon = number(values["carbon"]) if values["rule"] in ("measured_carbon", "biogenic") else None
    except QuantityError:
        return Refusal.MALFORMED
    bounds = [(found, *BOUNDS[name]) for name, found in numbers.items()]
    if any(not least <= found <= most for found, least, most in bounds):
        return Refusal.ABSURD
    if carbon is not None:
        least, most = CARBON_PER_HEAT
        return Refusal.PASS if least <= carbon / numbers["ncv"] <= most else Refusal.ABSURD
    return Refusal.PASS
