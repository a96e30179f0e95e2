"""The hours that are kept say what a whole history says, in whatever order it came, and stay within their bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import factors, substitution
from carbon.hours import Due, Hours
from carbon.substitution import HOUR_MS, Regime, Substitution
from tests.carbon.test_substitution import CN, PART75, US, substitute

FIRST = 400_000
WAITS = 30
US_RULE, CN_RULE = Substitution(US, WAITS), Substitution(CN, WAITS)
LATER = Regime(HOUR_MS * (FIRST + 40), substitution.tier_set("part75", factors.load()), 77)
RULES = [US_RULE, CN_RULE, Substitution((*CN, LATER), WAITS)]
VALUES = st.one_of(st.none(), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
HISTORIES = st.lists(VALUES, max_size=150)


def filled(told: list[int | None], rule: Substitution = US_RULE) -> tuple[Hours, dict[int, Due]]:
    """The hours of a history, and what was charged on the way."""
    hours, charged = Hours.since(FIRST), {}
    for value in told:
        hours.append(value, rule, WAITS)
        while (hour := hours.due(WAITS)) is not None:
            charged[hour - FIRST] = hours.charge(hour, rule)
            hours.settle(hour)
    return hours, charged


@given(HISTORIES, st.sampled_from(RULES))
def test_every_hour_is_charged_once_and_by_what_the_whole_history_says(
    told: list[int | None], rule: Substitution
) -> None:
    _, charged = filled(told, rule)
    due = [place for place, value in enumerate(told) if value is None and place + 1 + WAITS <= len(told)]
    assert sorted(charged) == due
    shifted = tuple(Regime(one.start - HOUR_MS * FIRST, one.tiers, one.potential) for one in rule.regimes)
    for place, value in enumerate(told):
        if value is None and place in charged:
            seen = told[: place + 1 + WAITS]
            ended = [one for one in substitute(seen, shifted) if one.place == place]
            if ended:  # the gap had ended when the hour was due
                assert charged[place][:2] == (ended[0].value, ended[0].row)


@given(HISTORIES, st.data())
def test_what_comes_late_but_in_time_makes_no_difference(told: list[int | None], data: st.DataObject) -> None:
    wanted, charged = filled(told)
    late = data.draw(st.sets(st.sampled_from(range(len(told)))) if told else st.just(set()))
    hours, found = Hours.since(FIRST), {}
    for place, value in enumerate(told):
        hours.append(None if place in late else value, US_RULE, WAITS)
        for other in sorted(late):
            if other + WAITS == place or place == len(told) - 1:
                hours.amend(FIRST + other, told[other])
        while (hour := hours.due(WAITS)) is not None:
            found[hour - FIRST] = hours.charge(hour, US_RULE)
            hours.settle(hour)
    hours.append(5, US_RULE, WAITS)
    wanted.append(5, US_RULE, WAITS)
    assert (hours.missing, hours.values) == (wanted.missing, wanted.values)
    assert found.keys() == charged.keys()


@given(HISTORIES, st.sampled_from(RULES), st.integers(0, 149), st.integers(0, 500))
def test_an_amended_hour_is_as_if_it_had_been_so(
    told: list[int | None], rule: Substitution, place: int, value: int
) -> None:
    hours, _ = filled(told, rule)
    hours.amend(FIRST + place, value)
    if place < len(told):
        told = [*told[:place], value, *told[place + 1 :]]
    wanted, _ = filled(told, rule)
    assert (hours.missing, hours.values) == (wanted.missing, wanted.values)
    hours.amend(FIRST + place, None)
    assert (hours.missing, hours.values) == (wanted.missing, wanted.values)


@given(HISTORIES, st.sampled_from(RULES))
def test_the_text_is_read_again(told: list[int | None], rule: Substitution) -> None:
    hours, _ = filled(told, rule)
    assert Hours.parse(str(hours).split(" ")) == hours


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 2",
        "a 2 1 - -",
        "1 4 1 2-2 -",
        "1 4 1 2-3,3-4 -",
        "1 4 1 0-2 -",
        "1 4 1 3-5 -",
        "5 4 1 - -",
        "1 4 1 2 -",
        "1 3 1 - 1,2,3",
        "1 4 1 - - -",
        "1 4 1 - - 2-2",
        "1 4 1 - - 2-3,3-4",
        "1 4 1 - - 3-5",
        "1 4 1 - - 2-3 3-4",
        "1 4 1 1-3 - 2-4",
        "1 4 1 - 1,2,3 2-3",
    ],
)
def test_a_text_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Hours.parse(text.split(" "))


KINDS = st.lists(st.one_of(st.none(), st.just("stop"), st.integers(0, 500), st.integers(0, 500)), max_size=150)


def told_of(kinds: list[int | str | None]) -> Hours:
    hours = Hours.since(FIRST)
    for kind in kinds:
        value = kind if isinstance(kind, int) else None
        hours.append(value, US_RULE, WAITS, stopped=kind == "stop")
    return hours


@given(KINDS)
def test_a_plant_that_stood_still_leaves_an_hour_as_if_there_had_been_none(kinds: list[int | str | None]) -> None:
    """Where it did not end a gap: value, tier and facts are those of the hours in which it ran."""
    hours = told_of(kinds)
    assert Hours.parse(str(hours).split(" ")) == hours
    missing = [place for place, kind in enumerate(kinds) if kind is None]
    for place in missing:
        first = next((k + 1 for k in range(place, -1, -1) if kinds[k] is not None), 0)
        end = next((k for k in range(place, len(kinds)) if kinds[k] is not None), len(kinds))
        if "stop" in (kinds[first - 1 : first] if first else []) + kinds[end : end + 1]:
            continue
        gap = [kind for kind in kinds if kind != "stop"]
        shift = sum(kind == "stop" for kind in kinds[:place])
        assert hours.charge(FIRST + place, US_RULE)[:2] == told_of(gap).charge(FIRST + place - shift, US_RULE)[:2]


@given(KINDS, st.integers(0, 149), st.one_of(st.just("stop"), st.integers(0, 500)))
def test_an_hour_that_turns_out_measured_or_stopped_is_as_if_it_had_been_so(
    kinds: list[int | str | None], place: int, becomes: int | str
) -> None:
    hours = told_of(kinds)
    hours.amend(FIRST + place, becomes if isinstance(becomes, int) else None, stopped=becomes == "stop")
    if place < len(kinds) and (kinds[place] is None or becomes != "stop"):
        kinds = [*kinds[:place], becomes, *kinds[place + 1 :]]
    assert hours == told_of(kinds)


def test_a_stop_is_no_gap_and_no_operating_hour() -> None:
    """By hand: 40 measured, 2 missing of 42 are 95.2 % (the mean around); 60 hours that stood still change nothing,
    where they would have been 39 % missing and charged the potential."""
    kinds: list[int | str | None] = [*[100] * 20, *["stop"] * 60, *[300] * 20, None, None, 500]
    hours = told_of(kinds)
    assert hours.charge(FIRST + 100, US_RULE)[:2] == (400, "part75.sub.pma_ge95_le24h")
    failed = told_of([None if kind == "stop" else kind for kind in kinds])
    assert failed.charge(FIRST + 100, US_RULE)[:2] == (US[0].potential, "part75.sub.pma_lt80")
    assert hours.due(0) == FIRST + 100 and failed.due(0) == FIRST + 20


def test_hours_of_years_take_the_room_of_one() -> None:
    told = [None if place % 11 in (0, 1) else place for place in range(9_500)]
    hours = Hours.since(FIRST)
    for place, value in enumerate(told):
        hours.append(value, US_RULE, WAITS)
        if place == 9_000:
            before = hours.charge(FIRST + 8_999, US_RULE)
    assert hours.end - hours.begin == 8760 + WAITS
    assert len(hours.values) == 720 + WAITS and len(hours.missing) <= 8790 // 11 + 1
    seen = told[: 9_000 + 2]
    assert before[:2] == substitute([*seen[:9_001], 9_001], US)[-1][1:3]
    whole = [place for place in told if place is not None]
    assert hours.values == whole[-720 - WAITS :]
    hours.amend(FIRST + 11 * 1000, 7)
    assert len(hours.values) == 721 + WAITS or 7 not in hours.values
    hours.amend(FIRST + 5, 7)
    assert 7 not in hours.values


def test_a_year_without_a_reading_is_the_potential() -> None:
    hours, charged = filled([5] * 100 + [None] * 9_500)
    assert charged[9_000][:2] == (US[0].potential, "part75.sub.pma_lt80")
    assert hours.missing == [(FIRST + 9_600 - 8_760 - WAITS, FIRST + 9_600)] and hours.values == []


def test_the_boundary_names_all_that_a_value_rests_on() -> None:
    def boundary(told: list[int | None], place: int, rule: Substitution = US_RULE) -> bytes:
        return filled(told, rule)[0].charge(FIRST + place, rule).boundary

    told = [*range(1, 100), None, 7]
    base = boundary(told, 99)
    assert base == boundary([*told, 8], 99)
    others = [
        [*range(1, 99), 98, None, 7],
        [*range(1, 100), None, 8],
        [*range(1, 99), None, None, 7],
        [1, None, *range(3, 100), None, 7],
    ]
    assert len({base, *(boundary(other, 99) for other in others)}) == 5
    potential = Substitution((Regime(0, PART75, 1),), WAITS)
    assert boundary(told, 99, potential) == base, "the regime stands in the rule"
