"""The alert rules, and the page about what is watched: they name metrics that there are."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.metrics import METRICS, Kind, table

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "infra" / "prometheus"


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def named() -> set[str]:
    """Every name under which Prometheus has a value of ours."""
    plain = {metric.name for metric in METRICS if metric.kind is not Kind.HISTOGRAM}
    parts = {f"{m.name}_{part}" for m in METRICS if m.kind is Kind.HISTOGRAM for part in ("bucket", "sum", "count")}
    return plain | parts


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_names_metrics_that_there_are_and_says_what_to_do(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"carbonledger_\w+", rule["expr"]))
    assert used <= named() and (used or rule["alert"] == "ProcessDown")
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "action"}


def test_each_rule_has_a_test_of_its_own() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    assert [test["name"] for test in tests] == [rule["alert"] for rule in rules()]
    for test in tests:
        before, after = test["promql_expr_test"]
        assert "exp_samples" not in before and test["name"] in after["exp_samples"][0]["labels"]


def test_the_page_has_the_list_as_it_is() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    assert table() in page, "python -m schemas.metrics prints it"
    for rule in rules():
        assert f"`{rule['alert']}`" in page


@pytest.mark.extra("promtool")
def test_promtool_takes_the_rules_and_their_tests() -> None:
    for arguments in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")):
        done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
