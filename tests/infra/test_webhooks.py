"""The commands of webhooks, on a data folder without a broker."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli import app
from sinks.webhooks.register import RegisterFolder


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CARBONLEDGER_DATA", str(tmp_path))

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["webhooks", *arguments])

    return call


def shown(invoke: Any, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(invoke(*arguments, "--output", "json").stdout)
    return rows


def test_a_subscriptions_life(invoke: Any, tmp_path: Path) -> None:
    made = invoke("add", "https://example.org/in?token=t", "--severity", "warning", "--kind", "coverage")
    assert made.exit_code == 0
    id_, secret = made.stdout.split()
    folder = RegisterFolder(tmp_path / "stores" / "webhooks")
    assert folder.secret(id_, 1) == secret
    (row,) = shown(invoke, "list")
    assert row["host"] == "example.org", "what stands behind the host may be a secret"
    assert (row["id"], row["kinds"], row["severity"], row["secrets"]) == (id_, ["coverage"], "warning", 1)
    second = invoke("rotate", id_, "--overlap", "1").stdout.strip()
    assert second.startswith("whsec_") and second != secret
    assert shown(invoke, "list")[0]["secrets"] == 2
    assert invoke("disable", id_, "--reason", "moving").exit_code == 0
    assert shown(invoke, "list")[0]["disabled"] == "moving"
    for command in ("enable", "replay", "remove"):
        assert invoke(command, id_).exit_code == 0
    assert shown(invoke, "list") == shown(invoke, "deliveries") == []


@pytest.mark.parametrize(
    "arguments", [("add", "ftp://x"), ("remove", "none"), ("rotate", "none"), ("enable", "none"), ("unsilence", "none")]
)
def test_what_can_not_be_is_refused(invoke: Any, arguments: tuple[str, ...]) -> None:
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    assert "whsec_" not in refused.output


def test_a_silence_is_listed_until_it_ends(invoke: Any) -> None:
    made = invoke("silence", "overhaul", "--hours", "2", "--subject", "coal-north").stdout.strip()
    (row,) = shown(invoke, "silences")
    assert (row["id"], row["subjects"], row["reason"]) == (made, ["coal-north"], "overhaul")
    assert invoke("unsilence", made).exit_code == 0
    assert shown(invoke, "silences") == []
