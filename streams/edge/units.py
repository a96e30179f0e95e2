"""Units of what meters send, and the exact way from one to another.

Only a factor that is a finite decimal is taken: the value that is signed is the value that was measured. Volume share
and mass concentration (vol%, mg/m3) differ by the gas, actual and normal cubic metres (m3, Nm3) by temperature,
pressure and moisture: neither is a conversion of units, and both are refused.
"""

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import NamedTuple

_EXACT = Context(prec=80, traps=[Inexact])
_HOUR, _MINUTE = Fraction(3600), Fraction(60)

_KINDS: Mapping[str, Mapping[str, Fraction]] = {
    "volume share": {"vol%": Fraction(1, 100), "ppm": Fraction(1, 10**6), "ppb": Fraction(1, 10**9)},
    "share": {"1": Fraction(1), "%": Fraction(1, 100)},
    "concentration": {
        "ug/m3": Fraction(1, 10**6),
        "mg/m3": Fraction(1, 1000),
        "g/m3": Fraction(1),
        "kg/m3": Fraction(1000),
    },
    "normal concentration": {
        "ug/Nm3": Fraction(1, 10**6),
        "mg/Nm3": Fraction(1, 1000),
        "g/Nm3": Fraction(1),
        "kg/Nm3": Fraction(1000),
    },
    "pressure": {"Pa": Fraction(1), "hPa": Fraction(100), "kPa": Fraction(1000), "MPa": Fraction(10**6)},
    "flow": {"m3/s": Fraction(1), "m3/min": 1 / _MINUTE, "m3/h": 1 / _HOUR, "L/s": Fraction(1, 1000)},
    "normal flow": {"Nm3/s": Fraction(1), "Nm3/min": 1 / _MINUTE, "Nm3/h": 1 / _HOUR},
    "volume": {"m3": Fraction(1), "L": Fraction(1, 1000)},
    "mass": {"mg": Fraction(1, 10**6), "g": Fraction(1, 1000), "kg": Fraction(1), "t": Fraction(1000)},
    "energy": {
        "J": Fraction(1),
        "kJ": Fraction(1000),
        "MJ": Fraction(10**6),
        "GJ": Fraction(10**9),
        "Wh": _HOUR,
        "kWh": 1000 * _HOUR,
        "MWh": 10**6 * _HOUR,
    },
    "power": {"W": Fraction(1), "kW": Fraction(1000), "MW": Fraction(10**6)},
    "temperature": {"K": Fraction(1), "degC": Fraction(1)},
}
_ZERO = {"degC": Fraction(27315, 100)}
"""Where a scale's zero stands in its kind's base unit; 0 for those not named."""

_UNITS = {unit: (kind, factor) for kind, units in _KINDS.items() for unit, factor in units.items()}


class UnitError(ValueError):
    """Two units without an exact conversion between them."""


class Conversion(NamedTuple):
    """`value` · factor + offset, exact for values of up to 40 digits."""

    factor: Decimal
    offset: Decimal

    def __call__(self, value: Decimal) -> Decimal:
        """The value in the other unit."""
        return _EXACT.fma(value, self.factor, self.offset)


def conversion(unit: str, wanted: str) -> Conversion | None:
    """How a value in `unit` becomes one in `wanted`; None where it already is. Raises UnitError."""
    if unit == wanted:
        return None
    for name in (unit, wanted):
        if name not in _UNITS:
            raise UnitError(f"{name!r} is no unit that is known")
    (kind, factor), (wanted_kind, wanted_factor) = _UNITS[unit], _UNITS[wanted]
    if kind != wanted_kind:
        raise UnitError(f"{unit} is a {kind}, {wanted} a {wanted_kind}: no conversion of units")
    offset = (_ZERO.get(unit, Fraction(0)) - _ZERO.get(wanted, Fraction(0))) / wanted_factor
    try:
        return Conversion(_decimal(factor / wanted_factor), _decimal(offset))
    except Inexact:
        raise UnitError(f"{unit} to {wanted} has no finite decimal factor: register the point in {unit}") from None


def _decimal(value: Fraction) -> Decimal:
    return _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))
