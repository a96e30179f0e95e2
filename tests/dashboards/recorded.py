"""A recorded scenario: six weeks of six meters through the product's own code, without a broker, into its tables.

Synthetic. In it: bad readings of several kinds, a forged packet, an hour with a reading missing, allowances that don't
last, a bill, a sale, measures for heavy pollution, a member that signed two verdicts, two that are silent, and a dead
webhook.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from carbon import calendar, coding, signing
from carbon.packet import PacketError
from carbon.refusal import Refusal
from consensus.log import evidence
from consensus.log.evidence import Proven
from consensus.log.follower import Follower
from consensus.member.publisher import messages_of
from schemas import codec, topics
from sinks.clickhouse import engine
from sinks.clickhouse.feed import Feed
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.readings import ReadingsFeed
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.rows import (
    alerts_feed,
    balances_feed,
    deliveries_feed,
    forecasts_feed,
    health_feed,
    rejections_feed,
)
from streams.accounts import Accounts, AccountsConfig
from streams.dead_letter import Original, letters
from streams.forecast import Forecasts
from streams.processor import LedgerProcessor
from tests import contents, parties
from tests.consensus.test_registration import Scene
from tests.parties import AUTHORITY, EXCHANGE, OFFICE
from tests.registrars import REGISTRARS
from tests.sinks.messages import Topic
from tests.small import HOUR, START, World, seed

DAYS = 42
END = START + DAYS * 24 * HOUR
TONNE = 1_000_000
COMPANIES = {"coal-a": "power", "coal-b": "power", "works": "region", "shop": "region"}
"""Emitting subjects, each with the subject above it."""
BOUGHT = {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023"}
POINTS = {
    "plant-0-0": {"subject": "coal-a"},
    "plant-0-1": {"subject": "coal-a"},
    "plant-0-2": {"subject": "coal-b"},
    "plant-0-3": {"subject": "works", "emission": BOUGHT},
    "plant-0-4": {"subject": "shop", "emission": BOUGHT},
}
SUBJECTS = [
    {"id": "region", "name": "Region", "kind": "region", "parent": None},
    {"id": "power", "name": "Power group", "kind": "group", "parent": "region"},
    *(
        {"id": name, "name": name.title(), "kind": "plant" if above == "power" else "enterprise", "parent": above}
        for name, above in COMPANIES.items()
    ),
]
OWN = [
    {"id": f"{name}-co", "key": signing.public_key(seed(f"{name}-co")).hex(), "role": "enterprise", "subject": name}
    for name in COMPANIES
]
CHANGES: dict[str, Any] = {
    "points": len(POINTS),
    "more": POINTS,
    "subjects": SUBJECTS,
    "parties": [party for party in parties.PARTIES if party["subject"] != "plant"] + OWN,
}
SHORT_HOUR = (START + 240 * HOUR, "plant-0-3")
"""One of its four readings is missing."""


def readings(world: World, day: int) -> list[tuple[str, int, int]]:
    """A day of every point: higher by day than by night, and less on two days a week. The first begins at 6 o'clock."""
    found = []
    for quarter in range(0 if day else 24, 96):
        at = START + (day * 24 * HOUR) + quarter * HOUR // 4
        load = 10_000_000 + 200_000 * min(quarter, 96 - quarter) - 1_500_000 * (day % 7 > 4)
        found += [(point, at, load * (1 + place) // 3) for place, point in enumerate(POINTS)]
    return [reading for reading in found if reading[1::-1] != SHORT_HOUR]


def planted(day: int) -> list[tuple[str, int, int]]:
    """What the rules refuse, on one day of seven."""
    at = START + day * 24 * HOUR + 7 * HOUR // 4
    bad = [("plant-0-0", at, -5), ("plant-0-3", at, 10**10), ("plant-0-1", at + 90 * 24 * HOUR, 5)]
    return bad if day % 7 == 3 else []


class Recorded(Scene):
    """The ledger of the scenario: a block a day, and what the parties state."""

    time_ms = START + HOUR

    def __init__(self) -> None:
        super().__init__(**CHANGES)
        self.said: dict[str, int] = {}
        self.messages += [
            self.world.pack(START + (24 * day + 24) * HOUR, readings(self.world, day) + planted(day))
            for day in range(DAYS + 1)
        ]
        self.begin()
        self._state_the_year()
        for day in range(DAYS):
            self.time_ms = START + (24 * day + 26) * HOUR
            assert set(self.order(self.windows(24 * day, 24))) == {(Refusal.PASS, 0)}
        self._state_the_rest()

    def submit(self, party: str, kind: str, signers: tuple[str, ...] = (), **content: Any) -> Refusal:
        """The committee's verdict on a party's next submission."""
        number = self.said[party] = self.said.get(party, 0) + 1
        payload = parties.payload(self.world, party, number, kind, content, signers)
        ((refusal, _),) = self.order(parties.batch(self.world, party, number, [payload]))
        return refusal

    def _state_the_year(self) -> None:
        settled = {"outputs": [], "share_percent": 100, "cut_g": 0, "decision": [], "allowed": []}
        verdicts = []
        for place, name in enumerate(COMPANIES):
            about = {"subject": name, "year": 2016}
            grams = (3_000, 600_000, 60_000, 40_000)[place] * TONNE
            verdicts.append(self.submit(AUTHORITY, "allocation", **about, stage="PRE", amount_g=grams, **settled))
            months = [{"emission_g": grams // 12, "output": 1_000}] * 12
            product = {"product": "electricity", "scale": 0, "unit": "MWh"}
            verdicts.append(self.submit(f"{name}-co", "plan", **about, months=months, **product))
        assert set(verdicts) == {Refusal.PASS}

    def _state_the_rest(self) -> None:
        self.time_ms = END + 24 * HOUR
        january = {"start": START, "end": calendar.month_start(2016, 2, 0), "document": bytes(32)}
        verdicts = []
        for name in COMPANIES:
            put_out = {"product": "electricity", "quantity": 1_000, "scale": 0, "unit": "MWh"}
            verdicts.append(self.submit(f"{name}-co", "output", subject=name, **january, **put_out))
        for name in (*COMPANIES, "region"):
            verdicts.append(self.submit(OFFICE, "gdp", subject=name, **january, amount_fen=10**9))
        bill = contents.CONTENTS["activity"] | {"subject": "coal-a", **january}
        sale = {"seller": "works", "buyer": "coal-a", "vintage": 2016, "price_fen_t": 7_900, "venue": ""}
        measures = [{"subject": "coal-a", "grade": "C", "limit_percent": 50, "reason": "grade C at ORANGE"}]
        verdicts += [
            self.submit("coal-a-co", "activity", **bill),
            self.submit("works-co", "transfer", ("works-co", "coal-a-co"), **sale, amount_g=10 * TONNE),
            self.submit(EXCHANGE, "price", **parties.PRICE),
            self.submit(AUTHORITY, "weather", region="region", level="ORANGE", start=START, end=END, measures=measures),
        ]
        assert set(verdicts) == {Refusal.PASS}, verdicts


def bodies(scene: Recorded) -> Iterator[tuple[str, str, bytes]]:
    """What the ledger's processors send: topic, key and value."""
    config = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    first = World.make(registrars=REGISTRARS, **CHANGES).registry

    def deaf(kind: type[LedgerProcessor], store: Path) -> list[tuple[str, str, bytes]]:
        sent: list[tuple[str, str, bytes]] = []

        class Deaf(kind):  # type: ignore[valid-type,misc]
            def _send(self, topic: str, key: str, value: bytes, headers: object = ()) -> None:
                sent.append((topic, key, value))

        with closing(Deaf(AccountsConfig(config, scene.world.genesis, first, store))) as processor:
            for offset, (topic, key, value) in enumerate(one for kept in scene.store.kept for one in messages_of(kept)):
                if topic == topics.LEDGER_PAYLOADS:
                    processor._reader.offer_payload(key, value, offset)
                elif topic == topics.LEDGER_BLOCKS:
                    processor._reader.offer_block(value, offset)
                for block in processor._reader.ready():
                    processor._post(block)
        return sent

    yield from deaf(Accounts, Path(":memory:"))
    yield from deaf(Forecasts, Path(":memory:"))
    deed = Proven("two_verdicts", (3,), ("member-3",), "0/7", 7, True, "member 3 (member-3) signed two verdicts")
    found = evidence.alert(deed, START + 100 * HOUR)
    yield topics.ALERTS, found["id"], codec.encode("alert", found)


def around(alert: str) -> Iterator[tuple[str, str, bytes]]:
    """How the pipeline stood, and what became of an alert at two webhooks, of which one is dead.

    Both just now: the tables keep neither for ever.
    """
    now = time.time_ns() // 1_000_000 - HOUR
    for look in range(6):
        for process, topic in (("ingest", topics.METER_READINGS), ("sink", topics.LEDGER_BLOCKS)):
            stands = {"process": process, "topic": topic, "at": now + look * 10_000, "state": "ready"}
            done = {"restarts": 0, "waiting": 5 - look, "oldest_seconds": 0.5, "done": 100 * look}
            yield topics.PIPELINE_HEALTH, process, codec.encode("health", stands | done)
    for subscription, outcomes in (("desk", ["delivered"]), ("gone", ["failed", "failed", "dead"])):
        for attempt, outcome in enumerate(outcomes, 1):
            about = {"subscription": subscription, "event": alert, "kind": "two_verdicts", "key": alert}
            told = {"attempt": attempt, "at": now + 10_000 * attempt, "outcome": outcome, "duration_ms": 12}
            answer = (
                {"status": 200, "reason": None} if outcome == "delivered" else {"status": None, "reason": "refused"}
            )
            yield (
                topics.ALERTS_DELIVERIES,
                subscription,
                codec.encode("delivery", about | told | answer | {"next_at": None}),
            )


def ingested(scene: Recorded) -> Iterator[tuple[str, str, bytes]]:
    """What ingest makes of the packets, and of a forged one."""
    forged = bytearray(scene.messages[5])
    forged[-1] ^= 1
    for offset, message in enumerate([*scene.messages, bytes(forged)]):
        original = Original("ingest", topics.METER_READINGS, 0, offset, b"gw-0", message)
        try:
            coded = coding.code(message, scene.world.registry, scene.world.channel)
        except PacketError as error:
            items, packet = [coding.whole(error.reason, error.detail)], None
        else:
            items, packet = coded.items, coded.packet
            yield topics.READINGS_CODED, "gw-0", coded.message
        for letter in letters(original, items, packet):
            yield topics.READINGS_REJECTED, "", letter.value


def fill(data_dir: Path) -> None:
    """Record the scenario into the tables of a data folder."""
    scene = Recorded()
    reference = Reference.of(World.make(registrars=REGISTRARS, **CHANGES).registry)
    feeds: list[Feed] = [LedgerFeed(Follower(scene.world.genesis), reference), ReadingsFeed(reference)]
    feeds += [rejections_feed(), balances_feed(), forecasts_feed(), alerts_feed(), deliveries_feed(), health_feed()]
    by_topic = {topic: feed for feed in feeds for topic in feed.topics}
    logs: dict[str, Topic] = {topic: Topic(topic) for topic in by_topic}
    ledger = (one for kept in scene.store.kept for one in messages_of(kept))
    client = engine.open_client(data_dir)
    try:
        migrate(client)
        for feed in feeds:
            feed.resume(client)
        for topic, _, value in (*ledger, *ingested(scene), *bodies(scene), *around("evidence/two_verdicts/3/0/7")):
            if topic in by_topic:
                by_topic[topic].take(logs[topic].put(value))
        for feed in feeds:
            feed.flush(client)
    finally:
        client.close()
