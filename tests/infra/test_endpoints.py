"""/metrics, /live and /ready over HTTP, and the file that says where."""

import json
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from infra import endpoints
from infra.errors import EnvironmentFault
from infra.ports import free_port
from schemas.metrics import VIEW
from schemas.observed import Observed


def asked(address: str, path: str) -> tuple[int, bytes]:
    try:
        with urlopen(f"http://{address}{path}") as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_a_process_answers_where_its_file_says(tmp_path: Path) -> None:
    one = Observed()
    one.shows("member", lambda: [VIEW.of(5)])
    with endpoints.serving(tmp_path, "member-3", one) as port:
        (address,) = [where for name, where in endpoints.addresses(tmp_path).items() if name == "member-3"]
        assert address == f"127.0.0.1:{port}"
        (discovered,) = json.loads((tmp_path / "run/endpoints/member-3.json").read_text())
        assert discovered == {"targets": [address], "labels": {"process": "member-3"}}, "as file_sd_configs read it"
        status, text = asked(address, "/metrics")
        assert status == 200 and b"carbonledger_view 5.0\n" in text and b"process_cpu_seconds_total" in text
        assert one.kind == "member" and b"# TYPE carbonledger_epoch gauge" in text
        status, text = asked(address, "/ready")
        assert (status, json.loads(text)) == (503, {"ready": False, "reasons": ["it is starting"]})
        one.turned()
        assert asked(address, "/ready") == (200, b'{"ready": true, "reasons": []}\n')
        assert asked(address, "/live")[0] == 200
        assert asked(address, "/other")[0] == 404
        with (
            pytest.raises(EnvironmentFault, match="can't be served on"),
            endpoints.serving(tmp_path, "sink", one, port=port),
        ):
            pass
    assert endpoints.addresses(tmp_path) == {}


def test_a_loop_that_stands_is_not_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Observed()
    monkeypatch.setattr(Observed, "turn_age", 61.0)
    with endpoints.serving(tmp_path, "sink", one) as port:
        status, text = asked(f"127.0.0.1:{port}", "/live")
    assert (status, json.loads(text)) == (503, {"live": False, "turn_age_seconds": 61.0})


def test_ready_only_while_a_broker_accepts_connections() -> None:
    one = Observed()
    one.turned()
    away = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoints.needs_broker(one, f"{away},127.0.0.1:{server.getsockname()[1]}")
        assert one.reasons() == []
    endpoints.needs_broker(one, away)
    assert one.reasons() == [f"no broker of {away} accepts connections"]
