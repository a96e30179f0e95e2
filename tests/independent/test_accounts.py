"""Two computations agree to the gram: the account processor's, and a script's that knows only the export and pandas."""

from pathlib import Path
from typing import Any

from carbon import calendar, signing
from carbon.ledger.books import Books
from carbon.ledger.history import History
from carbon.refusal import Refusal
from carbon.submission import read
from consensus.log.follower import Follower
from consensus.log.reader import LedgerReader
from consensus.member.publisher import messages_of
from infra.verification import to_file
from schemas import topics
from streams.accounts import post_block
from tests import contents, parties
from tests.consensus.test_registration import Scene
from tests.independent import accounts
from tests.parties import AUTHORITY, EXCHANGE, PARTIES, PLANT, VERIFIER
from tests.small import seed

TONNE = 1_000_000
SUBJECTS = [
    {"id": "region", "name": "Region", "kind": "region", "parent": None},
    {"id": "plant", "name": "Plant", "kind": "plant", "parent": "region"},
    {"id": "works", "name": "Works", "kind": "enterprise", "parent": "region"},
]
WORKS = {"id": "works-co", "key": signing.public_key(seed("works-co")).hex(), "role": "enterprise", "subject": "works"}
MAY, JUNE = calendar.month_start(2016, 5, 0), calendar.month_start(2016, 6, 0)
BILL = contents.CONTENTS["activity"] | {"subject": "works", "start": MAY, "end": JUNE}


class Year(Scene):
    """Records of 2016 and submissions, in blocks of 2017."""

    time_ms = calendar.month_start(2017, 7, 0)

    def __init__(self) -> None:
        super().__init__(subjects=SUBJECTS, parties=[*PARTIES, WORKS])
        self.said: dict[str, int] = {}
        self.books = Books()
        self.histories: dict[str, History] = {}

    def submit(self, party: str, kind: str, signers: tuple[str, ...] = (), **content: Any) -> Refusal:
        """The committee's verdict on a party's next submission."""
        number = self.said[party] = self.said.get(party, 0) + 1
        payload = parties.payload(self.world, party, number, kind, content, signers)
        ((refusal, _),) = self.order(parties.batch(self.world, party, number, [payload]))
        if refusal is Refusal.PASS:
            said = read(payload)
            _, entry = self.books.book.apply(said, self.time_ms)
            self.histories.setdefault(party, History()).take(said, entry)
        return refusal

    def meter(self, first: int, hours: int) -> Refusal:
        """The committee's verdict on the records of some hours."""
        (refusal,) = {refusal for refusal, _ in self.order(self.windows(first, hours))}
        return refusal

    def take_back(self, party: str, number: int, signers: tuple[str, ...] = ()) -> Refusal:
        return self.submit(party, "reversal", signers, **self.histories[party].reversal(number, "wrong"))


def whole() -> Year:
    """A ledger with something of everything, refusals too."""
    year = Year()
    about = {"subject": "plant", "year": 2016}
    settled = {"outputs": [], "share_percent": 100, "cut_g": 0, "decision": [], "allowed": []}
    document = {"document": bytes(32)}
    sale = {"seller": "plant", "buyer": "works", "vintage": 2016, "price_fen_t": None, "venue": ""}
    both = (PLANT, "works-co")
    credits_ = {"subject": "plant", "scheme": "CCER", "first": 1}
    boiler = {"source": "boiler", "gas": "CO2", "scope": 1, "emission_g": 100 * TONNE}
    verified = {"emissions_g": 100 * TONNE, "sources": [boiler]}
    steps = [
        year.meter(0, 3),
        year.submit(AUTHORITY, "allocation", **about, stage="PRE", amount_g=200 * TONNE, **settled),
        year.submit(AUTHORITY, "allocation", **about, stage="FINAL", amount_g=190 * TONNE, **settled),
        year.take_back(AUTHORITY, 2),
        year.submit(AUTHORITY, "allocation", **about, stage="FINAL", amount_g=20_000 * TONNE, **settled),
        year.submit("credits", "offset", **credits_, project="wind", vintage=2015, count=9),
        year.submit(PLANT, "transfer", both, **sale, amount_g=30 * TONNE + 7),
        year.submit(PLANT, "transfer", both, **sale, amount_g=5 * TONNE),
        year.take_back(PLANT, 2, both),
        year.submit(VERIFIER, "verification", **about, **verified, **document),
        year.submit(VERIFIER, "reduction", **about, amount_g=3, description="lamps", **document),
        year.submit(PLANT, "retirement", **credits_, count=5, purpose="COMPLIANCE", year=2016),
        year.submit("works-co", "activity", **BILL),
        year.submit("works-co", "activity", **BILL | {"start": JUNE, "end": JUNE + JUNE - MAY - 86_400_000}),
        year.take_back("works-co", 1),
        year.submit(PLANT, "surrender", **about, lines=[{"vintage": 2016, "amount_g": 80 * TONNE}]),
        year.submit(EXCHANGE, "price", year=2016, month=12, price_fen_t=7_000),
    ]
    assert steps == [Refusal.PASS] * len(steps)
    refused = year.submit(PLANT, "transfer", both, **sale, amount_g=10**6 * TONNE)
    assert refused is Refusal.OVER_BALANCE
    book = year.books.book
    held = sum(map(sum, book.holdings("plant", 2016).values()))
    banked = book.banking_cap("plant", 2016)
    end = {"shortfall_g": 15 * TONNE, "banked_g": banked, "expired_g": held - banked, "net_sold_g": 30 * TONNE + 7}
    late = [
        year.submit(AUTHORITY, "closing", **about, **end, allowed=[]),
        year.submit(AUTHORITY, "decision", **contents.CONTENTS["decision"] | about),
        year.submit(PLANT, "transfer", both, **sale, amount_g=TONNE),
        year.meter(3, 2),
    ]
    assert late == [Refusal.PASS] * 4
    return year


def test_the_pipeline_and_the_export_agree_to_the_gram(tmp_path: Path) -> None:
    year = whole()
    reader = LedgerReader(Follower(year.world.genesis))
    for offset, (topic, key, value) in enumerate(one for package in year.store.kept for one in messages_of(package)):
        if topic == topics.LEDGER_PAYLOADS:
            reader.offer_payload(key, value, offset)
        elif topic == topics.LEDGER_BLOCKS:
            reader.offer_block(value, offset)
    books = Books(year.world.genesis.utc_offset_minutes)
    for block in reader.ready():
        post_block(books, block, year.world.registry)
    books.audit()
    assert to_file(tmp_path / "export", year.store.kept) == 22
    found = accounts.table((tmp_path / "export").read_bytes(), year.world.genesis.utc_offset_minutes)
    ours = {one.account: (one.subject, one.debit_g, one.credit_g) for one in books}
    theirs = {row.account: (row.subject, row.debit, row.credit) for row in found.itertuples()}
    assert theirs == ours
    kinds = {one.kind for one in books}
    assert kinds >= {"emissions", "corrections", "banked", "expired", "shortfall", "traded", "retired", "fines"}
    assert (
        sum(one.balance for one in books if one.kind in ("emissions", "corrections") and one.subject == "plant")
        == (year.ledger.balances["plant"])
    )
