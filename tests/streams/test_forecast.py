"""The forecast processor: from a certified ledger to outlooks and warnings, each day judged once whatever crashes."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from carbon.ledger.books import Books
from carbon.planning.days import day_of
from carbon.planning.watch import Watch
from consensus.member.publisher import messages_of
from schemas import codec, topics
from streams.accounts import AccountsConfig, post_block
from streams.forecast import Forecasts, WatchFile, watch_block
from tests import parties
from tests.consensus.test_contract import corrected, late_scene
from tests.consensus.test_ledger import Chain
from tests.consensus.test_submission import Market
from tests.parties import AUTHORITY, PARTIES, PLANT
from tests.registrars import REGISTRARS
from tests.small import HOUR, START, World
from tests.streams.pipeline import send, tap, wait_until
from tests.streams.test_accounts import opened

Sent = list[tuple[str, str, bytes]]


def allocation(market: Market, number: int, amount_g: int) -> bytes:
    fixed = {"outputs": [], "share_percent": 100, "cut_g": 0, "decision": [], "allowed": []}
    content = {"subject": "plant", "year": 2016, "stage": "PRE", "amount_g": amount_g, **fixed}
    return parties.payload(market.world, AUTHORITY, number, "allocation", content)


def plan(market: Market, emission_g: int) -> bytes:
    months = [{"emission_g": emission_g, "output": 0}] * 12
    content = {"subject": "plant", "year": 2016, "months": months, "product": "", "scale": 0, "unit": ""}
    return parties.payload(market.world, PLANT, 1, "plan", content)


@pytest.fixture(scope="module")
def market() -> Market:
    """Two days of three points, and before the second a plan and allowances that last for a day and a half."""
    market = Market()
    market.messages += [market.world.pack(START + h * HOUR, market.world.day(2, h - 2)) for h in range(8, 52, 2)]
    market.begin()
    market.order(market.windows(0, 10))
    market.order(market.windows(10, 14))
    day = market.ledger.balances["plant"]
    assert market.submit(AUTHORITY, allocation(market, 1, day * 3 // 2)) == [0]
    assert market.submit(PLANT, plan(market, 31 * day)) == [0]
    market.order(market.windows(24, 23))
    market.order(market.windows(47, 1))
    return market


class Deaf(Forecasts):
    """A processor without a broker: what it sends is kept, what it reads is handed to it."""

    def __init__(self, market: Market, store: Path) -> None:
        world = World.make(registrars=REGISTRARS, parties=PARTIES)
        self.sent: Sent = []
        kafka = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
        super().__init__(AccountsConfig(kafka, market.world.genesis, world.registry, store))

    def _send(self, topic: str, key: str, value: bytes) -> None:
        self.sent.append((topic, key, value))

    def read(self, packages: list[bytes], keep: bool = True) -> Sent:
        for offset, (topic, key, value) in enumerate(m for package in packages for m in messages_of(package)):
            if topic == topics.LEDGER_PAYLOADS:
                self._reader.offer_payload(key, value, offset)
            elif topic == topics.LEDGER_BLOCKS:
                self._reader.offer_block(value, offset)
        for block in self._reader.ready():
            self._post(block)
        if keep:
            self._write()
        return self.sent

    @property
    def watch(self) -> Watch:
        return self._standing.watch


def told(sent: Sent, topic: str, schema: str) -> list[dict[str, Any]]:
    return [codec.decode(schema, value) for name, _, value in sent if name == topic]


def test_each_day_is_told_when_its_last_window_is_on_the_ledger(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "whole.sqlite")) as whole:
        sent = whole.read(market.store.kept)
    first, second = told(sent, topics.ACCOUNTS_FORECASTS, "forecast")
    assert [(row["at"] - START) // HOUR for row in (first, second)] == [24, 48]
    assert [row["height"] for row in (first, second)] == [2, 6]
    assert second["emitted_g"] == market.ledger.balances["plant"]
    assert (first["available_g"], second["available_g"]) == (
        None,
        first["emitted_g"] * 3 // 2 - market.ledger.balances["plant"],
    )
    assert (second["plan_g"], second["silent"], second["season"]) == (12 * 31 * first["emitted_g"], 0, None)
    assert [key for topic, key, _ in sent if topic == topics.ACCOUNTS_FORECASTS] == ["plant", "plant"]


def test_whoever_is_above_hears_of_a_balance_that_is_used_up(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "whole.sqlite")) as whole:
        sent = whole.read(market.store.kept)
    alerts = told(sent, topics.ALERTS, "alert")
    assert [(alert["subject"], alert["kind"], alert["severity"]) for alert in alerts] == [
        ("plant", "balance_short", "critical"),
        ("region", "balance_short", "critical"),
    ]
    assert alerts[0]["id"] == "balance_short/plant/2016-01-02/used up/plant"
    assert {key for topic, key, _ in sent if topic == topics.ALERTS} == {alert["id"] for alert in alerts}


def test_restarted_after_every_block_it_says_the_same_once(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "whole.sqlite")) as whole:
        at_once = whole.read(market.store.kept)
        watch = whole.watch
    piecewise: Sent = []
    for package in market.store.kept:
        with closing(Deaf(market, tmp_path / "again.sqlite")) as again:
            piecewise += again.read([package])
    assert piecewise == at_once
    with closing(Deaf(market, tmp_path / "again.sqlite")) as again:
        assert again.watch.subjects == watch.subjects
        assert again._standing.books == whole._standing.books


def test_a_crash_before_keeping_says_the_same_again(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "again.sqlite")) as first:
        before = list(first.read(market.store.kept[:2]))
    with closing(Deaf(market, tmp_path / "again.sqlite")) as crashed:
        lost = list(crashed.read(market.store.kept[2:], keep=False))
    with closing(Deaf(market, tmp_path / "again.sqlite")) as again:
        assert again.read(market.store.kept[2:]) == lost
    assert before and lost and before != lost


def test_days_are_what_the_windows_add_up_to(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "whole.sqlite")) as whole:
        whole.read(market.store.kept)
        plant = whole.watch.subjects["plant"]
        assert plant.first == day_of(START, 0) and len(plant.grams) == 2
        assert sum(plant.grams) == market.ledger.balances["plant"]
        assert set(plant.heads) == {"plant-0-0", "plant-0-1", "plant-0-2"}
        assert set(plant.heads.values()) == {START + 48 * HOUR}


def test_a_corrected_window_changes_its_day() -> None:
    chain = Chain()
    scene, packets = late_scene()
    chain.world, chain.evidence, chain.aggregator = scene.world, scene.evidence, scene.aggregator
    chain.contract = scene.contract
    chain.order(chain.aggregator.batch(chain.aggregator.hours(0, 1)))
    before = chain.ledger.balances["plant"]
    chain.order(chain.aggregator.batch([chain.aggregator.record(corrected(scene, packets))]))
    watch, books = Watch(0), Books()
    for block in opened(chain):
        watch_block(watch, block, post_block(books, block, chain.world.registry).taken)
    assert list(watch.subjects["plant"].grams) == [chain.ledger.balances["plant"]] != [before]


def test_rules_and_a_quiet_subject_come_back_from_disk(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "whole.sqlite")) as whole:
        whole.read(market.store.kept)
        whole.watch.adopt('{"calm_days":3,"calm_reason":"","rules":[]}')
        whole._write()
        whole.watch.emitted("plant", "plant-0-0", START, START + HOUR, 5)
        whole._write()
    again = WatchFile(tmp_path / "whole.sqlite", 0).load().watch
    assert (again.rules.calm_days, again.rules.rules) == (3, ())
    assert sum(again.subjects["plant"].grams) == market.ledger.balances["plant"] + 5


def test_days_that_are_forgotten_leave_the_disk(market: Market, tmp_path: Path) -> None:
    with closing(Deaf(market, tmp_path / "whole.sqlite")) as whole:
        whole.read(market.store.kept)
        later = START + 800 * 24 * HOUR
        whole.watch.emitted("plant", "plant-0-0", later, later + HOUR, 5)
        whole._write()
        assert whole.watch.changed == {}
        assert whole._file._database.execute("SELECT min(day) FROM day").fetchone() == (day_of(START, 0) + 1,)
    again = WatchFile(tmp_path / "whole.sqlite", 0).load().watch.subjects["plant"]
    assert again.grams == whole.watch.subjects["plant"].grams and again.first == day_of(START, 0) + 1


@pytest.mark.broker
def test_outlooks_and_warnings_reach_their_topics(market: Market, bootstrap: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        forecasts, alerts = (stack.enter_context(tap(bootstrap, t)) for t in (topics.ACCOUNTS_FORECASTS, topics.ALERTS))
        for topic in (topics.LEDGER_PAYLOADS, topics.LEDGER_BLOCKS):
            sent = (m for package in market.store.kept for m in messages_of(package))
            send(bootstrap, topic, [(key, value) for name, key, value in sent if name == topic], 0)
        world = World.make(registrars=REGISTRARS, parties=PARTIES)
        kafka = {"bootstrap.servers": bootstrap}
        config = AccountsConfig(kafka, market.world.genesis, world.registry, tmp_path / "watch.sqlite")
        running = stack.enter_context(closing(Forecasts(config)))
        wait_until(
            lambda: (running.step(0.05), forecasts.poll(), alerts.poll(), len(alerts.messages) >= 2)[-1], "alerts"
        )
        rows = [codec.decode("forecast", message.value()) for message in forecasts.messages]
    assert [row["emitted_g"] for row in rows][-1] == market.ledger.balances["plant"]
    assert {message.key().decode().split("/")[0] for message in alerts.messages} == {"balance_short"}
