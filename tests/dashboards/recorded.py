"""A recorded scenario: six weeks of six meters through the product's own code, without a broker, into its tables.

Synthetic. In it: bad readings of several kinds, a forged packet, an hour with a reading missing, two meters that stand
still, one of them to the end, allowances that don't last, a bill, a sale, measures for heavy pollution, a member that
signed two verdicts, two that are silent, a primary that is down, and a dead webhook.
"""

import random
from collections.abc import Iterable, Iterator
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
from sinks.clickhouse.health import HealthFeed
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.readings import ReadingsFeed
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.rows import (
    alerts_feed,
    anomalies_feed,
    balances_feed,
    deliveries_feed,
    forecasts_feed,
    rejections_feed,
)
from streams.accounts import Accounts, AccountsConfig
from streams.anomaly.processor import Anomalies, AnomalyConfig
from streams.dead_letter import Original, letters
from streams.forecast import Forecasts
from streams.processor import LedgerProcessor
from tests import contents, parties
from tests.consensus.test_registration import Scene
from tests.dashboards.around import around
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
HELD = {"plant-0-4": (30, 32), "plant-0-3": (41, DAYS + 1)}
"""Points that give one value for some days, by the first and the one behind the last: the first is over in time."""


def readings(world: World, day: int) -> list[tuple[str, int, int]]:
    """A day of every point: higher by day than by night, less on two days a week, and never the same as another.

    The first begins at 6 o'clock.
    """
    found, rng = [], random.Random(day)
    for quarter in range(0 if day else 24, 96):
        at = START + (day * 24 * HOUR) + quarter * HOUR // 4
        load = 10_000_000 + 200_000 * min(quarter, 96 - quarter) - 1_500_000 * (day % 7 > 4)
        for place, point in enumerate(POINTS):
            value = round(load * (1 + place) / 3 * rng.gauss(1, 0.02))
            first, behind = HELD.get(point, (0, 0))
            found.append((point, at, 4_321_000 * (1 + place) if first <= day < behind else value))
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
        self.read = list(ingested(self))
        self.anomalies = list(
            anomalies(self, [value for topic, _, value in self.read if topic == topics.READINGS_CODED])
        )
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
        told = [codec.decode("anomaly", value) for topic, _, value in self.anomalies if topic == topics.ANOMALIES]
        stuck = next(one for one in told if (one["point"], one["kind"]) == ("plant-0-3", "stuck"))
        about = {"subject": "works", "point": "plant-0-3", "anomaly": stuck["id"]}
        verdicts.append(self.submit(AUTHORITY, "assessment", **about, verdict="CONFIRMED", reason="the seal is broken"))
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


def anomalies(scene: Recorded, coded: Iterable[bytes]) -> Iterator[tuple[str, str, bytes]]:
    """What the anomaly processor sends of coded packets."""
    sent: list[tuple[str, str, bytes]] = []

    class Deaf(Anomalies):
        def _send(self, topic: str, key: str, value: bytes, headers: object = ()) -> None:
            sent.append((topic, key, value))

    config = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    registry = scene.world.registry
    told = AnomalyConfig(config, scene.world.genesis, registry, lambda: (0, registry), Path(":memory:"))
    with closing(Deaf(told)) as processor:
        for message in coded:
            processor.packet(message)
    yield from sent


def published(block: bytes) -> int:
    """When the broker got a block: as the committee's own clock says, and some tenths of a second later. ms UTC."""
    header = codec.decode_bare("block-header", codec.decode("block", block)["header"])
    return int(header["time"]) + 150 + header["height"] * 37 % 200


def fill(data_dir: Path) -> None:
    """Record the scenario into the tables of a data folder."""
    scene = Recorded()
    reference = Reference.of(World.make(registrars=REGISTRARS, **CHANGES).registry)
    feeds: list[Feed] = [LedgerFeed(Follower(scene.world.genesis), reference), ReadingsFeed(reference)]
    feeds += [rejections_feed(), balances_feed(), forecasts_feed(), alerts_feed(), anomalies_feed()]
    feeds += [deliveries_feed(), HealthFeed()]
    by_topic = {topic: feed for feed in feeds for topic in feed.topics}
    logs: dict[str, Topic] = {topic: Topic(topic) for topic in by_topic}
    ledger = (one for kept in scene.store.kept for one in messages_of(kept))
    client = engine.open_client(data_dir)
    try:
        migrate(client)
        for feed in feeds:
            feed.resume(client)
        beside = (*scene.read, *bodies(scene), *scene.anomalies, *around("evidence/two_verdicts/3/0/7"))
        for topic, _, value in (*ledger, *beside):
            if topic in by_topic:
                at = published(value) if topic == topics.LEDGER_BLOCKS else None
                by_topic[topic].take(logs[topic].put(value, at))
        for feed in feeds:
            feed.flush(client)
    finally:
        client.close()
