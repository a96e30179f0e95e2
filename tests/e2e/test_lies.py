"""An aggregator that lies, and bad bytes on every topic, against seven real members on a real broker.

The liar holds the registered aggregator's key: everything that it proposes is signed as it should be. Nothing of it is
recorded, `ledger.rejected` says why and who said so, and honest records go on being recorded.
"""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from carbon import record as records
from carbon import signing
from carbon.record import EvidenceRange
from consensus import batch as batches
from consensus.core.bodies import Endorsement
from consensus.core.endorsements import verdict_of
from consensus.core.messages import Kind, Message
from consensus.log import note
from consensus.log.follower import Follower, LedgerError
from infra import verification
from schemas import codec, topics
from tests.committee import LedgerTail, Processes, produce, write_channel
from tests.consensus.aggregator import Aggregator, Evidence, early, with_fields
from tests.e2e.running import command, rows
from tests.parties import EXCHANGE, PARTIES, PLANT
from tests.small import HOUR, START, World, seed
from tests.streams.pipeline import Tap, reset, tap, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
POINT = "plant-0-1"
PATIENCE = 120.0


@dataclass
class Scene:
    """A committee that runs, a gateway that packs, and the one aggregator that proposes to it."""

    data: Path
    bootstrap: str
    world: World
    processes: Processes
    tail: LedgerTail
    rejected: Tap
    evidence: Evidence
    liar: Aggregator
    leaves: int = 0
    accepted: int = 0

    def send(self, hours: int) -> None:
        """The gateway's next packet: two hours of every point, sent at their end."""
        message = self.world.pack(START + hours * HOUR, self.world.day(2, hours - 2))
        self.evidence.add(message)
        produce(self.bootstrap, topics.METER_READINGS, [("gw-0", message)])

    def propose(self, *messages: bytes) -> None:
        produce(self.bootstrap, topics.RECORDS_PROPOSED, [("gw-0", message) for message in messages], 0)

    def certified(self, leaves: int, accepted: int) -> None:
        """Wait until so many more leaves are certified, of which so many are accepted."""
        self.leaves += leaves
        self.accepted += accepted
        self.tail.until(self.leaves, PATIENCE, self.processes)
        position = self.tail.follower.position
        assert (position.tree.size, position.accepted) == (self.leaves, self.accepted)

    def honest(self, first: int, count: int = 1) -> bytes:
        """Propose true records of some hours and see them recorded; the message."""
        message = self.liar.message(self.liar.hours(first, count))
        self.propose(message)
        self.certified(3 * count, 3 * count)
        return message

    def lie(self, record: tuple[str, int, bytes]) -> dict[str, Any]:
        """Propose one false record; what `ledger.rejected` says of it."""
        before = len(self.refusals())
        self.propose(self.liar.message([record]))
        self.certified(1, 0)
        wait_until(lambda: len(self.refusals()) > before, "the refusal")
        told: dict[str, Any] = self.refusals()[-1]
        return told

    def refusals(self) -> list[dict[str, Any]]:
        self.rejected.poll()
        by_leaf = {m.key(): codec.decode("ledger-rejection", m.value()) for m in self.rejected.messages}
        return list(by_leaf.values())

    def verified(self) -> verification.Report:
        """The ledger topic, verified with the genesis alone."""
        client, genesis = {"bootstrap.servers": self.bootstrap}, self.world.genesis
        return verification.verify(genesis, verification.from_topic(client, genesis))


@pytest.fixture(scope="module")
def scene(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reset(broker)
    data = tmp_path_factory.mktemp("lies")
    world = write_channel(data, points=3, gateways=1, parties=PARTIES)
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(data, broker))
        for member in range(7):
            processes.start(f"member-{member}")
        tail = LedgerTail(broker, world)
        stack.callback(tail.close)
        rejected = stack.enter_context(tap(broker, topics.LEDGER_REJECTED))
        evidence = Evidence(world)
        made = Scene(data, broker, world, processes, tail, rejected, evidence, Aggregator(world, evidence))
        for hours in (2, 4, 6, 8):
            made.send(hours)
        made.honest(0)
        yield made
        processes.check()


@pytest.fixture
def heads(scene: Scene) -> Iterator[None]:
    """A refused record is no link of its point's chain: what follows it names the one before it."""
    before = dict(scene.liar.heads)
    yield
    scene.liar.heads = before


def next_hour(scene: Scene) -> int:
    """The window that is next in every point's chain."""
    return START + HOUR * (scene.accepted // 3)


def first_packet(scene: Scene, sequence: int) -> EvidenceRange:
    facts = scene.evidence.facts("gw-0", 0, sequence)
    assert facts is not None
    return EvidenceRange("gw-0", 0, sequence, sequence, facts.packet.digest)


LIES = {
    "wrong_sum": with_fields(quantity=1),
    "wrong_count": with_fields(count=3),
    "wrong_emission": with_fields(emission_g=1),
    "wrong_evidence_root": with_fields(evidence_root=bytes(32)),
    "wrong_factors": with_fields(factors=bytes(32)),
}


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize("reason", LIES)
def test_a_false_record_is_refused_by_name_and_changes_no_balance(scene: Scene, reason: str) -> None:
    before = scene.verified()
    start = next_hour(scene)
    told = scene.lie(scene.liar.record(scene.liar.draft(POINT, start), LIES[reason]))
    assert (told["reason"], told["point"], told["window_start"]) == (reason, POINT, start)
    assert told["submitter"] == "aggregator"
    assert len(told["votes"]) >= scene.world.genesis.committee.quorum
    assert {vote["reason"] for vote in told["votes"]} == {reason}
    assert len({vote["member"] for vote in told["votes"]}) == len(told["votes"])
    after = scene.verified()
    assert not after.refused
    assert (after.balances, after.accepted, after.rejected) == (before.balances, before.accepted, before.rejected + 1)


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize("packets", [1, 2], ids=["the window closed early", "a packet left out of the range"])
def test_another_range_than_the_closing_rules_is_refused(scene: Scene, packets: int) -> None:
    """Hour 1 lies in packet 1 and closes with packet 2: its range is 1 to 2, neither more nor less."""
    if scene.accepted // 3 != 1:
        pytest.fail("this test comes before later hours are recorded")
    claim = early(scene.liar.draft(POINT, START + HOUR), first_packet(scene, packets))
    told = scene.lie(scene.liar.record(claim))
    assert (told["reason"], told["point"]) == ("wrong_range", POINT)
    assert {vote["reason"] for vote in told["votes"]} == {"wrong_range"}


def test_what_is_no_batch_is_dropped_and_honest_records_go_on(scene: Scene) -> None:
    """Replayed, of an unregistered key, in another's name, with noise: no leaf at all, and no number is used up."""
    liar = scene.liar
    first = scene.honest(scene.accepted // 3)
    number, heads = liar.number, dict(liar.heads)
    wanted = liar.hours(scene.accepted // 3, 1)
    for wrong in ({"signer": "gw-0"}, {"signer": "somebody"}, {"submitter": "nobody"}, {"kind": 2}):
        scene.propose(liar.message(wanted, **wrong))
        liar.number = number
    scene.propose(first, first[:-1], b"noise", b"")
    liar.heads = heads
    scene.honest(scene.accepted // 3)
    wanted_hours = scene.accepted
    report = scene.verified()
    assert (report.refused, report.accepted) == ("", wanted_hours)


def test_a_record_that_skips_a_window_is_refused_by_the_state(scene: Scene) -> None:
    before = dict(scene.liar.heads)
    hour = scene.accepted // 3
    told = scene.lie(scene.liar.record(scene.liar.draft(POINT, START + (hour + 1) * HOUR)))
    assert told["reason"] == "window_not_next"
    assert {vote["reason"] for vote in told["votes"]} == {"pass"}, "its evidence was in order"
    scene.liar.heads = before
    scene.honest(hour)


def code_of(scene: Scene, told: dict[str, Any]) -> str:
    """The carbon code of a refused record, from its leaf on the ledger."""
    for block, _ in scene.tail.blocks:
        for leaf in block.leaves:
            if leaf.index == told["leaf_index"]:
                fields = records.decode(told["payload"])
                return str(records.code(fields, leaf.leaf.commitment, scene.world.registry))
    raise AssertionError("the refused record is no leaf")


def test_a_refused_record_can_be_proved_and_its_proof_says_so(scene: Scene, tmp_path: Path) -> None:
    told = next(one for one in scene.refusals() if one["reason"] == "wrong_sum")
    code, proof = code_of(scene, told), tmp_path / "proof.json"
    proved = command(scene.data, "prove", code)
    assert proved.returncode == 0, proved.stderr
    proof.write_text(proved.stdout)
    genesis = str(scene.data / "channel" / "genesis.json")
    refused = command(scene.data, "verify-proof", str(proof), "--genesis", genesis, "--output", "json")
    assert refused.returncode == 1
    (row,) = json.loads(refused.stdout)
    assert (row["verdict"], row["reason"]) == ("rejected", "wrong_sum")
    asked = command(scene.data, "verify-proof", str(proof), "--genesis", genesis, "--accept-rejected")
    assert asked.returncode == 0
    resolved = command(scene.data, "resolve", code, "--output", "json")
    assert resolved.returncode == 0, resolved.stderr
    (what,) = json.loads(resolved.stdout)
    assert (what["verdict"], what["reason"]) == ("rejected", "wrong_sum")
    assert what["votes"].count("wrong_sum") >= scene.world.genesis.committee.quorum


# -- a member that lies


def test_a_member_that_says_two_things_is_shown_with_both_signatures(scene: Scene, tmp_path: Path) -> None:
    """Member 6's key refuses a batch before its own process passes it: two verdicts, and one against the decision.

    All members see it: each keeps both deeds once, their alerts have one id a deed, and anybody checks what they keep.
    """
    hour = scene.accepted // 3
    message = scene.liar.message(scene.liar.hours(hour, 1))
    batch = batches.verify(message, {0: scene.world.registry}, scene.world.channel, 2_000)
    refusal = Endorsement(0, (verdict_of(batch.digest, b"\0\5" * len(batch)),)).encode()
    context = ("consensus/endorsement", scene.world.channel, refusal)
    lie = Message(Kind.ENDORSEMENT, 6, refusal, signing.sign(seed("vote-6"), *context)).encode()
    produce(scene.bootstrap, topics.CONSENSUS_MESSAGES, [("", lie), ("", lie)], 0)
    scene.propose(message)
    scene.certified(3, 3)
    deeds = {f"evidence/{kind}/6/{batch.digest.hex()}" for kind in ("two_verdicts", "wrong_verdict")}
    with tap(scene.bootstrap, topics.ALERTS) as alerts:
        wait_until(lambda: not alerts.poll() and deeds <= {m.key().decode() for m in alerts.messages}, "both alerts")
        told = [codec.decode("alert", m.value()) for m in alerts.messages]
    assert {(alert["id"], alert["kind"], alert["severity"]) for alert in told} == {
        (deed, deed.split("/")[1], "critical" if "two_" in deed else "warning") for deed in deeds
    }
    listed = rows(scene.data, "evidence", "list")
    assert {(row["id"], row["convicts"], *row["members"]) for row in listed} == {
        (deed, "two_" in deed, 6) for deed in deeds
    }
    for deed in sorted(deeds):
        (tmp_path / "evidence.json").write_text(command(scene.data, "evidence", "export", deed).stdout)
        genesis = str(scene.data / "channel" / "genesis.json")
        checked = command(scene.data, "verify-evidence", str(tmp_path / "evidence.json"), "--genesis", genesis)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_a_witness_and_a_growth_proof_agree_with_the_ledger(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBONLEDGER_BOOTSTRAP", scene.bootstrap)
    genesis, witness = str(scene.data / "channel" / "genesis.json"), str(tmp_path / "witness")
    seen = command(scene.data, "witness", witness, "--genesis", genesis, "--once")
    assert seen.returncode == 0, seen.stderr
    newest = scene.tail.follower.position
    cosigned = note.parse_checkpoint(note.split(seen.stdout)[0])
    assert (cosigned.height, cosigned.root) == (newest.height, newest.tree.root())
    # the copy is of a member that may be behind the topic by a turn
    wait_until(lambda: command(scene.data, "prove-growth", "1", str(newest.height)).returncode == 0, "the copy")
    (tmp_path / "growth.json").write_text(command(scene.data, "prove-growth", "1", str(newest.height)).stdout)
    old, new = rows(scene.data, "verify-growth", str(tmp_path / "growth.json"), "--genesis", genesis)
    assert (old["height"], new["height"], new["root"]) == (1, newest.height, newest.tree.root().hex())


# -- a party that submits


def test_a_submission_goes_by_the_command_to_its_leaf_and_one_of_the_wrong_role_to_its_refusal(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBONLEDGER_BOOTSTRAP", scene.bootstrap)
    file, genesis = tmp_path / "price.toml", str(scene.data / "channel" / "genesis.json")
    file.write_text('kind = "price"\nyear = 2016\nmonth = 1\nprice = "79 CNY/t"\n')
    (row,) = rows(scene.data, "submit", str(file), "--party", EXCHANGE)
    scene.certified(1, 1)
    assert (row["verdict"], row["number"], row["leaf_index"]) == ("accepted", 1, scene.leaves - 1)
    (tmp_path / "proof.json").write_text(command(scene.data, "prove", row["code"]).stdout)
    (shown,) = rows(scene.data, "verify-proof", str(tmp_path / "proof.json"), "--genesis", genesis)
    assert (shown["verdict"], shown["content"]["price_fen_t"]) == ("accepted", 7_900)
    refused = command(scene.data, "submit", str(file), "--party", PLANT, "--anyway", "--output", "json")
    scene.certified(1, 0)
    assert (refused.returncode, json.loads(refused.stdout)[0]["reason"]) == (1, "wrong_role")
    wait_until(lambda: scene.refusals()[-1]["stream"] == "submissions", "the refusal")
    told = scene.refusals()[-1]
    assert (told["submitter"], told["reason"]) == (PLANT, "wrong_role")
    assert len(told["votes"]) >= scene.world.genesis.committee.quorum
    report = scene.verified()
    assert (report.refused, report.size, report.accepted) == ("", scene.leaves, scene.accepted)


# -- bad bytes

READ_TOPICS = (
    topics.METER_READINGS,
    topics.READINGS_CODED,
    topics.READINGS_REJECTED,
    topics.RECORDS_PROPOSED,
    topics.CONSENSUS_MESSAGES,
    topics.LEDGER_BLOCKS,
    topics.LEDGER_PAYLOADS,
    topics.ACCOUNTS_BALANCES,
)
ROLES = ("ingest", "aggregate", "accounts", "sink", *(f"member-{m}" for m in range(4)))


def noise(true: bytes, rng: random.Random) -> list[bytes]:
    """Bad messages: random bytes, none at all, true ones cut, with a byte changed, of another schema, of none."""
    place = rng.randrange(5, len(true))
    return [
        rng.randbytes(rng.randrange(1, 200)),
        b"",
        b"\0",
        true[: rng.randrange(1, len(true))],
        true[:-1],
        true + b"\0",
        true[:place] + bytes([true[place] ^ 0x40]) + true[place + 1 :],
        b"\0" + (7).to_bytes(4, "big") + true[5:],
        b"\0" + (999_999).to_bytes(4, "big") + true[5:],
        b"\0\0\0\0" + true[4:5] + b"\xff" * 12,
    ]


def newest(bootstrap: str, topic: str) -> Any:
    """The last message of a topic, once there is one."""
    with tap(bootstrap, topic) as reader:
        wait_until(lambda: bool(reader.poll() or reader.messages), f"a message on {topic}")
        return reader.messages[-1]


def decoded(reader: Tap) -> list[dict[str, Any]]:
    """The messages of a topic that are what its schema says."""
    reader.poll()
    found = []
    for message in reader.messages:
        try:
            found.append(codec.decode("rejection", message.value() or b""))
        except codec.CodecError:
            continue
    return found


def test_bad_bytes_on_every_topic_stop_nobody(broker: str, tmp_path: Path) -> None:
    rng, hours = random.Random(11), 12
    reset(broker)
    world = write_channel(tmp_path, points=3, gateways=1, members=4)
    packets = [world.pack(START + h * HOUR, world.day(2, h - 2)) for h in range(2, hours + 3, 2)]
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(tmp_path, broker))
        for role in ROLES:
            processes.start(role)
        tail = LedgerTail(broker, world)
        stack.callback(tail.close)
        # a dead letter to take as the true message of its topic
        produce(broker, topics.METER_READINGS, [("gw-0", b"no packet"), *(("gw-0", one) for one in packets[:3])])
        tail.until(3 * 5, PATIENCE, processes)
        sent: dict[str, list[bytes]] = {}
        for topic in READ_TOPICS:
            true = newest(broker, topic)
            sent[topic] = noise(true.value(), rng)
            for key in (true.key(), b"", None):
                _produce(broker, topic, key, sent[topic], true.partition())
        produce(broker, topics.METER_READINGS, [("gw-0", one) for one in packets[3:]])
        _until(broker, world, 3 * (hours + 1), processes)
        rejected = stack.enter_context(tap(broker, topics.READINGS_REJECTED))
        for topic in (topics.METER_READINGS, topics.READINGS_CODED):
            originals = set(sent[topic]) - {sent[topic][6]}
            wait_until(
                lambda wanted=originals: wanted <= {one["original"] for one in decoded(rejected)},
                f"a dead letter for every bad message on {topic}",
            )
        balances = stack.enter_context(tap(broker, topics.ACCOUNTS_BALANCES))
        wait_until(lambda: _records(balances) == 3 * (hours + 1), "the balance of all records")
        processes.check()
        assert set(processes.running) == set(ROLES)
    assert command(tmp_path, "verify").returncode == 0
    stored = command(tmp_path, "query", "SELECT count(), sum(quantity) FROM records", "--output", "json")
    (row,) = json.loads(stored.stdout)
    assert [int(value) for value in row.values()] == [3 * (hours + 1), 3 * _total(world, hours + 1)]


def _produce(bootstrap: str, topic: str, key: bytes | None, values: list[bytes], partition: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 4_000_000})
    for value in values:
        producer.produce(topic, value, key, partition)
    assert producer.flush(30) == 0


def _until(bootstrap: str, world: World, leaves: int, processes: Processes) -> None:
    """Wait until so many leaves are certified, passing over what is no block."""
    follower = Follower(world.genesis)

    def there() -> bool:
        processes.check()
        for message in blocks.poll():
            with suppress(LedgerError):
                follower.accept(message.value() or b"")
        return follower.position.tree.size >= leaves

    with tap(bootstrap, topics.LEDGER_BLOCKS) as blocks:
        wait_until(there, f"{leaves} certified leaves")


def _records(balances: Tap) -> int:
    """Records that the newest balance counts."""
    balances.poll()
    counts = []
    for message in balances.messages:
        try:
            counts.append(codec.decode("balance", message.value() or b"")["records"])
        except codec.CodecError:
            continue
    return max(counts, default=0)


def _total(world: World, hours: int) -> int:
    """Wh of one point: `World.day` counts up anew in every packet of two hours."""
    return sum(1_000 + 4 * (hour % 2) + quarter for hour in range(hours) for quarter in range(4))
