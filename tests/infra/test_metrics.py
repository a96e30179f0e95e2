"""/metrics: the stages and who is held, also while the broker is away."""

import json
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra import metrics
from infra.errors import EnvironmentFault
from infra.ports import free_port
from infra.watch import Stage


def scraped(port: int) -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def test_prometheus_is_given_what_status_shows(tmp_path: Path) -> None:
    stages: list[Stage | EnvironmentFault] = [Stage("carbon.ingest", "meter.readings", 7, 2.5)]

    def asked() -> list[Stage]:
        if any(isinstance(one, EnvironmentFault) for one in stages):
            raise EnvironmentFault("away")
        return [one for one in stages if isinstance(one, Stage)]

    for name, held in (("ingest", True), ("aggregate", False)):
        path = tmp_path / "stores" / name / f"{name}.health.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"held": held}))
    port = free_port()
    end = metrics.serve(port, metrics.Stages(asked, lambda: metrics.held(tmp_path)))
    try:
        found = scraped(port)
        place = "carbon.ingest", "meter.readings"
        assert (found[metrics.WAITING, *place], found[metrics.OLDEST, *place]) == (7, 2.5)
        assert (found[metrics.HELD, "ingest"], found[metrics.HELD, "aggregate"]) == (1, 0)
        assert found[metrics.UP,] == 1
        stages.append(EnvironmentFault("away"))
        assert scraped(port) == {(metrics.HELD, "ingest"): 1, (metrics.HELD, "aggregate"): 0, (metrics.UP,): 0}
        with pytest.raises(EnvironmentFault, match="can't be served"):
            metrics.serve(port, metrics.Stages(asked, dict))
    finally:
        end()


def test_debits_less_credits_are_taken_of_integers() -> None:
    """A float has 53 bits: of sums beyond them the last grams would be lost."""
    sums = {("debit", "g"): 2**60 + 1, ("credit", "g"): 2**60, ("debit", "t"): 5, ("credit", "t"): 5}
    families = {family.name: family for family in metrics.Balanced(lambda: (7, sums)).collect()}
    difference = {sample.labels["unit"]: sample.value for sample in families[metrics.DIFFERENCE].samples}
    assert difference == {"g": 1, "t": 0}
    assert [sample.value for sample in families[metrics.HEIGHT].samples] == [7]
    assert not any(family.samples for family in metrics.Balanced(lambda: None).collect())
