"""The shipped year through contract, ledger and replay: the committee decides as the scenario's market does."""

from carbon import factors, registry
from carbon.refusal import Refusal
from consensus import batch as batches
from consensus import submission as submissions
from consensus.ledger import Ledger
from consensus.log import genesis as geneses
from consensus.state import State
from infra.compliance import cycle
from infra.compliance import scenario as scenarios
from infra.compliance.cycle import Year
from infra.compliance.market import registry_file, seed
from infra.verification import verify
from tests.consensus.aggregator import Evidence
from tests.consensus.test_ledger import MemoryStore
from tests.consensus.test_registration import Scene
from tests.small import HORIZON_MS, World, genesis_bytes

SCENARIO = scenarios.load(scenarios.shipped(2023))
TOO_MUCH = SCENARIO.trades[0].model_copy(update={"amount_t": 10**7})


class Committee(Scene):
    """A ledger of the scenario's channel, driven by hand."""

    def __init__(self) -> None:
        file = registry_file(SCENARIO)
        genesis = geneses.parse(genesis_bytes(file, utc_offset_minutes=SCENARIO.utc_offset_minutes))
        self.world = World(registry.parse(file, factors.load()), genesis)
        self.store = MemoryStore()
        self.ledger = Ledger(genesis, self.world.registry, self.store)
        self.evidence = Evidence(self.world)

    def decide(self, year: Year) -> list[Refusal]:
        """The verdict on each statement of a year, each in a block of its day."""
        sent: dict[str, int] = {}
        found = []
        for one in year.market.stated:
            self.time_ms, party = year.market.instant(one.day), one.submission.party
            sent[party] = number = sent.get(party, 0) + 1
            message = submissions.proposal([one.payload], party, seed(party), number, 0, self.world.channel)
            batch = batches.verify(message, self.ledger.registries, self.world.channel, 2_000)
            found += [refusal for refusal, _ in self.order(batch)]
        return found


def test_the_committee_decides_and_posts_the_same():
    committee = Committee()
    scenario = SCENARIO.model_copy(update={"trades": (TOO_MUCH, *SCENARIO.trades)})
    year = cycle.run(scenario, committee.world.channel)
    decided = committee.decide(year)
    assert decided == [one.refusal for one in year.market.stated]
    assert {refusal.label for refusal in decided} == {"pass", "over_balance"}
    book = State.load(committee.store.states[-1], HORIZON_MS).book
    assert sorted(book.lines()) == sorted(year.book.lines())
    report = verify(committee.world.genesis, committee.store.kept)
    assert (report.refused, report.height) == ("", len(decided))
