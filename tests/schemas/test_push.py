import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryError

from schemas.history import Version, all_versions
from schemas.push import push
from schemas.registry import subjects_of
from tests.schemas.writable_registry import WritableRegistry, writable_registry

OLD = {"type": "record", "name": "Balance", "namespace": "carbonledger", "fields": []}
NEW = OLD | {"fields": [{"name": "a", "type": "long", "default": 0}]}
TWO = [Version("balance", 1, 13, OLD), Version("balance", 2, 901, NEW)]
SUBJECT = "accounts.balances-value"


def pushed(registry: WritableRegistry, versions: list[Version] | None = None) -> list[tuple[str, int, bool]]:
    return [(each.subject, each.id, each.kept) for each in push({"url": registry.url, "max.retries": 0}, versions)]


def writes(registry: WritableRegistry) -> list[tuple[str, str, Any]]:
    return [call for call in registry.calls if call[0] != "GET" and not (call[0] == "POST" and call[1].count("/") == 2)]


def test_every_version_gets_its_own_id_where_ids_can_be_named() -> None:
    with writable_registry(modes=True) as registry:
        assert pushed(registry, TWO) == [(SUBJECT, 13, True), (SUBJECT, 901, True)]
        held = [(id_, number, json.loads(text)) for id_, number, text in registry.schemas[SUBJECT]]
    assert held == [(13, 1, OLD), (901, 2, NEW)]


def test_the_calls_come_in_an_order_that_leaves_no_gap() -> None:
    with writable_registry(modes=True) as registry:
        pushed(registry, TWO)
        calls = [(method, path.split("/")[1], body) for method, path, body in writes(registry)]
    assert calls[0] == ("PUT", "config", {"compatibility": "FULL_TRANSITIVE"})
    assert calls[1] == ("PUT", "mode", {"mode": "IMPORT"})
    assert [call[:2] for call in calls[2:]] == [("POST", "subjects"), ("POST", "subjects"), ("DELETE", "mode")]


def test_all_that_is_published_is_pushed() -> None:
    with writable_registry(modes=True) as registry:
        push({"url": registry.url})
        held = {(subject, id_) for subject, found in registry.schemas.items() for id_, _, _ in found}
        assert registry.modes == {}
        assert set(registry.levels.values()) == {"FULL_TRANSITIVE"} and set(registry.levels) == set(registry.schemas)
    assert held == {(subject, version.id) for version in all_versions() for subject in subjects_of(version)}


def test_pushing_again_registers_nothing() -> None:
    with writable_registry(modes=True) as registry:
        first = pushed(registry, TWO)
        registry.calls.clear()
        assert pushed(registry, TWO) == first
        assert [call[1] for call in writes(registry)] == [f"/config/{SUBJECT}"]


def test_a_later_version_joins_those_that_are_there() -> None:
    with writable_registry(modes=True) as registry:
        pushed(registry, TWO[:1])
        assert pushed(registry, TWO) == [(SUBJECT, 13, True), (SUBJECT, 901, True)]
        assert len(registry.schemas[SUBJECT]) == 2


def test_a_registry_without_modes_numbers_by_itself_and_that_is_said() -> None:
    with writable_registry(modes=False) as registry:
        assert pushed(registry, TWO) == [(SUBJECT, 5_000, False), (SUBJECT, 5_001, False)]


def test_a_subject_gets_its_own_mode_back() -> None:
    with writable_registry(modes=True) as registry:
        registry.modes[SUBJECT] = "READONLY"
        pushed(registry, TWO)
        assert registry.modes == {SUBJECT: "READONLY"}


def test_a_refused_schema_is_raised_and_the_mode_given_back() -> None:
    with writable_registry(modes=True) as registry:
        registry.schemas[SUBJECT] = []
        registry.answer = refusing(registry)  # type: ignore[method-assign]
        with pytest.raises(SchemaRegistryError) as refused:
            pushed(registry, TWO)
        assert refused.value.http_status_code == 409
        assert registry.modes == {}


def refusing(registry: WritableRegistry) -> Any:
    answer = registry.answer

    def instead(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (409, {"error_code": 409, "message": "no"}) if path.endswith("/versions") else answer(method, path, body)

    return instead


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_failure_to_change_the_mode_does_not_lead_to_other_ids(status: int) -> None:
    with writable_registry(modes=True) as registry:
        registry.fail_with["mode"] = status
        with pytest.raises(SchemaRegistryError) as failed:
            pushed(registry, TWO)
        assert failed.value.http_status_code == status
        assert registry.schemas == {}


def test_a_failed_look_up_is_not_taken_for_a_missing_schema() -> None:
    with writable_registry(modes=True) as registry:
        registry.fail_with["subjects"] = 401
        with pytest.raises(SchemaRegistryError):
            pushed(registry, TWO)
        assert [call[1] for call in registry.calls] == [f"/config/{SUBJECT}", f"/subjects/{SUBJECT}"]


@pytest.mark.parametrize(("modes", "code", "said"), [(True, 0, "id 13\n"), (False, 1, "(not ours)\n")])
def test_the_command_says_what_was_pushed_and_fails_on_other_ids(modes: bool, code: int, said: str) -> None:
    root = Path(__file__).parents[2]
    with writable_registry(modes=modes) as registry:
        run = subprocess.run(
            [sys.executable, "-m", "schemas.push", registry.url],
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
        )
    assert (run.returncode, run.stderr) == (code, "")
    assert said in run.stdout and f"{SUBJECT} version 1: " in run.stdout
