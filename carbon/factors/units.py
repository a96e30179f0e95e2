"""The units of factor tables: those that `carbon.quantity` knows, and a closed list of phrases around them."""

from collections.abc import Mapping
from fractions import Fraction

from carbon.quantity import Quantity, QuantityError

_PHRASES: Mapping[str, str] = {
    **{f"tCO2/t {material}": "tCO2/t" for material in ("clinker", "CaO", "MgO")},
    **{
        f"% {of}": "%"
        for of in (
            "carbonate in desulphuriser",
            "lower",
            "max uncertainty",
            "of allowances to surrender",
            "of data points",
            "of next-year allowances",
        )
    },
    **{f"valid {counted}": "1" for counted in ("instant values", "minute means", "hour means")},
    "x illegal gain": "1",
    "x average price of month before deadline x shortfall": "1",
    "t cut per t short": "1",
    "allowed": "1",
    "tCO2e per allowance": "tCO2e",
    "CNY if gain <500000": "CNY",
    "QA monitor operating hours (2160 for flow/NOx), <=3 years": "h",
    "L/mol at 273 K, 101325 Pa": "L/mol",
    "mg/Nm3 per 1 vol% (dry)": "mg/Nm3 %",
}
"""Phrases, and the unit that they convert as."""
_FIXED = frozenset(
    {
        "tCO2/MWh supplied",
        "tCO2/MWh gross generation",
        "short ton/scf per %CO2",
        "lb/scf per ppm",
        "scf/kg-mol at 68F",
    }
)
"""Units that convert to no other: electricity supplied is not what was generated."""
NONE, DATE = "-", "date"


def quantity_of(value: Fraction, unit: str) -> Quantity:
    """So many of a table's unit. Raises QuantityError for one that is unknown, or converts to no other."""
    return Quantity.of(value, _PHRASES.get(unit, unit))


def is_known(unit: str) -> bool:
    """Whether a number may be in this unit."""
    if unit in _FIXED:
        return True
    try:
        quantity_of(Fraction(1), unit)
    except QuantityError:
        return False
    return True
