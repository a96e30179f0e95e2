"""The compose file, as far as no engine is wanted for it: what it names is there, pinned, watched and kept."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from infra.settings import PREFIX, Settings

HOME = Path(__file__).parents[2] / "infra" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((HOME / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_watched_and_in_a_profile(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:\d+(\.\d+)+", service["image"])
    assert set(service["profiles"]) <= {"servers", "embedded"} and service["restart"] == "unless-stopped"
    assert set(service["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}
    for other, wanted in service.get("depends_on", {}).items():
        assert set(service["profiles"]) <= set(SERVICES[other]["profiles"])
        assert wanted == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_keeps_has_a_volume_and_what_it_mounts_is_there(name: str) -> None:
    for mount in SERVICES[name]["volumes"]:
        source = mount.split(":")[0]
        assert source in COMPOSE["volumes"] or (HOME / source).exists(), mount
    for port in SERVICES[name].get("ports", ()):
        assert port.startswith("127.0.0.1:")


def test_the_pipeline_is_told_by_settings_that_there_are() -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    for name in ("pipeline", "embedded"):
        assert set(SERVICES[name]["environment"]) <= known


def test_no_password_has_a_default() -> None:
    text = (HOME / "compose.yaml").read_text()
    assert all(":?" in found for found in re.findall(r"\$\{[^}]*\}", text))
    users = ElementTree.fromstring((HOME / "grafana-reads.xml").read_text())
    assert users.findtext("profiles/reads/readonly") == "2"
    assert users.find("users/grafana/password").attrib == {"from_env": "GRAFANA_CLICKHOUSE_PASSWORD"}  # type: ignore[union-attr]


def test_grafana_is_given_what_its_data_source_asks_of_the_environment() -> None:
    source = (HOME.parents[1] / "dashboards" / "provisioning" / "datasources" / "carbonledger.yaml").read_text()
    assert set(re.findall(r"\$(\w+)", source)) <= set(SERVICES["grafana"]["environment"])
