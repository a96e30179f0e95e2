"""One demonstration, and everything that must hold of it with nothing running any more: the balances that pandas alone
computes from the input files, what was planted, the gap, every command, and copies and proofs with anything changed.
"""

import base64
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.log import genesis as geneses
from consensus.log import proof as proofs
from infra import channel as channels
from infra import verification
from infra.broker import Broker
from infra.copy import LedgerCopy
from infra.demo import parameters, scenario
from infra.demo.run import Demo, prepare
from infra.errors import EnvironmentFault
from infra.settings import Settings
from schemas import codec, topics
from schemas.topics import Bounds
from tests.e2e import expected
from tests.e2e.running import DAYS, EMITTED, Service, command, rows
from tests.streams.pipeline import Tap, tap, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
DECLARED = parameters.load()
WANTED = scenario.expected(DECLARED, DAYS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A demonstration that has ended; its data folder stays."""
    with Service(tmp_path_factory.mktemp("demo") / "ledger", "demo", "--days", str(DAYS), "--quiet") as running:
        code = running.end()
    assert code == 0, running.said
    return running


@pytest.fixture(scope="module")
def data(demo: Service) -> Path:
    return demo.data


@pytest.fixture(scope="module")
def genesis(data: Path) -> Path:
    return data / "channel" / "genesis.json"


# -- what it says, and the balances


def test_it_says_what_it_did_and_that_everything_holds(demo: Service) -> None:
    said = demo.said
    refused = sum(WANTED.rejected.values())
    assert f"{WANTED.readings:,} readings in, {WANTED.counted:,} accepted, {refused} rejected" in said
    submitted = sum(WANTED.submissions.values())
    assert f"{WANTED.records:,} records and {submitted} submissions recorded" in said
    assert "certificates verified" in said
    assert "FAILS" not in said and said.count(" holds ") == 13
    for subject, grams in expected.balances(DAYS).items():
        assert re.search(rf"emissions:{subject} .* {grams:,} ", said), subject


def test_the_tables_hold_the_balances_that_pandas_computes(data: Path) -> None:
    found = rows(data, "query", EMITTED)
    assert {row["subject"]: int(row["emitted"]) for row in found} == expected.balances(DAYS)


def test_the_ledger_alone_gives_the_same_balances_from_every_members_copy(data: Path) -> None:
    channel = channels.load(data)
    counts = [verification.Counting() for _ in range(7)]
    reports = [
        verification.verify(channel.genesis, LedgerCopy(data, channel, member).packages(), counting)
        for member, counting in enumerate(counts)
    ]
    assert {report.refused for report in reports} == {""}
    assert [report.balances for report in reports] == [expected.balances(DAYS)] * 7
    assert {report.digest for report in reports} == {reports[0].digest}
    assert {report.accepted for report in reports} == {WANTED.leaves}
    assert {counting.total for counting in counts} == {WANTED.counted}


def test_debits_are_credits(data: Path) -> None:
    emissions = "sumIf(held, kind = 'emissions') AS emitted"
    asked = f"SELECT sum(debit_g) AS debit, sum(credit_g) AS credit, {emissions} FROM balances"
    (sums,) = rows(data, "query", asked)
    emitted, given = sum(expected.balances(DAYS).values()), sum(one.allowances for one in DECLARED.submissions.stated)
    assert int(sums["debit"]) == int(sums["credit"]) == emitted + 10**6 * given
    assert int(sums["emitted"]) == emitted


# -- what was planted


def test_everything_planted_is_rejected_for_its_reason_and_nothing_else(data: Path) -> None:
    found = rows(data, "query", "SELECT reason, count() AS n FROM rejections GROUP BY reason")
    assert {row["reason"]: int(row["n"]) for row in found} == dict(WANTED.rejected)
    points = rows(data, "query", "SELECT reason, point, value FROM rejections WHERE point != ''")
    planted = {(one.kind, one.point) for one in scenario.planted_in(DECLARED, DAYS)}
    assert {(row["reason"], row["point"]) for row in points} == planted


def gap_windows(data: Path) -> list[dict[str, Any]]:
    return rows(
        data,
        "query",
        "SELECT point, toUnixTimestamp64Milli(window_start) AS start, count, expected, coverage, code "
        "FROM records_latest WHERE count < expected ORDER BY start",
    )


def test_the_gap_is_a_coverage_below_one(data: Path) -> None:
    windows = gap_windows(data)
    assert {row["point"] for row in windows} == {DECLARED.gap.point}
    assert [int(row["count"]) for row in windows] == [2, 0, 0, 3]
    assert [float(row["coverage"]) for row in windows] == [0.5, 0, 0, 0.75]
    assert sum(int(row["expected"]) - int(row["count"]) for row in windows) == WANTED.left_out


def test_every_subject_has_an_outlook_and_its_statement(data: Path) -> None:
    """Ends of days by the ledger's reads, with nothing running, and by the tables."""
    end = WANTED.end_ms
    found = rows(data, "query", f"SELECT subject, emitted_g FROM forecasts WHERE toUnixTimestamp64Milli(at) = {end}")
    emitted = {row["subject"]: int(row["emitted_g"]) for row in found}
    assert emitted == expected.balances(DAYS)
    figures = {row["figure"]: row["value"] for row in rows(data, "plan", "show", "coal-north")}
    assert figures["emitted in the year so far"] == emitted["coal-north"]
    (given,) = rows(data, "statement", "coal-north", "allowances")
    assert (given["balance"], given["with"]) == (9_000_000 * 10**6, "environment-department")
    assert rows(data, "resolve", given["code"])[0]["verdict"] == "accepted"


@pytest.fixture(scope="module")
def started_again(data: Path) -> Any:
    """The demonstration's broker on its data, with nothing else running."""
    with Broker(data / "broker", message_bytes=Bounds().message_bytes) as broker:
        yield broker.bootstrap


def newest(reader: Tap, schema: str, wanted: int) -> list[dict[str, Any]]:
    """The last message of every key of a topic, once there are so many keys."""
    wait_until(lambda: (reader.poll(), len({m.key() for m in reader.messages}) >= wanted)[1], f"{wanted} keys")
    last = {message.key(): message.value() for message in reader.messages}
    return [codec.decode(schema, value) for value in last.values()]


def test_the_topics_say_the_same(data: Path, started_again: str) -> None:
    """Alerts for the gap, and the balances of the account processor."""
    gap = gap_windows(data)
    with tap(started_again, topics.ALERTS) as reader:
        told = [alert for alert in newest(reader, "alert", len(gap)) if alert["kind"] == "coverage"]
    alerts = [alert for alert in told if not alert["resolved"]]
    assert {(alert["kind"], alert["point"], alert["at"]) for alert in alerts} == {
        ("coverage", DECLARED.gap.point, int(row["start"])) for row in gap
    }
    assert {alert["code"] for alert in alerts} == {row["code"] for row in gap}
    balances = expected.balances(DAYS)
    (accounts,) = rows(data, "query", "SELECT count() AS accounts FROM balances")
    with tap(started_again, topics.ACCOUNTS_BALANCES) as reader:
        found = newest(reader, "balance", int(accounts["accounts"]))
    emissions = {one["subject"]: one["debit_g"] for one in found if one["kind"] == "emissions"}
    assert emissions == balances


def test_the_topic_verifies_with_the_genesis_alone_and_no_record_stands_twice(data: Path, started_again: str) -> None:
    genesis = channels.load(data).genesis
    packages = verification.from_topic({"bootstrap.servers": started_again}, genesis)
    report = verification.verify(genesis, packages)
    assert (report.refused, report.balances) == ("", expected.balances(DAYS))
    windows = rows(data, "query", "SELECT count() AS n, uniqExact(point, window_start) AS u FROM records")
    assert {int(value) for value in windows[0].values()} == {WANTED.records}


# -- the commands with nothing running


def test_verify_says_what_it_verified(data: Path) -> None:
    (row,) = rows(data, "verify", "--member", "3")
    assert (row["source"], row["verdict"], row["reason"]) == ("copy of member 3", "verified", None)
    assert (row["records"], row["accepted"], row["rejected"]) == (WANTED.leaves, WANTED.leaves, 0)


def test_the_checkpoint_is_a_note_that_five_members_sign(data: Path) -> None:
    printed = command(data, "checkpoint")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith("carbonledger/demo/")
    lines = [line for line in printed.stdout.splitlines() if line.startswith("— carbonledger/demo/")]
    keys = command(data, "committee", "vkeys").stdout.split()
    assert len(keys) == 7
    assert len({line.split()[1] for line in lines} & {key.split("+")[0] for key in keys}) == 5


def test_the_committee_is_listed(data: Path) -> None:
    members = rows(data, "committee", "list")
    assert [member["index"] for member in members] == list(range(7))
    assert "third-party verifier" in {member["role"] for member in members}


def test_the_schemas_are_listed(data: Path) -> None:
    assert {"record", "block", "packet"} <= {row["name"] for row in rows(data, "schemas", "list")}


@pytest.mark.parametrize("name", ["status", "topics list", "down"])
def test_what_needs_a_running_service_says_so(data: Path, name: str) -> None:
    done = command(data, *name.split())
    assert (done.returncode, done.stdout) == (3, "")
    assert "carbonledger up" in done.stderr


def test_a_wrong_question_is_an_answer_with_exit_code_1(data: Path) -> None:
    for sql in ("SELECT nothing FROM nowhere", "DROP TABLE records"):
        done = command(data, "query", sql)
        assert done.returncode == 1
        assert done.stderr.startswith("carbonledger: Code: ")


# -- proofs


def code_of(data: Path, kind: str) -> str:
    sql = {
        "record": "SELECT code FROM records WHERE count = 4 LIMIT 1",
        "reading": "SELECT code FROM readings WHERE reason = '' LIMIT 1",
    }[kind]
    (row,) = rows(data, "query", sql)
    return str(row["code"])


Change = Callable[[dict[str, Any]], Any]
TAMPERED: dict[str, Change] = {
    "another place in the log": lambda p: p["log"].update(leaf_index=p["log"]["leaf_index"] ^ 1),
    "another leaf": lambda p: p["log"].update(leaf=flipped(p["log"]["leaf"])),
    "a step of the path": lambda p: p["log"]["audit_path"].__setitem__(0, flipped(p["log"]["audit_path"][0])),
    "a step left out": lambda p: p["log"]["audit_path"].pop(),
    "a signature left out": lambda p: p["log"].update(
        checkpoint="\n".join(p["log"]["checkpoint"].split("\n")[:-2]) + "\n"
    ),
    "the checkpoint's root": lambda p: p["log"].update(
        checkpoint=p["log"]["checkpoint"].replace("height ", "height 1")
    ),
}
BELOW: dict[str, dict[str, Change]] = {
    "record": {
        "the payload": lambda p: p["record"].update(payload=flipped(p["record"]["payload"])),
        "the salt": lambda p: p["record"].update(salt=flipped(p["record"]["salt"])),
    },
    "reading": {
        "the reading": lambda p: p["evidence"].update(leaf=flipped(p["evidence"]["leaf"])),
        "its place": lambda p: p["evidence"].update(leaf_index=p["evidence"]["leaf_index"] + 1),
    },
}


def flipped(text: str) -> str:
    """The base64 of bytes of which the last has one bit changed."""
    data = base64.b64decode(text)
    return base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()


@pytest.fixture(scope="module", params=["record", "reading"])
def proof(request: pytest.FixtureRequest, data: Path) -> tuple[str, str, dict[str, Any]]:
    """Kind, code and proof of a record and of one raw reading."""
    code = code_of(data, request.param)
    proved = command(data, "prove", code)
    assert proved.returncode == 0, proved.stderr
    return request.param, code, json.loads(proved.stdout)


def check(folder: Path, proof: dict[str, Any], genesis: Path) -> Any:
    (folder / "proof.json").write_text(json.dumps(proof))
    return command(folder, "verify-proof", str(folder / "proof.json"), "--genesis", str(genesis), "--output", "json")


def test_a_proof_holds_offline_with_the_genesis_alone(
    proof: tuple[str, str, dict[str, Any]], genesis: Path, tmp_path: Path
) -> None:
    (tmp_path / "genesis.json").write_bytes(genesis.read_bytes())
    done = check(tmp_path, proof[2], tmp_path / "genesis.json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["verdict"], row["tree_size"]) == ("accepted", WANTED.leaves)


def test_a_proof_with_anything_changed_is_refused(
    proof: tuple[str, str, dict[str, Any]], genesis: Path, tmp_path: Path
) -> None:
    kind, _, good = proof
    known = geneses.parse(genesis.read_bytes())
    proofs.verify(good, known)
    for name, change in (TAMPERED | BELOW[kind]).items():
        lie = json.loads(json.dumps(good))
        change(lie)
        with pytest.raises(proofs.ProofRefused):
            proofs.verify(lie, known)
            pytest.fail(f"{kind} with {name} changed was taken")
    done = check(tmp_path, lie, genesis)
    assert done.returncode == 1
    assert "the proof does not hold" in done.stderr


def test_resolve_says_what_a_code_stands_for(data: Path, proof: tuple[str, str, dict[str, Any]]) -> None:
    _, code, _ = proof
    (row,) = rows(data, "resolve", code)
    assert row["verdict"] == "accepted"
    assert row["latest_version"] == 1
    assert (row["gateway_kind"], row["attested"]) == ("gateway", False)
    assert row["votes"].count("pass") >= 5
    assert command(data, "resolve", code).returncode == 0


def test_a_code_that_nobody_has_is_not_found(data: Path) -> None:
    code = code_of(data, "record")
    unknown = command(data, "resolve", code[:-4] + ("0000" if code[-4:] != "0000" else "1111"))
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert command(data, "prove", "no code at all").returncode == 2


# -- an exported ledger, whole and damaged


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "ledger.export"
    done = command(data, "export", str(path), "--member", "5")
    assert done.returncode == 0, done.stderr
    return path


def verified(file: Path, genesis: Path) -> tuple[int, dict[str, Any]]:
    """`verify --file` in a folder that holds nothing else: exit code and row."""
    line = ("verify", "--file", str(file), "--genesis", str(genesis), "--output", "json")
    done = command(file.parent / "nothing", *line)
    (row,) = json.loads(done.stdout)
    return done.returncode, row


def packages(path: Path) -> list[bytes]:
    return list(verification.from_file(path))


def written(path: Path, some: list[bytes]) -> Path:
    path.write_bytes(b"".join(struct.pack(">Q", len(one)) + one for one in some))
    return path


def test_an_exported_ledger_verifies_on_another_machine(exported: Path, genesis: Path) -> None:
    code, row = verified(exported, genesis)
    assert (code, row["verdict"], row["accepted"]) == (0, "verified", WANTED.leaves)


def test_one_flipped_byte_in_any_block_is_refused(exported: Path, genesis: Path, tmp_path: Path) -> None:
    good, known = packages(exported), geneses.parse(genesis.read_bytes())
    for height in (1, 2, len(good) // 2, len(good)):
        package = good[height - 1]
        place = (height * 7919) % len(package)
        lie = package[:place] + bytes([package[place] ^ 1]) + package[place + 1 :]
        report = verification.verify(known, [*good[: height - 1], lie])
        assert report.refused and report.height == height - 1, f"byte {place} of block {height}"
    lie = good[2][:-3] + bytes([good[2][-3] ^ 1]) + good[2][-2:]
    code, row = verified(written(tmp_path / "flipped", [*good[:2], lie, *good[3:]]), genesis)
    assert (code, row["verdict"], row["height"]) == (1, "refused", 2)
    assert row["reason"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a dropped block", lambda good: good[:1] + good[2:]),
        ("the first dropped", lambda good: good[1:]),
        ("two swapped", lambda good: [good[0], good[2], good[1], *good[3:]]),
        ("one twice", lambda good: [*good[:2], *good[1:]]),
    ],
)
def test_a_dropped_swapped_or_repeated_block_is_refused(
    exported: Path, genesis: Path, tmp_path: Path, name: str, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    code, row = verified(written(tmp_path / "damaged", change(packages(exported))), genesis)
    assert (code, row["verdict"]) == (1, "refused"), name
    assert "missing" in row["reason"] or "twice" in row["reason"]


def test_a_file_cut_off_is_refused(exported: Path, genesis: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(exported.read_bytes()[:-10])
    code, row = verified(cut, genesis)
    assert (code, row["reason"]) == (1, "the file is cut off, or no export of a ledger")


def test_another_genesis_refuses_everything(exported: Path, genesis: Path, tmp_path: Path) -> None:
    other = json.loads(genesis.read_text()) | {"channel": "another"}
    (tmp_path / "other.json").write_bytes(geneses.build(other))
    code, row = verified(exported, tmp_path / "other.json")
    assert (code, row["height"]) == (1, 0)


# -- a second demonstration


def prepared(folder: Path, days: int, said: list[str]) -> Demo:
    return prepare(Settings(data=folder), days, said.append)


def test_a_finished_demonstration_makes_room_for_the_next(tmp_path: Path) -> None:
    said: list[str] = []
    first = prepared(tmp_path / "ledger", 3, said)
    (tmp_path / "ledger" / "demo.json").write_text('{"finished": true}')
    (tmp_path / "ledger" / "left-over").touch()
    second = prepared(tmp_path / "ledger", 2, said)
    assert second.channel.genesis.digest != first.channel.genesis.digest
    assert second.channel.days == 2
    assert not (tmp_path / "ledger" / "left-over").exists()
    assert "makes room for a new one" in said[0]


def test_an_interrupted_demonstration_goes_on_and_only_as_it_began(tmp_path: Path) -> None:
    first = prepared(tmp_path / "ledger", 3, [])
    assert prepared(tmp_path / "ledger", 3, []).channel.genesis.digest == first.channel.genesis.digest
    with pytest.raises(EnvironmentFault, match="of 3 days that is not finished"):
        prepared(tmp_path / "ledger", 2, [])
