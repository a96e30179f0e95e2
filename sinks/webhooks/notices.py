"""Which alerts are told, and how: once each, by key, not at every flap, in groups, and not while silenced.

Every rule of telling stands here. Time is handed in, Unix ms by the broker's clock of arrival.

- Of a key its first alert is told, and each that is more severe than what was told; the others are counted.
- A milder one, or the end, is told once it has held for `calm_ms`; a trouble that comes back before was never away.
- Whatever goes on is told again after `remind_ms`, if alerts still came.
- Of one kind and subject `burst` notices in `group_ms` are told one by one, the further ones as one summary; what is
  critical always at once.
- What a silence covers is told when it ends, if it still holds then.
- An alert without a key of its own is a deed and has no end: it is told once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

Alert = dict[str, Any]
"""A value of schema alert."""
SEVERITIES = ("info", "warning", "critical")
MOST_SEEN = 50_000
"""Alert ids that are remembered; what comes again later has the id of an event that is known."""
MOST_NAMED = 20
"""Alerts that a summary names."""


def rank(severity: str) -> int:
    """How severe, from 0; what is unknown counts as `warning`."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else 1


@dataclass(frozen=True)
class Rules:
    """Declared defaults; ms."""

    calm_ms: int = 600_000
    remind_ms: int = 86_400_000
    group_ms: int = 60_000
    burst: int = 10


@dataclass(frozen=True)
class Notice:
    """What is told. `state`: opened, worse, milder, reminder, resolved, happened (a deed) or summary.

    `worst` is the gravest that was told of the trouble, by which subscribers choose: who heard of it hears of its end.
    `count` is how many alerts there were.
    """

    state: str
    alert: Alert
    worst: str
    count: int = 1

    @property
    def key(self) -> str:
        """In whose order it is delivered."""
        return str(self.alert["key"] or self.alert["id"])


@dataclass
class Opening:
    """A trouble that goes on. `told` is the severity that was told last, `worst` the gravest; empty while silenced."""

    alert: Alert
    count: int = 0
    told: str = ""
    worst: str = ""
    told_at: int = 0
    told_count: int = 0
    milder_at: int | None = None
    """Since when it is milder than told, or over."""


@dataclass
class Group:
    """The notices of one kind and subject since `start`: how many were told, and what of those that are held."""

    start: int
    told: int = 0
    held: int = 0
    worst: str = ""
    last: Alert = field(default_factory=dict)
    named: list[str] = field(default_factory=list)


Silenced = Callable[[Alert, int], bool]


class Notices:
    """The troubles that go on. `changed` and `changed_groups` name what is to be kept since they were cleared."""

    def __init__(self, rules: Rules, silenced: Silenced = lambda alert, now: False) -> None:
        self._rules, self._silenced = rules, silenced
        self.openings: dict[str, Opening] = {}
        self.groups: dict[str, Group] = {}
        self.seen: dict[str, None] = {}
        self.changed: set[str] = set()
        self.changed_groups: set[str] = set()

    def take(self, alert: Alert, now: int) -> list[Notice]:
        """What is told because this alert came."""
        if alert["id"] in self.seen:
            return []
        self.seen[alert["id"]] = None
        if len(self.seen) > MOST_SEEN:
            del self.seen[next(iter(self.seen))]
        return list(self._grouped(self._taken(alert, now), now))

    def tick(self, now: int) -> list[Notice]:
        """What is told because time passed."""
        due = [notice for key in list(self.openings) for notice in self._passed(key, now)]
        return [*self._grouped(due, now), *self._summaries(now)]

    # -- one key

    def _taken(self, alert: Alert, now: int) -> list[Notice]:
        key = alert["key"]
        if key in ("", alert["id"]):
            return [] if self._silenced(alert, now) else [Notice("happened", alert, alert["severity"])]
        opening = self.openings.get(key)
        if opening is None:
            if alert["resolved"]:
                return []
            opening = self.openings[key] = Opening(alert)
        self.changed.add(key)
        opening.alert, opening.count = alert, opening.count + 1
        if alert["resolved"] or (opening.told and rank(alert["severity"]) < rank(opening.told)):
            opening.milder_at = now if opening.milder_at is None else opening.milder_at
            return self._passed(key, now)
        opening.milder_at = None
        if not opening.told or rank(alert["severity"]) > rank(opening.told):
            return self._told("worse" if opening.told else "opened", opening, now)
        return self._passed(key, now)

    def _told(self, state: str, opening: Opening, now: int) -> list[Notice]:
        if self._silenced(opening.alert, now):
            return []
        self.changed.add(opening.alert["key"])
        opening.told = opening.alert["severity"]
        opening.worst = max(opening.worst or opening.told, opening.told, key=rank)
        opening.told_at, opening.told_count, opening.milder_at = now, opening.count, None
        return [Notice(state, opening.alert, opening.worst, opening.count)]

    def _passed(self, key: str, now: int) -> list[Notice]:
        opening = self.openings[key]
        if opening.milder_at is not None:
            if now - opening.milder_at < self._rules.calm_ms:
                return []
            return self._over(key, now) if opening.alert["resolved"] else self._told("milder", opening, now)
        if not opening.told:
            return self._told("opened", opening, now)
        if now - opening.told_at >= self._rules.remind_ms and opening.count > opening.told_count:
            return self._told("reminder", opening, now)
        return []

    def _over(self, key: str, now: int) -> list[Notice]:
        opening = self.openings.pop(key)
        self.changed.add(key)
        if not opening.told:
            return []
        return [Notice("resolved", opening.alert, opening.worst, opening.count)]

    # -- groups

    def _grouped(self, notices: Iterable[Notice], now: int) -> Iterator[Notice]:
        for notice in notices:
            if notice.worst == "critical":
                yield notice
                continue
            name = f"group/{notice.alert['kind']}/{notice.alert['subject'] or ''}"
            group = self.groups.setdefault(name, Group(now))
            self.changed_groups.add(name)
            if group.told < self._rules.burst:
                group.told += 1
                yield notice
                continue
            group.held += 1
            group.last, group.worst = notice.alert, max(group.worst or notice.worst, notice.worst, key=rank)
            if len(group.named) < MOST_NAMED:
                group.named.append(notice.alert["id"])

    def _summaries(self, now: int) -> Iterator[Notice]:
        for name, group in list(self.groups.items()):
            if now - group.start < self._rules.group_ms:
                continue
            del self.groups[name]
            self.changed_groups.add(name)
            if group.held:
                yield Notice("summary", _summary(name, group), group.worst, group.held)


def _summary(name: str, group: Group) -> Alert:
    """An alert that stands for those that were held."""
    last = group.last
    text = f"{group.held} more of kind {last['kind']}; the last: {last['text']}"
    figures = [{"name": "alert", "value": named} for named in group.named]
    own = {"id": f"{name}/{group.start}", "key": name, "severity": group.worst, "text": text, "figures": figures}
    return last | own | {"resolved": False, "code": None, "proof": None, "since": None, "point": None}


def dump(state: Opening | Group) -> dict[str, Any]:
    """An opening or a group as JSON keeps it."""
    return asdict(state)
