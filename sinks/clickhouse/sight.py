"""What a reader may see of the tables, as conditions in SQL: rows of its subjects, each while it was for its eyes.

A table that isn't named in `SHOWN` is shown to nobody but the owner.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from carbon.registry import Registry
from carbon.signers import Party
from carbon.subjects import Span, sight


class Shown(NamedTuple):
    """A table that readers get rows of: `base` holds them, `about` says whose they are, `at` of when.

    Without `base` it is a view over tables of which some are not shown. Without `at` a row says how things stand now;
    without `about` it is for everybody.
    """

    base: str
    about: tuple[str, ...] = ()
    at: str = ""
    extra: tuple[str, ...] = ()
    """Columns that are computed when they are asked for."""


SHOWN: Mapping[str, Shown] = {
    "readings": Shown("readings", ("subject",), "at", ("code",)),
    "records": Shown("records", ("subject",), "window_start", ("code", "coverage")),
    "submissions": Shown("submissions_log", ("subject", "counterparty"), "about"),
    "postings": Shown("postings_log", ("subject",), "time"),
    "balances": Shown("balances_log", ("subject",)),
    "forecasts": Shown("forecasts_log", ("subject",), "at"),
    "alerts": Shown("alerts_log", ("subject",), "at"),
    "anomalies": Shown("anomalies_log", ("subject",), "at"),
    "rejections": Shown("rejections_log", ("point",), "at"),
    "emissions": Shown("", ("subject",), "start"),
    "rates": Shown("rates_log", ("subject",)),
    "ratings": Shown("ratings_log", ("subject",), "toDateTime64(makeDate(year, 12, 31), 3, 'UTC')"),
    "subjects": Shown("subjects_log", ("subject",), "start"),
    "channels": Shown("channels"),
    "members": Shown("members"),
    "blocks": Shown("blocks"),
    "votes": Shown("votes_log"),
    "member_views": Shown("member_views_log"),
}
UNDER = frozenset({"rates_log"})
"""Tables that views need whole, and nobody is shown: what stands beside the emission of a quantity, no amounts."""


@dataclass(frozen=True)
class Sight:
    """Which subjects and points somebody sees when. `now` are those that it sees as things stand."""

    everything: bool
    subjects: Mapping[str, list[Span]]
    points: Mapping[str, list[Span]]
    now: frozenset[str]

    def condition(self, shown: Shown) -> str:
        """The rows of a table that are for its eyes."""
        if self.everything or not shown.about:
            return "1"
        if not shown.at:
            return _any(_among(column, self.now) for column in shown.about)
        return _any(
            _within(column, shown.at, self.points if column == "point" else self.subjects) for column in shown.about
        )


def sight_of(viewer: Party | None, registry: Registry | None, now_ms: int) -> Sight:
    """What a party sees, None for the public, by a registry and the time of the newest block in ms UTC."""
    if registry is None:
        return Sight(False, {}, {}, frozenset())
    spans = {name: found for name in registry.subjects if (found := sight(viewer, name, registry))}
    points = {point.id: spans[point.subject] for point in registry.points.values() if point.subject in spans}
    now = frozenset(name for name, found in spans.items() if any(_holds(span, now_ms) for span in found))
    return Sight(_serves_all(viewer), spans, points, now)


def _serves_all(viewer: Party | None) -> bool:
    """Whether somebody sees also what is of no subject: the market's accounts, alerts on the pipeline."""
    oversees = viewer is not None and viewer.role in ("regulator", "verifier")
    return oversees and viewer is not None and viewer.subject is None and not viewer.assigned


def _holds(span: Span, at_ms: int) -> bool:
    start, end = span
    return (start is None or start <= at_ms) and (end is None or at_ms < end)


def _within(column: str, at: str, spans: Mapping[str, list[Span]]) -> str:
    """Rows whose `column` is one of those that are seen, at a time in one of its spans; those of one span together."""
    alike: dict[Span, list[str]] = {}
    for name, found in spans.items():
        for span in found:
            alike.setdefault(span, []).append(name)
    return _any(" AND ".join([_among(column, names), *_bounds(at, span)]) for span, names in alike.items())


def _bounds(at: str, span: Span) -> list[str]:
    start, end = span
    bounds = [] if start is None else [f"{at} >= fromUnixTimestamp64Milli({start}, 'UTC')"]
    return bounds if end is None else [*bounds, f"{at} < fromUnixTimestamp64Milli({end}, 'UTC')"]


def _among(column: str, names: Iterable[str]) -> str:
    listed = ", ".join(quoted(name) for name in sorted(names))
    return f"{column} IN ({listed})" if listed else "0"


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({condition})" for condition in conditions) or "0"


def quoted(text: str, mark: str = "'") -> str:
    """A text or, with a backtick as `mark`, a name in SQL."""
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark
