"""Dashboards to a Grafana by its HTTP API: what is there already stays as it is, what somebody else made is kept."""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException
from niquests.exceptions import RequestException

from dashboards.grafana import DATASOURCE, FOLDER, board_json
from dashboards.model import Board

TITLE = "Carbon ledger"
MARK = "carbonledger"
"""The field of a dashboard in which its digest stands as it was pushed: with another content somebody changed it."""
_GRAFANAS = ("id", "version", MARK)
_NOT_FOUND = 404


class PushError(RuntimeError):
    """A Grafana that can't be pushed to; the message says why."""


class Pushed(NamedTuple):
    """What became of a dashboard: created, changed, the same, or kept, because somebody else made or changed it."""

    uid: str
    title: str
    outcome: str


def connect(url: str, token: str) -> GrafanaApi:
    """The Grafana at a URL, for a service account's token; without one the URL's own user and password."""
    return GrafanaApi.from_url(url, token or None)


def push(
    grafana: GrafanaApi, boards: Iterable[Board], *, overwrite: bool = False, shown: tuple[str, str] | None = None
) -> Iterator[Pushed]:
    """Bring the dashboards into their folder, one after the other. Raises PushError.

    `overwrite` takes back what somebody changed in ours; what isn't ours is never touched. `shown` is the time range
    that they open with.
    """
    try:
        _ensure_folder(grafana)
        for board in boards:
            made = board_json(board) | ({"time": dict(zip(("from", "to"), shown, strict=True))} if shown else {})
            yield Pushed(board.uid, board.title, _bring(grafana, made, overwrite))
    except (GrafanaException, RequestException) as error:
        raise PushError(f"Grafana does not take the dashboards: {error}") from error


def has_datasource(grafana: GrafanaApi) -> bool:
    """Whether it has the data source that the dashboards ask. Raises PushError."""
    try:
        return _found(lambda: grafana.datasource.get_datasource_by_uid(DATASOURCE.uid)) is not None
    except (GrafanaException, RequestException) as error:
        raise PushError(f"Grafana does not say whether it has the data source: {error}") from error


def _ensure_folder(grafana: GrafanaApi) -> None:
    if _found(lambda: grafana.folder.get_folder(FOLDER)) is None:
        grafana.folder.create_folder(TITLE, uid=FOLDER)


def _bring(grafana: GrafanaApi, made: dict[str, Any], overwrite: bool) -> str:
    there = _found(lambda: grafana.dashboard.get_dashboard(made["uid"]))
    outcome = _outcome(there and there["dashboard"], made, overwrite)
    if outcome in ("created", "changed"):
        content = made | {MARK: digest(made)} | ({"id": there["dashboard"].get("id")} if there else {})
        message = "carbonledger dashboards push"
        grafana.dashboard.update_dashboard(
            {"dashboard": content, "folderUid": FOLDER, "message": message, "overwrite": True}
        )
    return outcome


def _outcome(there: dict[str, Any] | None, made: dict[str, Any], overwrite: bool) -> str:
    """What is to become of a dashboard, given the one of its uid that is there."""
    if there is None:
        return "created"
    if digest(there) == digest(made):
        return "the same"
    ours = FOLDER in there.get("tags", ())
    untouched = there.get(MARK) == digest(there)
    return "changed" if ours and (untouched or overwrite) else "kept"


def digest(board: dict[str, Any]) -> str:
    """SHA-256 of a dashboard without what Grafana numbers, hex."""
    plain = {name: value for name, value in board.items() if name not in _GRAFANAS}
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _found(ask: Any) -> Any:
    """The answer; None for what isn't there."""
    try:
        return ask()
    except GrafanaClientError as error:
        if error.status_code != _NOT_FOUND:
            raise
        return None
