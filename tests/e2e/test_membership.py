"""The committee changes while it works: four real members on a real broker become five, one of them with new keys.

So does the registry: the gateway gets a new key.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from carbon import factors, packet, registry, signing
from carbon.record import PayloadWriter
from consensus.log.committee import AHEAD
from infra import verification
from schemas import topics
from tests.committee import LedgerTail, Processes, produce, write_channel
from tests.consensus.aggregator import Aggregator, Evidence
from tests.e2e.running import command, status_of
from tests.registrars import REGISTRARS
from tests.small import HOUR, START, World, seed
from tests.streams.pipeline import reset, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
PATIENCE = 120.0


class Committee:
    """Members as processes, a gateway and an aggregator at hand, and the command line beside them."""

    def __init__(self, data: Path, bootstrap: str, processes: Processes, tail: LedgerTail, world: World) -> None:
        self.data, self.bootstrap, self.processes, self.tail, self.world = data, bootstrap, processes, tail, world
        self.evidence = Evidence(world)
        self.aggregator = Aggregator(world, self.evidence)
        self.hours = self.leaves = self.registry_height = 0
        self.seed = "gw-0"
        self._pack()

    def _pack(self) -> None:
        """The gateway's next packet: the windows before its last hour can be closed."""
        self.hours += 2
        run = self.world.registry.gateways["gw-0"].run
        message = self.world.pack(START + self.hours * HOUR, self.world.day(2, self.hours - 2), run=run)
        message = packet.sign(seed(self.seed), self.world.channel, packet.body_of(message))
        self.evidence.add(message)
        produce(self.bootstrap, topics.METER_READINGS, [("gw-0", message)])

    def record(self) -> None:
        """See two more hours of all points certified."""
        first = self.hours - 2
        self._pack()
        message = self.aggregator.message(self.aggregator.hours(first, 2), registry_height=self.registry_height)
        produce(self.bootstrap, topics.RECORDS_PROPOSED, [("gw-0", message)], 0)
        self.until(6)

    def go_over(self, registry_height: int, key: str) -> None:
        """The registry of this height is in force: the gateway's next run sends again what is not recorded yet."""
        file = self.run("registry", "show", "--height", str(registry_height)).encode()
        self.world.registry = registry.parse(file, factors.load())
        self.world.sequence, self.world.previous = 0, packet.ZERO_DIGEST
        self.registry_height, self.seed, self.hours = registry_height, key, self.hours - 2
        self.evidence = Evidence(self.world)
        self.aggregator.evidence, self.aggregator.writer = self.evidence, PayloadWriter(self.world.registry)
        self._pack()

    def until(self, leaves: int) -> None:
        self.leaves += leaves
        self.tail.until(self.leaves, PATIENCE, self.processes)

    def run(self, *arguments: str) -> str:
        done = self.said(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def said(self, *arguments: str) -> "CompletedProcess[str]":
        os.environ["CARBONLEDGER_BOOTSTRAP"] = self.bootstrap
        try:
            return command(self.data, *arguments)
        finally:
            del os.environ["CARBONLEDGER_BOOTSTRAP"]

    def until_height(self, height: int) -> None:
        wait_until(lambda: self._height() >= height, f"height {height}")

    def _height(self) -> int:
        self.processes.check()
        self.tail.read()
        return self.tail.follower.height

    def status(self, member: int) -> dict[str, object]:
        return status_of(self.data / "members" / str(member) / "status.json")

    def until_in(self, member: int, epoch: int) -> None:
        """Wait until a member takes part in an epoch and holds all that is certified."""

        def is_there() -> bool:
            status = self.status(member)
            return status.get("epoch") == epoch and status["height"] == self._height()

        wait_until(is_there, f"member {member} in epoch {epoch}")


@pytest.fixture(scope="module")
def committee(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Committee]:
    """In epoch 1: member 2 has new keys, and there is a member 4."""
    reset(broker)
    data = tmp_path_factory.mktemp("membership")
    world = write_channel(data, points=3, gateways=1, members=4, registrars=REGISTRARS)
    with Processes(data, broker) as processes:
        for member in range(4):
            processes.start(f"member-{member}")
        tail = LedgerTail(broker, world)
        made = Committee(data, broker, processes, tail, world)
        made.record()
        change(made)
        yield made
        tail.close()


def change(made: Committee) -> None:
    draft, rotated, newcomer = (str(made.data / name) for name in ("change.json", "rotated.json", "newcomer.json"))
    Path(rotated).write_text(made.run("committee", "keygen", "member-2"))
    Path(newcomer).write_text(made.run("committee", "keygen", "member-4", "--name", "newcomer", "--role", "verifier"))
    first = made.tail.follower.height + AHEAD + 8
    rotate(made, first - 2)
    made.run("committee", "propose", draft, "--replace", f"2={rotated}", "--add", newcomer, "--first", str(first))
    for member in (0, 1):
        made.run("committee", "approve", draft, "--as", f"member-{member}")
    too_few = made.said("committee", "submit", draft)
    assert too_few.returncode == 1
    assert "not_approved: it needs 1 approvals and the consent of member-2, newcomer" in too_few.stderr
    for member in (2, 4):
        made.run("committee", "approve", draft, "--as", f"member-{member}")
    assert f"epoch 1 begins with height {first}" in made.run("committee", "submit", draft)
    made.processes.start("member-4")
    made.until(1)
    # one stands still meanwhile, and comes back when nobody answers in the old epoch any more
    made.processes.running["member-3"].send_signal(signal.SIGSTOP)
    # nothing more is proposed: the committee comes to the end of the epoch by itself
    made.until_height(first - 2)
    made.go_over(first - 2, "gw-0b")
    made.record()
    made.until_height(first - 1)
    made.processes.running["member-3"].send_signal(signal.SIGCONT)


def rotate(made: Committee, first: int) -> None:
    """Have a new key of the gateway recorded, in force from a height on."""
    draft, own = str(made.data / "registry.json"), made.data / "registrar.seed"
    own.touch(0o600)
    key = signing.public_key(seed("gw-0b")).hex()
    made.run("registry", "propose", draft, "--rotate", f"gw-0={key}", "--first", str(first))
    submit = ("registry", "submit", draft, "--registrar", "registrar", "--seed-file", str(own))
    own.write_text(seed("gw-0").hex() + "\n")
    refused = made.said(*submit)
    assert (refused.returncode, "not_signed" in refused.stderr) == (1, True)
    own.write_text(seed("registrar").hex() + "\n")
    assert f"in force from height {first}" in made.run(*submit)
    made.until(1)


def test_point_16_the_next_epoch_records_with_its_own_members(committee: Committee) -> None:
    committee.record()
    block, _ = committee.tail.blocks[-1]
    assert (block.header["epoch"], len(block.committee.members), len(block.signers)) == (1, 5, 4)
    for member in range(5):
        committee.until_in(member, 1)


def test_a_gateways_new_key_is_in_force_from_its_height_on(committee: Committee) -> None:
    for member in range(5):
        wait_until(lambda m=member: committee.status(m).get("registry") == committee.registry_height, "the registry")
    batches = [(block.height, set(block.columns["registry_height"].tolist())) for block, _ in committee.tail.blocks]
    named = [heights for height, heights in batches if height >= committee.registry_height and heights]
    assert named and all(heights == {committee.registry_height} for heights in named)
    before, now = json.loads(committee.run("registry", "show", "--output", "json"))
    assert (before["from"], now["from"], now["in_force"]) == (0, committee.registry_height, True)


def test_point_16_retired_keys_are_destroyed(committee: Committee) -> None:
    committee.until_in(2, 1)
    held = sorted(path.name for path in (committee.data / "channel" / "keys").glob("member-2.*"))
    assert held == ["member-2.note-1.seed", "member-2.vote-1.seed"]


def test_point_16_the_genesis_alone_still_suffices(committee: Committee) -> None:
    genesis = str(committee.data / "channel" / "genesis.json")
    client = {"bootstrap.servers": committee.bootstrap}
    report = verification.verify(committee.world.genesis, verification.from_topic(client, committee.world.genesis))
    assert (report.refused, report.size) == ("", committee.leaves)
    chain = committee.data / "epoch-1.json"
    chain.write_text(committee.run("committee", "vkeys", "--output", "json"))
    keys = committee.run("committee", "vkeys", "--chain", str(chain), "--genesis", genesis).splitlines()
    assert keys == json.loads(chain.read_text())["vkeys"]
    assert len(keys) == 5
    assert set(committee.run("committee", "vkeys", "--epoch", "0").splitlines()) - set(keys)
    growth = committee.data / "growth.json"
    growth.write_text(committee.run("prove-growth", "1"))
    committee.run("verify-growth", str(growth), "--genesis", genesis)
    file = json.loads(growth.read_text())
    growth.write_text(json.dumps(file | {"epochs": []}))
    refused = committee.said("verify-growth", str(growth), "--genesis", genesis)
    assert (refused.returncode, "a gap" in refused.stderr) == (1, True)


def test_point_16_a_wiped_member_comes_back_over_the_epochs_by_the_topic(committee: Committee) -> None:
    committee.processes.kill("member-0")
    shutil.rmtree(committee.data / "members" / "0")
    committee.record()
    committee.processes.start("member-0")
    committee.until_in(0, 1)
    committee.record()
    committee.until_in(0, 1)
