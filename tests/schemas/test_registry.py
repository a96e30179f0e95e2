import json
from typing import Any

import pytest

from schemas import codec
from schemas.history import Version, all_versions
from schemas.registry import LEVEL, Registry, own, subjects_of
from schemas.topics import contracts

OLD = {"type": "record", "name": "Balance", "namespace": "carbonledger", "fields": []}
NEW = OLD | {"fields": [{"name": "a", "type": "long", "default": 0}]}
INNER = {"type": "record", "name": "Inner", "namespace": "carbonledger", "fields": []}
VERSIONS = [Version("balance", 2, 901, NEW), Version("balance", 1, 13, OLD), Version("inner", 1, 902, INNER)]


@pytest.fixture
def registry() -> Registry:
    return Registry(VERSIONS)


def got(registry: Registry, path: str) -> Any:
    status, value = registry.answer("GET", path)
    assert status == 200, value
    return value


def error(registry: Registry, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, int]:
    status, value = registry.answer(method, path, body)
    assert value["message"]
    return status, value["error_code"]


def test_it_lists_subjects_and_versions(registry: Registry) -> None:
    assert got(registry, "/") == {}
    assert got(registry, "/subjects") == ["accounts.balances-value", "carbonledger.Inner"]
    assert got(registry, "/subjects?subjectPrefix=acc&deleted=False") == ["accounts.balances-value"]
    assert got(registry, "/subjects/accounts.balances-value/versions") == [1, 2]
    assert got(registry, "/subjects/carbonledger.Inner/versions?deleted=false") == [1]


@pytest.mark.parametrize(
    ("asked", "number", "id_", "schema"),
    [("1", 1, 13, OLD), ("2", 2, 901, NEW), ("latest", 2, 901, NEW), ("-1", 2, 901, NEW)],
)
def test_it_shows_a_version(registry: Registry, asked: str, number: int, id_: int, schema: Any) -> None:
    shown = got(registry, f"/subjects/accounts.balances-value/versions/{asked}")
    assert json.loads(shown.pop("schema")) == schema
    assert shown == {"subject": "accounts.balances-value", "version": number, "id": id_}


def test_it_resolves_ids(registry: Registry) -> None:
    assert json.loads(got(registry, "/schemas/ids/13?fetchMaxId=false")["schema"]) == OLD
    assert got(registry, "/schemas/ids/901/versions") == [{"subject": "accounts.balances-value", "version": 2}]
    assert got(registry, "/schemas/ids/902/subjects") == ["carbonledger.Inner"]
    assert got(registry, "/schemas/types") == ["AVRO"]


def test_it_states_its_level_and_mode(registry: Registry) -> None:
    assert got(registry, "/config") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert got(registry, "/config/carbonledger.Inner?defaultToGlobal=true") == {"compatibilityLevel": LEVEL}
    assert got(registry, "/mode") == got(registry, "/mode/carbonledger.Inner") == {"mode": "READONLY"}


def test_it_finds_a_schema_whatever_its_layout(registry: Registry) -> None:
    for schema, number in ((OLD, 1), (NEW, 2)):
        body = json.dumps({"schema": json.dumps(schema, indent=4, sort_keys=True), "schemaType": "AVRO"}).encode()
        status, found = registry.answer("POST", "/subjects/accounts.balances-value?normalize=False&deleted=False", body)
        assert (status, found["version"]) == (200, number)
    assert error(
        registry, "/subjects/accounts.balances-value", "POST", json.dumps({"schema": json.dumps(INNER)}).encode()
    ) == (404, 40403)
    assert error(registry, "/subjects/nothing", "POST", b"{}") == (404, 40401)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"schema": 7}', b'{"schema": "{"}', b"\xff", b'{"schema": "' + b"[" * 200_000 + b'"}']
)
def test_a_look_up_of_nonsense_is_refused(registry: Registry, body: bytes) -> None:
    assert error(registry, "/subjects/accounts.balances-value", "POST", body) == (422, 42201)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/subjects/nothing/versions", (404, 40401)),
        ("/subjects/nothing/versions/1", (404, 40401)),
        ("/subjects/accounts.balances-value/versions/3", (404, 40402)),
        ("/subjects/accounts.balances-value/versions/newest", (422, 42202)),
        ("/subjects/accounts.balances-value/versions/²", (422, 42202)),
        ("/subjects/accounts.balances-value/versions/" + "9" * 5000, (422, 42202)),
        ("/schemas/ids/14", (404, 40403)),
        ("/schemas/ids/x", (404, 40403)),
        ("/schemas/ids/13/elsewhere", (404, 404)),
        ("/config/nothing", (404, 40401)),
        ("/mode/nothing", (404, 40401)),
        ("/elsewhere", (404, 404)),
        ("/config/a/b", (404, 404)),
    ],
)
def test_what_is_not_there_is_said_with_confluents_codes(
    registry: Registry, path: str, expected: tuple[int, int]
) -> None:
    assert error(registry, path) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/subjects/accounts.balances-value/versions"),
        ("POST", "/compatibility/subjects/accounts.balances-value/versions/latest"),
        ("PUT", "/config"),
        ("PUT", "/mode/accounts.balances-value"),
        ("DELETE", "/subjects/accounts.balances-value"),
        ("DELETE", "/config"),
        ("PATCH", "/"),
    ],
)
def test_nothing_can_be_written(registry: Registry, method: str, path: str) -> None:
    assert error(registry, path, method, b"{}") == (405, 42205)


def test_the_products_own_registry_resolves_every_id() -> None:
    registry = own()
    for name, number in codec.schema_ids().items():
        assert json.loads(got(registry, f"/schemas/ids/{number}")["schema"]) == codec.schema_json(name)
    topics = {f"{topic.name}-value" for topic in contracts()}
    assert topics < set(got(registry, "/subjects"))


def test_no_two_schemas_share_a_subject() -> None:
    """A subject is a line of versions: two schemas under one would have to be compatible with one another."""
    names: dict[str, set[str]] = {}
    for version in all_versions():
        for subject in subjects_of(version):
            names.setdefault(subject, set()).add(version.name)
    assert {subject for subject, found in names.items() if len(found) > 1} == set()
