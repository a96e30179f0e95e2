"""`up`, `status`, `down` and a second `up`: everything as a service, on a channel of two days."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import channel as channels
from infra.channel import Channel
from infra.demo import parameters, scenario
from infra.roles import roles_of
from tests.e2e import expected
from tests.e2e.running import EMITTED, Service, command, rows, status_of

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
DAYS = 2
PATIENCE = 240.0
WANTED = scenario.expected(parameters.load(), DAYS)


def until(service: Service, done: Callable[[], bool], what: str) -> None:
    """Wait for what must happen while the service runs."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert service.runs, service.said
        assert time.monotonic() < deadline, f"{what} did not happen\n{service.said[-3000:]}"
        time.sleep(0.2)


def runs(service: Service) -> bool:
    return "Everything runs" in service.said


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    return channels.create(tmp_path_factory.mktemp("up") / "ledger", parameters.load(), DAYS)


@pytest.fixture
def up(channel: Channel) -> Iterator[Service]:
    """`up` on the channel's folder, all of it ready."""
    with Service(channel.folder.parent, "up") as service:
        until(service, lambda: runs(service), "the start")
        yield service


def recorded(data: Path) -> int:
    """Records that the furthest member has certified."""
    return max((status_of(path).get("accepted", 0) for path in (data / "members").glob("*/status.json")), default=0)


def balances(data: Path) -> dict[str, int]:
    listed = rows(data, "query", EMITTED)
    return {row["subject"]: int(row["emitted"]) for row in listed}


def test_status_query_and_proofs_beside_a_running_up_then_down(up: Service, channel: Channel, tmp_path: Path) -> None:
    data = up.data
    listed = {row["process"]: row for row in rows(data, "status")}
    for later in ("ledger", "waiting"):  # no row before the first block, or before the broker was asked
        listed.pop(later, None)
    assert set(listed) == {role.name for role in roles_of(channel)}
    assert {row["state"] for row in listed.values()} == {"ready"}
    until(up, lambda: recorded(data) == WANTED.records, "the record of every window")
    until(up, lambda: balances(data) == expected.balances(DAYS), "the balances")
    until(up, lambda: any(row["process"] == "waiting" for row in rows(data, "status")), "the lag of a stage")
    (row,) = rows(data, "verify")
    assert (row["source"], row["verdict"], row["accepted"]) == ("topic", "verified", WANTED.records)
    (found,) = rows(data, "query", "SELECT code FROM records LIMIT 1")
    proved = command(data, "prove", found["code"])
    (tmp_path / "proof.json").write_text(proved.stdout)
    genesis = str(channel.folder / "genesis.json")
    assert command(data, "verify-proof", str(tmp_path / "proof.json"), "--genesis", genesis).returncode == 0
    assert rows(data, "resolve", found["code"])[0]["verdict"] == "accepted"
    refused = command(data, "up")
    assert refused.returncode == 3 and "already runs on" in refused.stderr
    assert command(data, "down").returncode == 0
    assert up.end() == 0
    assert "the data stays" in up.said
    assert command(data, "status").returncode == 3
    assert balances(data) == expected.balances(DAYS), "the tables answer with nothing running"


def test_a_second_up_goes_on_from_where_the_first_stopped(up: Service) -> None:
    data = up.data
    (ledger,) = [row for row in rows(data, "status") if row["process"] == "ledger"]
    assert ledger["height"] > 0, "the ledger is there from the first moment"
    assert recorded(data) == WANTED.records
    (row,) = rows(data, "verify")
    assert (row["verdict"], row["accepted"], row["rejected"]) == ("verified", WANTED.records, 0)
    (counts,) = rows(data, "query", "SELECT count() AS n, uniqExact(point, window_start) AS u FROM records")
    assert {int(value) for value in counts.values()} == {WANTED.records}, "no record twice"
    assert balances(data) == expected.balances(DAYS)


@pytest.mark.extra()
def test_stopped_in_the_middle_the_rest_comes_with_the_next_up(tmp_path: Path) -> None:
    """`down` as soon as some but not all is recorded; the second `up` ends with the same balances."""
    data = tmp_path / "ledger"
    channels.create(data, parameters.load(), DAYS)
    with Service(data, "up") as first:
        until(first, lambda: recorded(data) > 0, "the first record")
        assert command(data, "down").returncode == 0
        assert first.end() == 0
    with Service(data, "up") as second:
        until(second, lambda: recorded(data) == WANTED.records, "the record of every window")
        until(second, lambda: runs(second) and balances(data) == expected.balances(DAYS), "the balances")
