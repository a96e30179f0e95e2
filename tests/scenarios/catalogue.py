"""The scenarios. Each harms a committee that runs under load; what must hold at the end is checked by `play`."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import AdminClient

from schemas import topics
from tests.scenarios.running import ALL, Committee


@dataclass(frozen=True)
class Scenario:
    """What is done to a committee, and which members lie how."""

    act: Callable[[Committee], None]
    lies: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """One scenario played; times in s."""

    name: str
    blocks: int
    records: int
    lost: int
    """Batches that were proposed and not recorded."""
    longest_gap: float
    recovered: float
    """The longest that the first batch after a fault waited for its block."""


def two_crashed(committee: Committee) -> None:
    """Two followers are killed under load."""
    committee.record()
    down = [member for member in ALL if member != committee.primary][:2]
    committee.kill(*down)
    committee.record()
    committee.start(*down)


def primary_killed(committee: Committee) -> None:
    """The primary is killed under load."""
    committee.record()
    down = committee.primary
    committee.kill(down)
    committee.record()
    committee.start(down)
    committee.record()


def two_lying(committee: Committee) -> None:
    """The first primary equivocates, a backup fails good records."""
    for _ in range(3):
        committee.record()
    assert [bool(committee.lied(member)) for member in committee.lies] == [True, True]


def crashed_and_lying(committee: Committee) -> None:
    """Two crashed and two lying: progress only while the liars answer, and never anything wrong."""
    committee.record()
    committee.kill(5, 6)
    committee.record()
    committee.pause(*committee.lies)
    waiting = committee.offer(20)
    committee.check_topic()
    assert not set(waiting[10:]) & committee.tail.recorded.keys(), "three members are no quorum"
    committee.resume(*committee.lies)
    committee.record()
    committee.start(5, 6)


def tampered_copy(committee: Committee) -> None:
    """A byte of a block in one member's copy is flipped while it is down."""
    committee.until(lambda: committee.status(3).get("height", 0) > 3, "some blocks")
    committee.kill(3)
    path = committee.folder(3) / "ledger.sqlite"
    with sqlite3.connect(path) as database:
        (package,) = database.execute("SELECT package FROM block WHERE height = 2").fetchone()
        middle = len(package) // 2
        flipped = package[:middle] + bytes([package[middle] ^ 1]) + package[middle + 1 :]
        database.execute("UPDATE block SET package = ? WHERE height = 2", (flipped,))
    database.close()
    committee.start(3)
    # its idle turns find the damage, and the start after that cuts the copy off
    committee.processes.running.pop("member-3").wait(120)
    committee.start(3)
    committee.record()
    said = "copy was damaged: blocks from height 2 on"
    committee.until(lambda: said in committee.log(3), "the member says that its copy was damaged")


def lying_wire(committee: Committee) -> None:
    """Messages between every member and the broker are lost, repeated, reordered, cut and made up."""
    committee.record(20)
    assert {"lost", "repeated", "cut", "made up", "held"} == set.union(*map(committee.lied, ALL))


def broker_killed(committee: Committee) -> None:
    """The broker is killed and started again."""
    for _ in range(3 if committee.long else 1):
        committee.record()
        committee.broker.kill()
        committee.offer(10)
        committee.broker.start()
    committee.record()


def topic_deleted(committee: Committee) -> None:
    """The consensus topic is deleted, and made again by the operator."""
    committee.record()
    admin = AdminClient(committee.client)
    admin.delete_topics([topics.CONSENSUS_MESSAGES])[topics.CONSENSUS_MESSAGES].result(30)
    committee.until(lambda: topics.CONSENSUS_MESSAGES not in admin.list_topics(timeout=10).topics, "the topic is gone")
    committee.offer(10)
    committee.make_topics()
    committee.record()


def all_killed(committee: Committee) -> None:
    """All seven are killed within a moment and started again."""
    for _ in range(3 if committee.long else 1):
        committee.record()
        committee.kill(*ALL)
        committee.start(*ALL)
    committee.record()


def disk_wiped(committee: Committee) -> None:
    """One member loses everything but its keys."""
    committee.record()
    committee.kill(4)
    shutil.rmtree(committee.folder(4))
    committee.start(4)
    committee.record()


def old_backup(committee: Committee) -> None:
    """One member is set back to a copy of its disk."""
    committee.record()
    committee.kill(4)
    backup = committee.data / "backup"
    shutil.copytree(committee.folder(4), backup)
    height = committee.tail.follower.height
    committee.start(4)
    # long enough for the others to hear where it stands
    committee.until(lambda: committee.status(4).get("height", 0) > height, "it goes on")
    committee.record(20)
    committee.kill(4)
    shutil.rmtree(committee.folder(4))
    backup.rename(committee.folder(4))
    committee.start(4)
    committee.record()
    said = "this disk is older than what was signed from it"
    committee.until(lambda: said in committee.log(4), "the member says that its disk was set back")
    until = int(committee.log(4).rpartition("no vote before height ")[2].split()[0])
    committee.until(lambda: committee.tail.follower.height > until, "the height past all that it may have signed")
    committee.until(lambda: "votes_from" in committee.status(4), "a report of the member")
    committee.until(lambda: committee.status(4)["votes_from"] is None, "the member votes again")


def stopped(committee: Committee) -> None:
    """The primary, then a backup, stand still for a while and go on."""
    committee.record()
    for member in (committee.primary, (committee.primary + 3) % len(ALL)):
        committee.pause(member)
        until = time.monotonic() + (60 if committee.long else 5)
        committee.until(lambda until=until: time.monotonic() > until, "the pause")  # type: ignore[misc]
        committee.resume(member)
        committee.record()


SCENARIOS = {
    "two-crashed": Scenario(two_crashed),
    "two-lying": Scenario(two_lying, {0: "equivocates", 1: "misjudges"}),
    "crashed-and-lying": Scenario(crashed_and_lying, {0: "equivocates", 1: "equivocates"}),
    "tampered-copy": Scenario(tampered_copy),
    "lying-wire": Scenario(lying_wire, dict.fromkeys(ALL, "has a lying wire")),
    "broker-killed": Scenario(broker_killed),
    "topic-deleted": Scenario(topic_deleted),
    "primary-killed": Scenario(primary_killed),
    "all-killed": Scenario(all_killed),
    "disk-wiped": Scenario(disk_wiped),
    "old-backup": Scenario(old_backup),
    "silent-primary": Scenario(two_lying, {0: "is silent", 1: "equivocates"}),
    "stopped": Scenario(stopped),
}


def play(name: str, folder: Path, seed: int, *, long: bool = False) -> Outcome:
    """Play a scenario in a folder of its own. Raises AssertionError when anything is not as it must be."""
    scenario = SCENARIOS[name]
    with Committee(folder, seed, scenario.lies, long=long) as committee:
        # how long processes take to start is no part of how long a fault is felt
        committee.until(lambda: all(map(committee.status, ALL)), "all seven run")
        scenario.act(committee)
        committee.finish()
        lost = len(set(committee.load.offered) - committee.tail.recorded.keys())
        blocks, records = len(committee.tail.blocks), committee.tail.follower.position.tree.size
        return Outcome(name, blocks, records, lost, committee.longest_gap, max(committee.recovered))
