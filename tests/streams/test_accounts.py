"""The account processor: from a certified ledger to balances, each record posted once whatever crashes."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from carbon import record as records
from carbon.alert import Headers
from carbon.gaps import incomplete
from carbon.ledger.books import Books
from carbon.refusal import Refusal
from consensus.log import reader
from consensus.log.follower import Follower
from consensus.log.reader import LedgerReader, OpenedBlock
from consensus.member.publisher import messages_of
from schemas import codec, topics
from streams import accounts
from streams.accounts import Accounts, AccountsConfig, BooksFile, Standing, kept_sums, post_block
from tests import parties
from tests.consensus.aggregator import with_fields
from tests.consensus.test_contract import POINT, corrected, late_scene
from tests.consensus.test_ledger import Chain
from tests.consensus.test_registration import Scene, with_a_new_point
from tests.independent.test_accounts import Year, whole
from tests.parties import AUTHORITY, VERIFIER
from tests.small import START
from tests.streams.pipeline import Tap, send, tap, wait_until

EMISSIONS, OBLIGATION = "emissions:plant:2016:combustion", "obligation:plant:2016"
Sent = list[tuple[str, bytes, bytes]]


def ledger() -> Chain:
    """Four blocks; in the third a record that is refused, in the last a window with a reading missing."""
    chain = Chain()
    liar = chain.aggregator
    chain.order(liar.batch(liar.hours(0, 2)))
    chain.order(liar.batch(liar.hours(2, 1)), liar.batch(liar.hours(3, 1)))
    heads = dict(liar.heads)
    chain.order(liar.batch([liar.record(liar.draft(POINT, START), with_fields(quantity=1))]))
    liar.heads = heads
    chain.send(8, [row for row in chain.world.day(2, 6) if row[:2] != (POINT, START + 6 * 3_600_000)])
    chain.send(10)
    chain.order(liar.batch(liar.hours(4, 3)))
    return chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return ledger()


def messages(chain: Chain) -> Sent:
    return [message for package in chain.store.kept for message in messages_of(package)]


def opened(chain: Chain) -> list[OpenedBlock]:
    reader = LedgerReader(Follower(chain.world.genesis))
    for offset, (topic, key, value) in enumerate(messages(chain)):
        if topic == topics.LEDGER_PAYLOADS:
            reader.offer_payload(key, value, offset)
        elif topic == topics.LEDGER_BLOCKS:
            reader.offer_block(value, offset)
    return list(reader.ready())


# -- the pure part


def test_balances_are_the_ledgers(chain: Chain) -> None:
    books, names = Books(), []
    for block in opened(chain):
        names.append([account.account for account in post_block(books, block, chain.world.registry)[0]])
    emissions = {account.subject: account.debit_g for account in books if account.kind == "emissions"}
    assert emissions == chain.ledger.balances
    assert {account.records for account in books} == {21}
    assert names == [
        [EMISSIONS, OBLIGATION],
        [EMISSIONS, OBLIGATION],
        [],
        [EMISSIONS, OBLIGATION],
    ]


def test_a_window_with_readings_missing_is_an_alert_with_its_code(chain: Chain) -> None:
    books = Books()
    alerts = [alert for block in opened(chain) for alert in post_block(books, block, chain.world.registry)[1]]
    (alert,) = alerts
    assert (alert["kind"], alert["severity"], alert["point"]) == ("coverage", "warning", POINT)
    assert alert["text"] == f"{POINT}: 3 of 4 readings in the window"
    assert alert["id"] == f"coverage/{alert['code']}"
    assert alert["height"] == 4
    assert codec.decode("alert", codec.encode("alert", alert))["code"] == alert["code"]


@pytest.mark.parametrize(
    ("count", "seconds", "says"),
    [(45, 3600, "45 of 60 readings in the window"), (44, 3600, "44 of 60 readings in the window, no valid hour"),
     (1, 900, "1 of 60 readings in the window")],
)  # fmt: skip
def test_an_alert_says_when_an_hour_is_not_valid(chain: Chain, count: int, seconds: int, says: str) -> None:
    (leaf,) = (item for block in opened(chain) for item in block.leaves if records.read(item.payload)["count"] < 4)
    stated = {**records.read(leaf.payload), "count": count, "expected": 60, "window_seconds": seconds}
    assert incomplete(stated, bytes(32), 4, chain.world.registry, {})["text"] == f"{POINT}: {says}"


def test_a_gap_is_over_with_the_next_full_window_of_its_point_and_not_with_an_earlier_one(chain: Chain) -> None:
    blocks = opened(chain)
    starts = [records.read(leaf.payload)["window_start"] for leaf in blocks[0].leaves]
    gaps = {f"coverage/{POINT}": starts[1], f"substituted/{POINT}": max(starts) + 1, "coverage/other": starts[0]}
    alerts = post_block(Books(), blocks[0], chain.world.registry, gaps).alerts
    (over,) = (codec.decode("alert", codec.encode("alert", alert)) for alert in alerts)
    assert (over["key"], over["resolved"], over["at"]) == (f"coverage/{POINT}", True, starts[1])
    assert (over["point"], over["severity"], over["proof"]) == (POINT, "info", None)
    assert sorted(gaps) == ["coverage/other", f"substituted/{POINT}"]


def test_a_window_with_readings_missing_opens_a_gap(chain: Chain) -> None:
    books, gaps = Books(), dict[str, int]()
    (alert,) = (a for block in opened(chain) for a in post_block(books, block, chain.world.registry, gaps).alerts)
    assert gaps == {f"coverage/{POINT}": alert["at"]} and alert["key"] in gaps
    assert alert["figures"] == [{"name": "readings", "value": "3"}, {"name": "expected_readings", "value": "4"}]
    assert alert["proof"] == f"carbonledger prove {alert['code']}"


def test_a_correction_posts_the_difference() -> None:
    chain = Chain()
    scene, packets = late_scene()
    chain.world, chain.evidence, chain.aggregator = scene.world, scene.evidence, scene.aggregator
    chain.contract = scene.contract
    chain.order(chain.aggregator.batch(chain.aggregator.hours(0, 1)))
    chain.order(chain.aggregator.batch([chain.aggregator.record(corrected(scene, packets))]))
    books = Books()
    for block in opened(chain):
        post_block(books, block, chain.world.registry)
    assert books.accounts[EMISSIONS].debit_g == chain.ledger.balances["plant"]


def test_books_come_back_from_disk_as_they_were(chain: Chain, tmp_path: Path) -> None:
    file, books = BooksFile(tmp_path / "deep" / "books.sqlite", 0), Books()
    assert file.load() == Standing(Books())
    follower = Follower(chain.world.genesis)
    follower.accept(chain.blocks()[0])
    post_block(books, opened(chain)[0], chain.world.registry)
    standing = Standing(books, follower.position, {topics.LEDGER_BLOCKS: 5}, changed={*books.accounts}, gaps={"a/b": 7})
    file.keep(standing)
    again = BooksFile(tmp_path / "deep" / "books.sqlite", 0).load()
    assert (again.books, again.offsets, again.gaps) == (books, {topics.LEDGER_BLOCKS: 5}, {"a/b": 7})
    assert again.position is not None and again.position.dump() == follower.position.dump()


class Deaf(Accounts):
    """A processor without a broker: what it sends is kept, what it reads is handed to it."""

    def __init__(self, scene: Scene, store: Path) -> None:
        kafka = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
        self.sent: Sent = []
        super().__init__(AccountsConfig(kafka, scene.world.genesis, scene.ledger.registries[0], store))

    def _send(self, topic: str, key: str, value: bytes, headers: Headers = ()) -> None:
        self.sent.append((topic, key.encode(), value))

    def read(self, packages: list[bytes]) -> Sent:
        """Post those blocks and keep what follows; what was sent."""
        self.sent = []
        for offset, (topic, key, value) in enumerate(m for package in packages for m in messages_of(package)):
            if topic == topics.LEDGER_PAYLOADS:
                self._reader.offer_payload(key, value, offset)
            elif topic == topics.LEDGER_BLOCKS:
                self._reader.offer_block(value, offset)
        for block in self._reader.ready():
            self._post(block)
        self._file.keep(self._standing)
        return self.sent


def test_a_new_point_is_posted_by_the_registry_that_the_ledger_tells(tmp_path: Path) -> None:
    scene = with_a_new_point()
    packages = scene.store.kept
    with closing(Deaf(scene, tmp_path / "whole.sqlite")) as whole:
        sent = whole.read(packages)
    said = {key.decode(): codec.decode("balance", v) for topic, key, v in sent if topic == topics.ACCOUNTS_BALANCES}
    assert {
        name: said[f"emissions:{name}:2016:combustion"]["debit_g"] for name in scene.ledger.balances
    } == scene.ledger.balances
    assert said["emissions:boiler:2016:combustion"]["records"] == 2
    codes = [codec.decode("alert", value)["code"] for topic, _, value in sent if topic == topics.ALERTS]
    assert len(codes) == 2 and all(f"/boiler.{'9' * 24}." in code for code in codes)
    for stop in (1, 2, 3, len(packages) - 1):
        store = tmp_path / f"{stop}.sqlite"
        with closing(Deaf(scene, store)) as first:
            before = list(first.read(packages[:stop]))
        with closing(Deaf(scene, store)) as second:
            assert before + second.read(packages[stop:]) == sent, f"restarted after height {stop}"
        assert BooksFile(store, 0).load().books == BooksFile(tmp_path / "whole.sqlite", 0).load().books


def test_a_snapshot_and_the_tail_are_the_whole_replay(tmp_path: Path) -> None:
    """Records and submissions, a restart after each height: what was sent, the books and their sums on disk."""
    scene = whole()
    packages = scene.store.kept
    with closing(Deaf(scene, tmp_path / "whole.sqlite")) as once:
        sent = once.read(packages)
    store, again = tmp_path / "again.sqlite", Sent()
    for package in packages:
        with closing(Deaf(scene, store)) as restarted:
            again += restarted.read([package])
    assert again == sent
    assert BooksFile(store, 0).load().books == BooksFile(tmp_path / "whole.sqlite", 0).load().books
    kept = kept_sums(store)
    assert kept is not None and kept[0] == len(packages)
    assert {unit: kept[1]["debit", unit] - kept[1]["credit", unit] for unit in ("g", "t", "fen")} == {
        "g": 0,
        "t": 0,
        "fen": 0,
    }
    assert kept_sums(tmp_path / "none.sqlite") is None
    said = {
        key.decode(): codec.decode("balance", value) for topic, key, value in sent if topic == topics.ACCOUNTS_BALANCES
    }
    held = said["banked:plant:2016"]
    assert (held["kind"], held["unit"], held["year"], held["subject"]) == ("banked", "g", 2016, "plant")
    assert (said["retired:plant:2016:compliance"]["unit"], said["credits::CCER"]["detail"]) == ("t", "CCER")


def test_a_record_behind_a_closing_in_one_block_is_a_correction(tmp_path: Path) -> None:
    year = Year()
    year.meter(0, 1)
    about = {"subject": "plant", "year": 2016}
    assert year.submit(VERIFIER, "verification", **about, emissions_g=0, sources=[], document=bytes(32)) is Refusal.PASS
    ended = {"shortfall_g": 0, "banked_g": 0, "expired_g": 0, "net_sold_g": 0, "allowed": []}
    payload = parties.payload(year.world, AUTHORITY, 1, "closing", about | ended)
    before, after = year.windows(1, 1), year.windows(2, 1)
    verdicts = year.order(before, parties.batch(year.world, AUTHORITY, 1, [payload]), after)
    assert {refusal for refusal, _ in verdicts} == {Refusal.PASS}
    with closing(Deaf(year, tmp_path / "books.sqlite")) as once:
        once.read(year.store.kept)
        records = {one.account: one.records for one in once._standing.books if one.detail}
    assert records == {"emissions:plant:2016:combustion": 6, "corrections:plant:2017:combustion": 3}


# -- on a broker


@pytest.fixture
def balances(bootstrap: str) -> Iterator[Tap]:
    with tap(bootstrap, topics.ACCOUNTS_BALANCES) as reader:
        yield reader


def processor(chain: Chain, bootstrap: str, store: Path) -> Accounts:
    config = AccountsConfig({"bootstrap.servers": bootstrap}, chain.world.genesis, chain.world.registry, store)
    return Accounts(config)


def publish(bootstrap: str, some: Sent) -> None:
    for topic in (topics.LEDGER_PAYLOADS, topics.LEDGER_BLOCKS):
        send(bootstrap, topic, [(key, value) for name, key, value in some if name == topic], 0)


def run_to(posted: Accounts, height: int) -> None:
    """Step until the books are kept at a height."""

    def stands() -> bool:
        posted.step(0.05)
        position = posted._standing.position
        return position is not None and position.height >= height

    wait_until(stands, f"height {height}")


def last_values(balances: Tap) -> dict[bytes, bytes]:
    balances.poll()
    return {message.key(): message.value() for message in balances.messages}


@pytest.mark.broker
def test_a_replay_from_zero_says_the_same_to_the_byte(
    chain: Chain, bootstrap: str, balances: Tap, tmp_path: Path
) -> None:
    publish(bootstrap, messages(chain))
    with closing(processor(chain, bootstrap, tmp_path / "one.sqlite")) as first:
        run_to(first, 4)
    said, count = last_values(balances), len(balances.messages)
    assert {codec.decode("balance", value)["debit_g"] for value in said.values()} >= set(chain.ledger.balances.values())
    with closing(processor(chain, bootstrap, tmp_path / "two.sqlite")) as second:
        run_to(second, 4)
    assert last_values(balances) == said
    assert len(balances.messages) == 2 * count
    assert BooksFile(tmp_path / "one.sqlite", 0).load().books == BooksFile(tmp_path / "two.sqlite", 0).load().books


@pytest.mark.broker
def test_a_crash_between_sending_and_keeping_sends_the_same_bytes_again(
    chain: Chain, bootstrap: str, balances: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    def crash(*_: Any) -> None:
        raise Crash

    publish(bootstrap, messages(chain))
    crashed = processor(chain, bootstrap, tmp_path / "books.sqlite")
    with monkeypatch.context() as patch:
        patch.setattr(crashed._file, "keep", crash)
        with closing(crashed), pytest.raises(Crash):
            run_to(crashed, 4)
    sent = [(m.key(), m.value()) for m in (balances.poll(), balances.messages)[1]]
    assert sent, "the balances were delivered before the crash"
    with closing(processor(chain, bootstrap, tmp_path / "books.sqlite")) as again:
        run_to(again, 4)
        balances.poll()
        assert [(m.key(), m.value()) for m in balances.messages][len(sent) :][: len(sent)] == sent
        assert again._standing.books.accounts[EMISSIONS].debit_g == chain.ledger.balances["plant"]


@pytest.mark.broker
def test_payloads_that_a_primary_withholds_are_asked_for(
    chain: Chain, bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "ASK_AFTER_MS", 0)
    whole = messages(chain)
    publish(bootstrap, [one for one in whole if one[0] == topics.LEDGER_BLOCKS])
    with (
        tap(bootstrap, topics.LEDGER_REQUESTS) as requests,
        closing(processor(chain, bootstrap, tmp_path / "b")) as own,
    ):

        def asked() -> bool:
            own.step(0.05)
            return bool(requests.poll())

        wait_until(asked, "a request")
        assert codec.decode("payload-request", requests.messages[0].value()) == {"height": 1, "attempt": 1}
        publish(bootstrap, whole)
        run_to(own, 4)
        assert own._standing.books.accounts[EMISSIONS].debit_g == chain.ledger.balances["plant"]


@pytest.mark.broker
def test_restarted_after_every_block_nothing_is_standing_twice(
    chain: Chain, bootstrap: str, balances: Tap, tmp_path: Path
) -> None:
    """Blocks and payloads shuffled and repeated, with noise between them, and a new process after each height."""
    rng, every = random.Random(2), messages(chain)
    mixed = every * 2 + [(topics.LEDGER_BLOCKS, b"", b"noise"), (topics.LEDGER_PAYLOADS, every[0][1], b"noise")]
    rng.shuffle(mixed)
    for number, message in enumerate(mixed):
        publish(bootstrap, [message])
        if number % 12 == 0:
            with closing(processor(chain, bootstrap, tmp_path / "books.sqlite")) as one:
                one.step(0.3)
    with closing(processor(chain, bootstrap, tmp_path / "books.sqlite")) as last:
        run_to(last, 4)
    kept = BooksFile(tmp_path / "books.sqlite", 0).load()
    assert {account.records for account in kept.books} == {21}
    said = [codec.decode("balance", value) for value in last_values(balances).values()]
    assert {
        balance["subject"]: balance["debit_g"] for balance in said if balance["kind"] == "emissions"
    } == chain.ledger.balances


class Few:
    """A consumer that hands out two messages at a time, as a slow broker does."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def consume(self, _: int, timeout: float) -> Any:
        return self._consumer.consume(2, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


@pytest.mark.broker
def test_payloads_far_ahead_of_their_blocks_wait_on_the_topic(
    chain: Chain, bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consensus.log import reader

    monkeypatch.setattr(reader, "WAITING_PAYLOADS", 5)
    publish(bootstrap, [message for message in messages(chain) if message[0] == topics.LEDGER_PAYLOADS])
    with closing(processor(chain, bootstrap, tmp_path / "books.sqlite")) as held:
        held._consumer = Few(held._consumer)
        for _ in range(10):
            held.step(0.2)
        assert len(held._reader._payloads) <= 5 + 2
        publish(bootstrap, messages(chain))
        run_to(held, 4)
        assert held._standing.books.accounts[EMISSIONS].debit_g == chain.ledger.balances["plant"]


@pytest.mark.broker
def test_balances_that_the_broker_does_not_take_stop_the_processor(
    chain: Chain, bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bootstrap, messages(chain))
    with closing(processor(chain, bootstrap, tmp_path / "books.sqlite")) as refused:
        monkeypatch.setattr(accounts.topics, "ACCOUNTS_BALANCES", "no.such.topic")
        with pytest.raises(RuntimeError, match="could not be delivered"):
            run_to(refused, 4)
    assert BooksFile(tmp_path / "books.sqlite", 0).load() == Standing(Books()), "nothing is kept that was not said"
