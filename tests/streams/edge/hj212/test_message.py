"""Segments: what is taken, what is refused and why, and the answers of the three editions."""

from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.sources.hj212.frame import FrameReader, frame, segment_of
from streams.edge.sources.hj212.message import MAX_FIELDS, MessageError, answer, compose, parse, receipt

QN, MN = "20160801085857534", "010000A8900016F000169DC0"
HOUR = {"QN": QN, "ST": "31", "CN": "2061", "PW": "123456", "MN": MN, "Flag": 5}
DATA = "DataTime=20160801080000;a05001-Avg=12.1,a05001-Flag=N"

names = st.text(ascii_letters + digits, min_size=1, max_size=20)
data_sections = st.text(ascii_letters + digits + "-=;,.& 二氧化碳", max_size=200).filter(
    lambda text: "&&" not in f"&{text}"
)


def said(raw: bytes) -> str:
    return segment_of(raw).decode()


@given(
    st.text(digits, min_size=17, max_size=17),
    st.integers(2000, 3999),
    names,
    names,
    st.sampled_from([0, 1, 4, 5, 8, 9]),
    data_sections,
)
def test_what_is_composed_is_parsed(qn: str, cn: int, pw: str, mn: str, flag: int, data: str) -> None:
    message = parse(compose({"QN": qn, "ST": "31", "CN": cn, "PW": pw, "MN": mn, "Flag": flag}, data))
    assert (message.qn, message.cn, message.pw, message.mn, message.data) == (qn, cn, pw, mn, data)
    assert (message.version, message.answer_wanted) == (flag >> 2, bool(flag & 1))
    assert (message.part, message.parts) == (1, 1)


@given(st.binary(max_size=400))
def test_no_bytes_do_more_than_be_refused(segment: bytes) -> None:
    with pytest.raises(MessageError):
        parse(frame(segment.replace(b"\r\n", b"")))


@given(st.integers(0, 200), st.binary(max_size=8), st.integers(0, 8))
def test_damage_that_the_crc_does_not_show(at: int, put: bytes, cut: int) -> None:
    segment = segment_of(compose(HOUR, DATA))
    at %= len(segment)
    try:
        parse(frame((segment[:at] + put + segment[at + cut :]).replace(b"\r\n", b"")))
    except MessageError as error:
        assert error.reason in {"malformed", "wrong_flag", "wrong_part"}


def test_a_device_of_2005_has_neither_number_nor_flag() -> None:
    fields = {"ST": "31", "CN": "2011", "PW": "123456", "MN": "LD130133000015"}
    message = parse(compose(fields, "DataTime=20160824003817;B01-Rtd=36.91"))
    assert (message.qn, message.version, message.answer_wanted) == ("", 0, False)
    assert receipt(message) is None


@given(names, st.sampled_from(["XPW", "RF", "pw"]), data_sections)
def test_what_is_kept_is_a_frame_without_the_password_to_which_it_can_be_put_back(
    pw: str, other: str, data: str
) -> None:
    before = {"PW": pw} if other == "RF" else {}
    sent = compose(before | {other: f"PW={pw}"} | HOUR | {"PW": pw}, data + f"PW={pw};")
    kept = parse(sent).raw
    (again,) = FrameReader(9_999).feed(kept)
    assert parse(again).pw == ""
    assert frame((b";" + segment_of(kept)).replace(b";PW=;", f";PW={pw};".encode(), 1)[1:]) == sent


@pytest.mark.parametrize("field", ["PW123456", "123456", "PW=12345678901234567890123456789012x", "PW=12 34"])
def test_a_refusal_repeats_no_field(field: str) -> None:
    segment = said(compose(HOUR, DATA)).replace("PW=123456", field)
    with pytest.raises(MessageError, match="field 4") as caught:
        parse(frame(segment.encode()))
    assert "1234" not in str(caught.value) and "12 34" not in str(caught.value)


def test_parts_are_numbered() -> None:
    message = parse(compose(HOUR | {"Flag": 7, "PNUM": 2, "PNO": 1}, DATA))
    assert (message.part, message.parts) == (1, 2)


def test_fields_of_a_province_are_let_through() -> None:
    assert parse(compose(HOUR | {"RF": 1}, DATA)).mn == MN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"QN": "2016080108585753"}, "malformed"),
        ({"QN": "20160801085857５34"}, "malformed"),
        ({"ST": "3"}, "malformed"),
        ({"CN": "206"}, "malformed"),
        ({"PW": "x" * 33}, "malformed"),
        ({"MN": "m" * 33}, "malformed"),
        ({"Flag": "x"}, "malformed"),
        ({"Flag": 12}, "wrong_flag"),
        ({"Flag": 255}, "wrong_flag"),
        ({"Flag": 7}, "wrong_part"),
        ({"Flag": 7, "PNUM": 2}, "wrong_part"),
        ({"Flag": 7, "PNUM": 2, "PNO": 0}, "wrong_part"),
        ({"Flag": 7, "PNUM": 2, "PNO": 3}, "wrong_part"),
        ({"Flag": 5, "PNUM": 2, "PNO": 1}, "wrong_part"),
        ({"ö": 1}, "malformed"),
        ({"x": "y" * 33}, "malformed"),
        ({f"x{i}": 1 for i in range(MAX_FIELDS - 5)}, "malformed"),
    ],
)
def test_fields_that_are_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse(compose(HOUR | change, DATA))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("CP=&&", "CP=&"),
        ("&&DataTime", "&&&&DataTime"),
        ("ST=31;", ""),
        ("ST=31;", "ST=31;ST=31;"),
        (";CP", "CP"),
        ("MN=", "NM="),
    ],
)
def test_segments_that_are_refused(before: str, after: str) -> None:
    segment = said(compose(HOUR, DATA))
    assert before in segment
    with pytest.raises(MessageError, match=r"section|field") as caught:
        parse(frame(segment.replace(before, after).encode()))
    assert caught.value.reason == "malformed"


def test_the_answer_of_2017_is_that_of_annex_c() -> None:
    # table C.48
    reply = receipt(parse(compose(HOUR, DATA)))
    assert reply is not None
    assert said(reply) == f"QN={QN};ST=91;CN=9014;PW=123456;MN={MN};Flag=4;CP=&&&&"


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        (9, f"QN={QN};ST=91;CN=9014;PW=123456;MN={MN};Flag=8;CP=&&&&"),
        (1, f"ST=91;CN=9014;PW=123456;MN={MN};Flag=0;CP=&&QN={QN};CN=2061&&"),
    ],
)
def test_the_answers_of_2025_and_2005(flag: int, wanted: str) -> None:
    reply = receipt(parse(compose(HOUR | {"Flag": flag}, DATA)))
    assert reply is not None
    assert said(reply) == wanted


@pytest.mark.parametrize("command", [1013, 9015])
def test_a_notification_is_answered_by_9013(command: int) -> None:
    reply = receipt(parse(compose(HOUR | {"CN": command})))
    assert reply is not None
    assert parse(reply).cn == 9013


@pytest.mark.parametrize("change", [{"Flag": 4}, {"CN": 9014}, {"CN": 1062}, {"CN": 9012}])
def test_what_is_not_answered(change: dict[str, object]) -> None:
    assert receipt(parse(compose(HOUR | change))) is None


def test_the_answers_to_a_request() -> None:
    # table C.10
    request = parse(compose(HOUR | {"CN": 2011}))
    accepted, done = answer(request, 9011, "QnRtn=1"), answer(request, 9012, "ExeRtn=1")
    assert said(accepted) == f"QN={QN};ST=91;CN=9011;PW=123456;MN={MN};Flag=4;CP=&&QnRtn=1&&"
    assert said(done) == f"QN={QN};ST=91;CN=9012;PW=123456;MN={MN};Flag=4;CP=&&ExeRtn=1&&"
