"""Meters that were exchanged: each is known by the level and shape of its days."""

from math import log

from streams.anomaly.alarm import Alarm, Detector
from streams.anomaly.kept import Kept

HOURS = 24
_LEAST_DAYS = 10
_FAR = 9.0


class Habit(Kept):
    """A point's usual day: mean and variance of the ln of each hour."""

    def __init__(self) -> None:
        self.means = [0.0] * HOURS
        self.variances = [0.0] * HOURS
        self.days = 0

    def distance(self, day: list[float]) -> float:
        """How unlike such a day is: minus twice the mean ln likelihood of its hours, cut off at the top."""
        total = 0.0
        for value, mean, variance in zip(day, self.means, self.variances, strict=True):
            spread = variance + 0.0025
            total += min(_FAR, (value - mean) ** 2 / spread) + log(spread)
        return total / HOURS

    def learn(self, day: list[float]) -> None:
        """Take in a day."""
        self.days += 1
        weight = 1 / min(self.days, 28)
        for hour, value in enumerate(day):
            off = value - self.means[hour]
            self.means[hour] += weight * off
            self.variances[hour] += weight * ((1 - weight) * off * off - self.variances[hour])


def day_of(totals: list[float]) -> list[float]:
    """A day as ln of its hours' means, in scaled units."""
    return [log(1 + max(0.0, total)) for total in totals]


class Swap(Detector):
    """How much better two points' days fit the other's habit than their own."""

    kind, invariant, floor = "swap", "a meter's days are like its own, not like another's", 0.5
    most = 2 * _FAR

    def __init__(self, per_day: float, points: tuple[str, ...]) -> None:
        super().__init__(per_day)
        self.habits = {point: Habit() for point in points}
        self.pair = ""

    def take(self, at: int, days: dict[str, list[float]]) -> Alarm | None:
        """The next day of the points that have one, as `day_of` makes them; `at` is its end in ms UTC."""
        known = [point for point in days if self.habits[point].days >= _LEAST_DAYS]
        own = {point: self.habits[point].distance(days[point]) for point in known}
        best = 0.0
        for place, one in enumerate(known):
            for other in known[place + 1 :]:
                crossed = self.habits[other].distance(days[one]) + self.habits[one].distance(days[other])
                if (gain := own[one] + own[other] - crossed) > best:
                    best, self.pair = gain, f"{one} & {other}"
        change = self.judge(at, best)
        if self.opened is None:
            for point, day in days.items():
                self.habits[point].learn(day)
        if not change:
            return None
        return self.tell(change, at, at - 86_400_000, best, points=self.pair)
