"""An hour of a logger's minute data, as its frames hold it, becomes the mass of the stack."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from carbon import drafting, window
from streams.edge.packing import columns
from streams.edge.sources.hj212.devices import Catalogue, Device
from tests.small import HOUR, START, World

NONE = {"rule": "none"}
RULE = {
    "rule": "cems_mass",
    "basis": "dry",
    "flow": "plant-0-1",
    "flow_basis": "wet",
    "temperature": "plant-0-2",
    "static_pressure": "plant-0-3",
    "barometric_pa": "101325",
    "moisture": "plant-0-4",
}
POINTS = {
    "plant-0-0": {"unit": "vol%", "scale": 2, "max": 2_500, "emission": RULE},
    "plant-0-1": {"unit": "m3/h", "max": 3_000_000, "emission": NONE},
    "plant-0-2": {"unit": "degC", "scale": 1, "min": -300, "max": 4_000, "emission": NONE},
    "plant-0-3": {"unit": "Pa", "min": -5_000, "max": 5_000, "emission": NONE},
    "plant-0-4": {"unit": "%", "scale": 1, "max": 300, "emission": NONE},
}
SENT = (("a05001", "vol%"), ("a00000", "m3/s"), ("a01012", "degC"), ("a01013", "kPa"), ("a01014", "%"))
ITEMS = [
    {"command": 2051, "code": code, "field": "Avg", "point": point, "unit": unit, "point_unit": fields["unit"]}
    | {"time": "start"}
    for (code, unit), (point, fields) in zip(SENT, POINTS.items(), strict=True)
]


def test_an_hour_of_minute_data_is_a_mass() -> None:
    world = World.make(points=5, step_seconds=60, more={n: f | {"time": "start"} for n, f in POINTS.items()})
    catalogue = Catalogue(Device.model_validate({"mn": "A1", "password": "123456", "items": ITEMS}))
    readings = []
    for minute in range(60):
        at = datetime(2016, 1, 1, 8, tzinfo=UTC) + timedelta(minutes=minute)
        flag = "C" if minute < 5 else "N"
        data = f"DataTime={at:%Y%m%d%H%M%S};a05001-Avg=12.00,a05001-Flag={flag};a00000-Avg=277.5,a00000-Flag=N"
        data += ";a01012-Avg=127.0;a01013-Avg=-1.325;a01014-Avg=8.0"
        readings += catalogue.read(2051, data).readings
    names, packed = columns(readings, {point: fields.get("scale", 0) for point, fields in POINTS.items()})
    rows = zip(packed["point"], packed["at"], packed["value"], packed["flag"], strict=True)
    message = world.pack(START + HOUR, [(names[p], at, value, chr(flag)) for p, at, value, flag in rows])
    range_ = drafting.range_of(world.channel, window.Span(1, 1), [world.facts(message)])
    draft = drafting.first_version(world.registry.points["plant-0-0"], START, range_)
    # by hand: 120,000 ppm · 44.01/22.4 of 999,000 m3/h · 273/400 · 100,000/101,325 · 0.92 a minute, in mg
    gas = 999_000 * Fraction(273, 400) * Fraction(100_000, 101_325) * Fraction(92, 100)
    minute_mg = round(120_000 * Fraction("44.01") / Fraction("22.4") * gas / 60)
    assert (draft.window.count, draft.window.quantity) == (55, 55 * minute_mg)
    assert draft.emission_g == round(Fraction(60 * minute_mg, 1000)) == 145_956_673
