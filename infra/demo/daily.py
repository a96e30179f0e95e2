"""The daily emissions of the demonstration's subjects over SimBench's year, from its readings as the replay has them:
real ones alone, nothing planted.
"""

from collections import Counter
from collections.abc import Collection

from carbon.calendar import DAY_MS
from carbon.emission import emission_g, rule_from
from carbon.factors import FactorSet
from infra.demo import scenario
from infra.demo.parameters import Parameters, ms
from streams.edge.packing import scaled
from streams.edge.sources.simbench import SimbenchReplay


def emissions(
    parameters: Parameters, factors: FactorSet, subjects: Collection[str], days: int | None = None
) -> dict[str, list[int]]:
    """Of some subjects, g CO2e by day from the first on. Raises SourceError.

    A point's day is rounded once; its records round each hour, and so may differ by some grams.
    """
    first, last = ms(parameters.time.first), parameters.end_ms(days)
    chosen = [metered for metered in parameters.metered if metered.subject in subjects]
    quantities: Counter[tuple[str, int]] = Counter()
    for gateway in {metered.gateway for metered in chosen}:
        settings = scenario.replay_settings(parameters, gateway, days)
        points = {metered.point for metered in chosen}
        meters = tuple(meter for meter in settings.meters if meter.point in points)
        replay = SimbenchReplay(settings.model_copy(update={"planted": (), "meters": meters}))
        for reading in (reading for block in replay.blocks("") for reading in block.readings):
            quantities[reading.point, (reading.at - first) // DAY_MS] += scaled(reading.value, 0) or 0
    found: dict[str, list[int]] = {}
    for metered in chosen:
        ratio = rule_from(scenario.emission(parameters, metered)).coefficient(factors).as_integer_ratio()
        grams = found.setdefault(metered.subject, [0] * ((last - first) // DAY_MS))
        for day in range(len(grams)):
            grams[day] += emission_g(quantities[metered.point, day], ratio)
    return found
