"""Settings from the environment: defaults, errors that name the variable, and secrets that stay hidden."""

from pathlib import Path

import pytest

from infra import settings
from infra.errors import EnvironmentFault
from infra.settings import Settings


def test_the_defaults_are_all_embedded() -> None:
    own = Settings()
    assert own.embedded_broker
    assert own.data == Path("var/ledger")
    assert own.clickhouse.get_secret_value() == ""


def test_a_cluster_with_its_security(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBONLEDGER_BOOTSTRAP", "kafka:9093")
    monkeypatch.setenv("CARBONLEDGER_KAFKA", '{"security.protocol": "SASL_SSL", "sasl.password": "hunter2"}')
    own = settings.load()
    assert not own.embedded_broker
    assert own.client() == {
        "bootstrap.servers": "kafka:9093",
        "security.protocol": "SASL_SSL",
        "sasl.password": "hunter2",
    }
    assert own.client("other:1")["bootstrap.servers"] == "other:1"
    assert "hunter2" not in repr(own)
    assert "hunter2" not in str(own.model_dump())


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "ninety"), ("PORT", "70000"), ("LOG", "xml"), ("HEAP_MB", "1"), ("LOG_LEVEL", "loud")]
)
def test_a_setting_that_can_not_be_understood_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"CARBONLEDGER_{name}", value)
    with pytest.raises(EnvironmentFault, match=f"CARBONLEDGER_{name}: "):
        settings.load()


def test_the_error_does_not_repeat_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBONLEDGER_KAFKA", '{"sasl.password": ["hunter2"]}')
    with pytest.raises(EnvironmentFault) as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("CARBONLEDGER_KAFKA", "hunter2")
    with pytest.raises(EnvironmentFault, match="CARBONLEDGER_KAFKA") as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)
