"""A schema registry's read-only answers, as a function of the request: paths, bodies and error codes are Confluent's.

Subjects follow TopicNameStrategy, `<topic>-value`. A schema that no topic carries by itself (a packet's body, a block's
header) has its record's full name as subject, which is RecordNameStrategy. The level is FULL_TRANSITIVE everywhere.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from schemas.history import Version, all_versions
from schemas.topics import catalogue

LEVEL = "FULL_TRANSITIVE"


@dataclass(frozen=True)
class Refused(Exception):
    """An error answer: HTTP status, Confluent's error code and a sentence."""

    status: int
    code: int
    message: str


def subjects_of(version: Version) -> list[str]:
    """The subjects that a schema is registered under."""
    topics = [f"{topic.name}-value" for topic in catalogue() if topic.schema == version.name]
    return topics or [f"{version.schema['namespace']}.{version.schema['name']}"]


def schema_text(version: Version) -> str:
    """The schema as registries hand it out: JSON on one line."""
    return json.dumps(version.schema, ensure_ascii=False, separators=(",", ":"))


class Registry:
    """The read-only registry of `versions`. `answer` is all of it."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_id = {version.id: version for version in versions}
        self._subjects: dict[str, list[Version]] = {}
        for version in sorted(self._by_id.values(), key=lambda version: version.number):
            for subject in subjects_of(version):
                self._subjects.setdefault(subject, []).append(version)

    def answer(self, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
        """HTTP status and JSON value for a request to `target`, a path with its query."""
        try:
            path, query = _parts(target)
            if method in ("GET", "HEAD"):
                return 200, self._get(path, query)
            if method == "POST" and path[0] == "subjects" and len(path) == 2:
                return 200, self._find(path[1], body)
            raise Refused(405, 42205, "This registry is read-only: its schemas change with the repository")
        except Refused as refused:
            return refused.status, {"error_code": refused.code, "message": refused.message}

    def _get(self, path: list[str], query: Mapping[str, list[str]]) -> Any:
        match path:
            case [""]:
                return {}
            case ["subjects"]:
                prefix = query.get("subjectPrefix", [""])[0]
                return sorted(subject for subject in self._subjects if subject.startswith(prefix))
            case ["subjects", subject, "versions"]:
                return [version.number for version in self._of(subject)]
            case ["subjects", subject, "versions", number]:
                return _registered(subject, self._version(subject, number))
            case ["schemas", "types"]:
                return ["AVRO"]
            case ["schemas", "ids", number, *rest]:
                return self._by_number(number, rest)
            case ["config" | "mode" as kind, *subject] if len(subject) < 2:
                return self._setting(kind, subject)
        raise Refused(404, 404, "HTTP 404 Not Found")

    def _setting(self, kind: str, subject: list[str]) -> Any:
        for name in subject:
            self._of(name)
        return {"compatibilityLevel": LEVEL} if kind == "config" else {"mode": "READONLY"}

    def _of(self, subject: str) -> list[Version]:
        if subject not in self._subjects:
            raise Refused(404, 40401, f"Subject '{subject}' not found.")
        return self._subjects[subject]

    def _version(self, subject: str, number: str) -> Version:
        versions = self._of(subject)
        if number in ("latest", "-1"):
            return versions[-1]
        if not _is_number(number):
            raise Refused(422, 42202, f"The specified version '{number}' is not a valid version id.")
        for version in versions:
            if version.number == int(number):
                return version
        raise Refused(404, 40402, f"Version {number} not found.")

    def _by_number(self, number: str, rest: list[str]) -> Any:
        version = self._by_id.get(int(number)) if _is_number(number) else None
        if version is None:
            raise Refused(404, 40403, f"Schema {number} not found")
        match rest:
            case []:
                return {"schema": schema_text(version)}
            case ["subjects"]:
                return subjects_of(version)
            case ["versions"]:
                return [{"subject": subject, "version": version.number} for subject in subjects_of(version)]
        raise Refused(404, 404, "HTTP 404 Not Found")

    def _find(self, subject: str, body: bytes) -> Any:
        """The version of `subject` whose schema is the one asked for, whatever the layout of its JSON."""
        versions, wanted = self._of(subject), _asked(body)
        for version in reversed(versions):
            if version.schema == wanted:
                return _registered(subject, version)
        raise Refused(404, 40403, "Schema not found")


def _parts(target: str) -> tuple[list[str], dict[str, list[str]]]:
    """Path and query of a request's target. Raises Refused."""
    try:
        url = urlsplit(target)
    except ValueError:
        # an authority with half of an IPv6 address, for one
        raise Refused(404, 404, "HTTP 404 Not Found") from None
    return [unquote(part) for part in url.path.strip("/").split("/")], parse_qs(url.query)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11


def _registered(subject: str, version: Version) -> dict[str, Any]:
    return {"subject": subject, "version": version.number, "id": version.id, "schema": schema_text(version)}


def _asked(body: bytes) -> Any:
    try:
        return json.loads(json.loads(body)["schema"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(422, 42201, "The body is not JSON with an Avro schema as text in 'schema'") from None


def own() -> Registry:
    """The registry of the product's own schemas."""
    return Registry(all_versions())
