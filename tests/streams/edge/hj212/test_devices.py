"""What is registered of a logger, and the readings that come of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.edge.sources import RawReading
from streams.edge.sources.hj212.devices import Catalogue, Device
from streams.edge.sources.hj212.message import MessageError

CO2 = {"command": 2061, "code": "a05001", "field": "Avg", "point": "stack.co2", "unit": "vol%", "point_unit": "ppm"}
CO2 |= {"time": "start"}
FLOW = {"command": 2011, "code": "a00000", "field": "Rtd", "point": "stack.flow", "unit": "m3/s", "point_unit": "m3/h"}
FLOW |= {"time": "instant"}


def device(*items: dict[str, Any], **settings: Any) -> Device:
    return Device.model_validate({"mn": "A1", "password": "123456", "items": items} | settings)


def ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)


def test_an_hour_begins_where_data_time_says_on_the_logger_s_clock() -> None:
    data = "DataTime=20240801080000;a05001-Min=11.9,a05001-Avg=12.25,a05001-Max=12.4,a05001-Flag=N"
    measured = Catalogue(device(CO2)).read(2061, data)
    assert measured.readings == (RawReading("stack.co2", ms(2024, 8, 1, 0), Decimal(122_500), "N"),)
    assert measured.codes_unread == 0


@pytest.mark.parametrize(
    ("offset", "hour"), [("+08:00", 0), ("+00:00", 8), ("-00:00", 8), ("-05:00", 13), ("+05:30", 2)]
)
def test_the_logger_s_clock(offset: str, hour: int) -> None:
    data = "DataTime=20240801080000;a05001-Avg=12.25"
    (reading,) = Catalogue(device(CO2, utc_offset=offset)).read(2061, data).readings
    assert reading.at == ms(2024, 8, 1, hour, 30 if offset == "+05:30" else 0)


def test_an_instant_may_have_a_sample_time_of_its_own() -> None:
    data = "DataTime=20240801080005;a00000-SampleTime=20240801080001,a00000-Rtd=1.5,a00000-Flag=N"
    (reading,) = Catalogue(device(FLOW)).read(2011, data).readings
    assert reading == RawReading("stack.flow", ms(2024, 8, 1, 0, 0, 1), Decimal(5400), "N")


def test_the_start_of_a_period_is_no_sample_time() -> None:
    data = "DataTime=20240801080000;a05001-SampleTime=20240801081234,a05001-Avg=1"
    (reading,) = Catalogue(device(CO2)).read(2061, data).readings
    assert reading.at == ms(2024, 8, 1)


@pytest.mark.parametrize("letter", "NFMSDCTB")
def test_flags(letter: str) -> None:
    data = f"DataTime=20240801080000;a05001-Avg=12.25,a05001-Flag={letter}"
    assert Catalogue(device(CO2)).read(2061, data).readings[0].flag == letter


@pytest.mark.parametrize(("item", "flag"), [("", "N"), (",a05001-Flag=", "?"), (",a05001-Flag=中", "?")])
def test_a_missing_flag_is_normal_and_one_that_is_none_is_said_so(item: str, flag: str) -> None:
    data = f"DataTime=20240801080000;a05001-Avg=12.25{item}"
    assert Catalogue(device(CO2)).read(2061, data).readings[0].flag == flag


@pytest.mark.parametrize("text", ["", "-", "--", "NaN", "Infinity", "1e5", "1,5".replace(",", " "), "0x1", "１"])
def test_what_is_no_number_is_a_reading_without_one(text: str) -> None:
    (reading,) = Catalogue(device(CO2)).read(2061, f"DataTime=20240801080000;a05001-Avg={text}").readings
    assert reading.value is None


@given(st.decimals(min_value=-(10**14), max_value=10**14, places=6, allow_nan=False))
def test_values_are_converted_exactly(value: Decimal) -> None:
    (reading,) = Catalogue(device(CO2)).read(2061, f"DataTime=20240801080000;a05001-Avg={value:f}").readings
    assert reading.value == value * 10_000


def test_what_is_not_registered_is_counted_and_not_passed_on() -> None:
    catalogue = Catalogue(device(CO2, FLOW))
    data = "DataTime=20240801080000;a05001-Avg=1;a19001-Avg=9,a19001-Flag=N;a00000-Avg=3"
    measured = catalogue.read(2061, data)
    assert [reading.point for reading in measured.readings] == ["stack.co2"]
    assert measured.codes_unread == 2
    more = catalogue.read(2061, f"{data};a34013-Avg=5")
    assert (more.codes_unread, catalogue.read(2061, data).codes_unread) == (3, 2), "with other names than before"
    # the same code under another command is another quantity
    assert catalogue.read(2051, "DataTime=20240801080000;a05001-Avg=1") == ((), 0)
    assert catalogue.read(2011, "DataTime=20240801080000;a05001-Avg=1") == ((), 1)


def test_a_message_without_measured_data() -> None:
    log = 'DataTime=20160801085857;PolId=w01018,i11001-Info="a=b,PolId=1";PolId=w01001'
    assert Catalogue(device(CO2)).read(3020, log) == ((), 0)
    assert Catalogue(device(CO2)).read(2081, "DataTime=20160801085857;RestartTime=20160801085624") == ((), 0)
    assert Catalogue(device(CO2)).read(2061, "") == ((), 0)


def test_a_separator_too_many() -> None:
    assert len(Catalogue(device(CO2)).read(2061, ";DataTime=20240801080000;;a05001-Avg=1,;").readings) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a05001-Avg=1", "wrong_time"),
        ("DataTime=;a05001-Avg=1", "wrong_time"),
        ("DataTime=2024080108;a05001-Avg=1", "wrong_time"),
        ("DataTime=20241301080000;a05001-Avg=1", "wrong_time"),
        ("DataTime=20240801080060;a05001-Avg=1", "wrong_time"),
        ("DataTime=19990801080000;a05001-Avg=1", "wrong_time"),
        ("DataTime=２0240801080000;a05001-Avg=1", "wrong_time"),
        ("DataTime=20240801080000;DataTime=20240801090000;a05001-Avg=1", "malformed"),
        ("DataTime=20240801080000;a05001-Avg=1;a05001-Avg=2", "malformed"),
        ("DataTime=20240801080000;a05001-Avg", "malformed"),
        ("DataTime=20240801080000;a05001-Avg=1a05001-Flag=N", "malformed"),
        ("DataTime=20240801080000;whatever", "malformed"),
    ],
)
def test_data_that_is_refused(data: str, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        Catalogue(device(CO2)).read(2061, data)
    assert caught.value.reason == reason


@given(st.text(st.sampled_from("DataTime=20240801;,-&a05001Avg.Flag N"), max_size=80))
def test_no_data_does_more_than_be_refused(data: str) -> None:
    try:
        Catalogue(device(CO2)).read(2061, "DataTime=20240801080000;" + data)
    except MessageError as error:
        assert error.reason in {"malformed", "wrong_time"}


@pytest.mark.parametrize(
    "item",
    [
        CO2 | {"time": "instant"},
        FLOW | {"time": "start"},
        CO2 | {"unit": "mg/m3"},
        CO2 | {"unit": "furlong"},
        CO2 | {"field": "Flag"},
        CO2 | {"command": 9014},
        {key: value for key, value in CO2.items() if key != "unit"},
        {key: value for key, value in CO2.items() if key != "time"},
    ],
)
def test_items_that_are_not_taken(item: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        device(item)


@pytest.mark.parametrize("settings", [{"utc_offset": "8"}, {"mn": ""}, {"mn": "a;b"}, {"split": "cut"}])
def test_devices_that_are_not_taken(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        device(CO2, **settings)


def test_an_item_is_registered_once() -> None:
    with pytest.raises(ValidationError, match="twice"):
        device(CO2, CO2 | {"point": "other"})


def test_a_password_is_not_shown() -> None:
    assert "123456" not in repr(device(CO2))
