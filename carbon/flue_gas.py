"""What flue gas can't be, in integers: two readings of one instant that don't go together.

Both checks err on the side of the reading: bounds are rounded outwards, and `tolerance` (a fraction) is added to them.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import lcm

import numpy as np
from numpy.typing import NDArray

Scaled = NDArray[np.int64]
"""Readings in scaled integers, (n,)."""

AIR_OXYGEN = Fraction("20.95")
"""vol% of dry air; rounded up from 20.946 (U.S. Standard Atmosphere, 1976, table 3)."""
_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_LIMIT = 2**62
_NONE = 2**63 - 1

# fmt: off
SATURATION_PA = (
    612, 658, 706, 759, 814, 873, 936, 1_003, 1_073, 1_149,
    1_229, 1_313, 1_403, 1_499, 1_599, 1_706, 1_819, 1_939, 2_065, 2_199,
    2_340, 2_489, 2_646, 2_811, 2_986, 3_170, 3_364, 3_568, 3_783, 4_009,
    4_247, 4_497, 4_760, 5_036, 5_325, 5_629, 5_948, 6_282, 6_633, 7_000,
    7_385, 7_788, 8_210, 8_651, 9_112, 9_595, 10_099, 10_626, 11_177, 11_752,
    12_352, 12_978, 13_631, 14_312, 15_022, 15_762, 16_533, 17_335, 18_171, 19_041,
    19_946, 20_888, 21_867, 22_885, 23_943, 25_042, 26_183, 27_369, 28_599, 29_876,
    31_201, 32_575, 34_001, 35_478, 37_009, 38_596, 40_239, 41_941, 43_704, 45_528,
    47_415, 49_368, 51_388, 53_477, 55_636, 57_868, 60_174, 62_557, 65_018, 67_559,
    70_183, 72_891, 75_685, 78_569, 81_543, 84_609, 87_772, 91_031, 94_391, 97_852,
    101_418,
)
"""Saturation pressure of water at 0, 1, … 100 °C, rounded up (IAPWS-IF97, equation 30)."""
# fmt: on


@dataclass(frozen=True)
class DryGas:
    """CO2 beside the oxygen of `partner`, both vol% dry: CO2 / `co2_max` + O2 / 20.95 is at most 1 + `tolerance`.

    `co2_max` is the vol% that the fuel makes with no air to spare (Ostwald's line of complete combustion).
    """

    partner: str
    co2_max: str
    tolerance: str

    def fits(self, scale: int, largest: int, partner_scale: int, partner_largest: int) -> bool:
        """Whether the figures have a sense and what is computed of such readings stays inside 64 bits."""
        if not 0 < _decimal(self.co2_max) <= 100 or not 0 <= _decimal(self.tolerance) <= 1:
            return False
        own, other, most = _line(self.co2_max, self.tolerance, scale, partner_scale)
        return max(own * largest, other * partner_largest, most) < _LIMIT

    def impossible(self, co2: Scaled, oxygen: Scaled, scale: int, partner_scale: int) -> NDArray[np.bool_]:
        """Which pairs can't be, (n,)."""
        own, other, most = _line(self.co2_max, self.tolerance, scale, partner_scale)
        broken: NDArray[np.bool_] = own * co2 + other * oxygen > most
        return broken


def _decimal(text: object) -> Fraction:
    """The value of a short decimal text; -1 for anything else, such as an exponent that would take all memory."""
    return Fraction(text) if isinstance(text, str) and _DECIMAL.fullmatch(text) else Fraction(-1)


@cache
def _line(co2_max: str, tolerance: str, scale: int, partner_scale: int) -> tuple[int, int, int]:
    """The check as own · CO2 + other · O2 <= most, in integers."""
    terms = 1 / (Fraction(co2_max) * 10**scale), 1 / (AIR_OXYGEN * 10**partner_scale), 1 + Fraction(tolerance)
    common = lcm(*(term.denominator for term in terms))
    own, other, most = (int(term * common) for term in terms)
    return own, other, most


@dataclass(frozen=True)
class Saturation:
    """Moisture in vol% beside the temperature in °C of `partner`: at most saturated at `pressure_pa`.

    `pressure_pa` is the lowest absolute pressure in the duct. Above 100 °C anything goes.
    """

    partner: str
    pressure_pa: int
    tolerance: str

    def fits(self, scale: int, largest: int, partner_scale: int, partner_largest: int) -> bool:
        """Whether the figures have a sense and what is computed of such readings stays inside 64 bits."""
        sane = type(self.pressure_pa) is int and 10_000 <= self.pressure_pa <= 200_000
        if not sane or not 0 <= _decimal(self.tolerance) <= 1:
            return False
        return max(_most_moisture(self.pressure_pa, self.tolerance, scale)[:-1]) < _LIMIT

    def impossible(self, moisture: Scaled, temperature: Scaled, scale: int, partner_scale: int) -> NDArray[np.bool_]:
        """Which pairs can't be, (n,)."""
        degrees = -(-temperature // 10**partner_scale)  # upwards, to the row that allows more
        most = np.array(_most_moisture(self.pressure_pa, self.tolerance, scale), np.int64)
        broken: NDArray[np.bool_] = moisture > most[np.clip(degrees, 0, len(SATURATION_PA))]
        return broken


@cache
def _most_moisture(pressure_pa: int, tolerance: str, scale: int) -> tuple[int, ...]:
    """The most moisture at 0, 1, … 100 °C and above, in scaled vol%."""
    share = (1 + Fraction(tolerance)) * 100 * 10**scale / pressure_pa
    return (*(int(share * pressure) for pressure in SATURATION_PA), _NONE)
