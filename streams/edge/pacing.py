"""When the points of one read are due, each by its own port: the soonest of them all."""

from collections.abc import Callable, Mapping, Sequence

from streams.edge.port import Port
from streams.edge.sampling import Rule
from streams.edge.sources import RawReading


class Pacing:
    """The ports of the points of one read. `registers` says which of them only add up; `slow_down` asks for less.

    `rules` are looked at with every reading. Of a register the mean rise of a step is forecast, whose surprises include
    a reset.
    """

    def __init__(self, rules: Mapping[str, Rule], registers: Mapping[str, bool], slow_down: Callable[[], bool]) -> None:
        self._rules, self._registers, self._slow_down = rules, registers, slow_down
        self._ports = {point: Port(rules[point]) for point in registers}
        self._last: dict[str, tuple[int, float]] = {}

    def due(self, at: int, readings: Sequence[RawReading]) -> int:
        """When to read again after instant `at`, ms UTC. What gave no number is asked for at the next step."""
        full = self._slow_down()
        return min(self._due(at, reading, full=full) for reading in readings)

    def _due(self, at: int, reading: RawReading, *, full: bool) -> int:
        one = self._ports[reading.point]
        # an operator may have changed it since
        one.rule = self._rules[reading.point]
        if reading.flag != "N" or reading.value is None or not reading.value.is_finite():
            return at + one.rule.bounds.fastest
        value = float(reading.value)
        if self._registers[reading.point]:
            before, self._last[reading.point] = self._last.get(reading.point), (at, value)
            if before is None:
                return at + one.rule.bounds.fastest
            value = (value - before[1]) * one.rule.step / (at - before[0])
        return one.sample(at, value, at, full=full)
