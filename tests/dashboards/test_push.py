"""Dashboards to a Grafana. None can be had here: a stand-in on loopback keeps what its HTTP API is said to keep."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from dashboards.boards import BOARDS
from dashboards.grafana import board_json
from dashboards.push import MARK, PushError, connect, has_datasource, push
from infra.cli import main

BOARD = BOARDS[0]
THEIRS = {"uid": "theirs", "title": "Somebody's own", "tags": ["carbonledger"], "panels": []}


class StandIn(ThreadingHTTPServer):
    """What a Grafana keeps: folders, dashboards with their numbers, data sources. A token is wanted."""

    daemon_threads = True

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}
        self.boards: dict[str, dict[str, Any]] = {"theirs": {"dashboard": dict(THEIRS), "folderUid": ""}}
        self.sources: set[str] = set()
        self.posted: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        if body is not None:
            self.posted.append(path)
        if path == "/api/folders" and body is not None:
            self.folders[body["uid"]] = body["title"]
            return 200, body
        if path == "/api/dashboards/db" and body is not None:
            uid = body["dashboard"]["uid"]
            version = self.boards[uid]["dashboard"]["version"] + 1 if uid in self.boards else 1
            numbered = body["dashboard"] | {"id": len(uid), "version": version}
            self.boards[uid] = {"dashboard": numbered, "folderUid": body["folderUid"]}
            return 200, {"uid": uid, "status": "success", "version": version}
        kind, name = path.removeprefix("/api/").rsplit("/", 1)
        found: dict[str, Any] = {"folders": self.folders, "dashboards/uid": self.boards}
        found["datasources/uid"] = {uid: {"uid": uid} for uid in self.sources}
        there = found[kind].get(name)
        return (200, there) if there else (404, {"message": "not found"})


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        known = self.headers.get("Authorization") == "Bearer secret"
        status, told = self.server.answer(self.path, body) if known else (401, {"message": "who are you"})
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    server = StandIn()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def bring(grafana: StandIn, **how: Any) -> dict[str, str]:
    return {one.uid: one.outcome for one in push(connect(grafana.url, "secret"), BOARDS, **how)}


def test_the_second_time_nothing_is_written(grafana: StandIn) -> None:
    assert set(bring(grafana).values()) == {"created"}
    assert grafana.folders == {"carbonledger": "Carbon ledger"}
    assert {board["folderUid"] for uid, board in grafana.boards.items() if uid != "theirs"} == {"carbonledger"}
    grafana.posted.clear()
    assert set(bring(grafana).values()) == {"the same"} and grafana.posted == []
    assert grafana.boards["theirs"]["dashboard"] == THEIRS


def test_an_older_release_of_ours_is_replaced_and_keeps_its_number(grafana: StandIn) -> None:
    bring(grafana, shown=("2016-01-01T00:00:00.000Z", "2017-01-01T00:00:00.000Z"))
    assert grafana.boards[BOARD.uid]["dashboard"]["time"]["from"] == "2016-01-01T00:00:00.000Z"
    assert set(bring(grafana).values()) == {"changed"}
    again = grafana.boards[BOARD.uid]["dashboard"]
    assert (again["time"]["from"], again["version"], again["id"]) == ("now-1y", 2, len(BOARD.uid))


def test_what_somebody_changed_is_kept_unless_it_is_to_go(grafana: StandIn) -> None:
    bring(grafana)
    grafana.boards[BOARD.uid]["dashboard"]["title"] = "My own title"
    assert bring(grafana)[BOARD.uid] == "kept"
    assert grafana.boards[BOARD.uid]["dashboard"]["title"] == "My own title"
    assert bring(grafana, overwrite=True)[BOARD.uid] == "changed"
    assert grafana.boards[BOARD.uid]["dashboard"]["title"] == BOARD.title


def test_a_dashboard_of_somebody_else_under_our_uid_is_never_touched(grafana: StandIn) -> None:
    others = board_json(BOARD) | {"tags": ["theirs"], "version": 7}
    grafana.boards[BOARD.uid] = {"dashboard": dict(others), "folderUid": "theirs"}
    assert bring(grafana, overwrite=True)[BOARD.uid] == "kept"
    assert grafana.boards[BOARD.uid]["dashboard"] == others and MARK not in others


def test_without_the_right_token_it_says_so(grafana: StandIn) -> None:
    with pytest.raises(PushError, match="Unauthorized"):
        list(push(connect(grafana.url, "wrong"), BOARDS))
    grafana.sources.add("carbonledger")
    assert has_datasource(connect(grafana.url, "secret"))


def test_the_command_tells_what_became_of_each(
    grafana: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARBONLEDGER_GRAFANA", grafana.url)
    monkeypatch.setenv("CARBONLEDGER_GRAFANA_TOKEN", "secret")
    run(monkeypatch, "dashboards", "push", "--output", "json")
    shown = capsys.readouterr()
    assert {row["outcome"] for row in json.loads(shown.out)} == {"created"}
    assert "no data source carbonledger" in shown.err and "secret" not in shown.err
    monkeypatch.delenv("CARBONLEDGER_GRAFANA")
    assert run(monkeypatch, "dashboards", "push") == 2


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr("sys.argv", ["carbonledger", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code
