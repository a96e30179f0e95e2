"""A stack for tests: a CO2 concentration whose mass is counted, with its flow, temperature, pressures and moisture.

Made up; the ranges are those of a coal-fired unit. A reading a minute.
"""

from typing import Any

from tests.small import START, World

CO2, FLOW, TEMPERATURE, STATIC, BAROMETRIC, MOISTURE = (f"plant-0-{i}" for i in range(6))
MINUTE = 60_000
NONE = {"rule": "none"}
RULE = {
    "rule": "cems_mass",
    "basis": "dry",
    "flow": FLOW,
    "flow_basis": "wet",
    "temperature": TEMPERATURE,
    "static_pressure": STATIC,
    "barometric_pressure": BAROMETRIC,
    "moisture": MOISTURE,
}
POINTS: dict[str, dict[str, Any]] = {
    CO2: {"unit": "mg/Nm3", "max": 400_000, "emission": RULE},
    FLOW: {"unit": "m3/h", "max": 3_000_000, "emission": NONE},
    TEMPERATURE: {"unit": "°C", "scale": 1, "min": -300, "max": 4_000, "emission": NONE},
    STATIC: {"unit": "Pa", "min": -5_000, "max": 5_000, "emission": NONE},
    BAROMETRIC: {"unit": "kPa", "scale": 2, "min": 6_000, "max": 11_000, "emission": NONE},
    MOISTURE: {"unit": "%", "scale": 1, "max": 300, "emission": NONE},
}
GAS = {CO2: 200_000, FLOW: 1_000_000, TEMPERATURE: 1_270, STATIC: -1_325, BAROMETRIC: 10_132, MOISTURE: 80}
"""The worked example of `carbon.stack_mass`, but 101,320 Pa outside."""
MASS = 2_065_527_116
"""Of a minute of it, 10^-3 g: by hand 200,000 · 10^6 · 273/400 · 99,995/101,325 · 0.92 / 60."""


def stack(**changes: dict[str, Any]) -> World:
    """A world of one stack; `changes`: fields of points by their last digit, p0=… for CO2; p6 is one more."""
    fields = POINTS | {f"plant-0-{role[1:]}": {} for role in changes if role > "p5"}
    more = {name: of | changes.get(f"p{name[-1]}", {}) for name, of in fields.items()}
    return World.make(points=len(fields), step_seconds=60, more=more)


def minute(at: int, **values: int) -> list[tuple[str, int, int]]:
    """The readings of one minute; `values` by role, as for `stack`."""
    return [(name, START + MINUTE * at, values.get(f"p{name[-1]}", value)) for name, value in GAS.items()]


def minutes(first: int, end: int) -> list[tuple[str, int, int]]:
    """The readings of some minutes."""
    return [reading for at in range(first, end) for reading in minute(at)]
