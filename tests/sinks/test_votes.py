"""Table votes: every member of a block's committee, and whether it stands in the certificate."""

from typing import Any

from tests.sinks.messages import NEW_YEAR
from tests.sinks.test_ledger import World, column, take

STANDING = "SELECT place, member, role, certified, endorsements FROM votes WHERE height = 2 ORDER BY place"


def test_every_member_of_the_committee_has_a_row(client: Any) -> None:
    world = World(3)
    take(client, world.feed(client), world.messages())
    rows = client.query(STANDING).result_rows
    assert rows == [(place, f"member-{place}", "verifier", place > 0, 0) for place in range(4)]
    assert column(client, "SELECT DISTINCT countIf(certified) FROM votes GROUP BY height") == [3]
    assert column(client, "SELECT toUnixTimestamp64Milli(max(time)) FROM votes") == [NEW_YEAR + 3]


def test_votes_are_the_signers_of_the_block(client: Any) -> None:
    world = World()
    take(client, world.feed(client), world.messages())
    sql = """SELECT count() FROM blocks LEFT JOIN
        (SELECT height, arraySort(groupArrayIf(member, certified)) AS members FROM votes GROUP BY height) AS v
        USING height WHERE arraySort(signers) != members"""
    assert column(client, sql) == [0]


def test_a_database_without_votes_reads_its_ledger_again(client: Any) -> None:
    """As one does that was filled before the table was there."""
    world = World()
    take(client, world.feed(client), world.messages())
    client.command("TRUNCATE TABLE votes_log")
    take(client, world.feed(client), world.messages())
    assert column(client, "SELECT count() FROM votes") == [24]
    assert column(client, "SELECT count() FROM records") == [16]
    assert world.feed(client)._follower.height == 6
