"""The expected balances against the product's own rules, over packets as the gateways pack them."""

from collections import Counter, defaultdict

import pytest

from carbon import factors, registry, validation
from carbon.emission import emission_g
from carbon.packet import decode_body
from carbon.window import Run, aggregate, analyse, closing_span
from infra.demo import parameters, scenario
from infra.demo.parameters import Parameters
from streams.edge.packing import Head, next_body
from streams.edge.sources.simbench import FIRST_MS, SimbenchReplay
from tests.e2e.expected import balances

DAYS = 3


@pytest.fixture(scope="module")
def declared() -> Parameters:
    return parameters.load()


@pytest.fixture(scope="module")
def registered(declared: Parameters) -> registry.Registry:
    keys = {gateway: bytes(32) for gateway in [*declared.gateways, "intake"]}
    return registry.parse(scenario.registry_bytes(declared, keys, {}), factors.load())


class Ledger:
    """What the packets of all gateways come to by the closing rule: balances, refusals, coverage."""

    def __init__(self, declared: Parameters, registered: registry.Registry) -> None:
        self.declared, self.registered = declared, registered
        self.grams: dict[str, int] = defaultdict(int)
        self.rejected: Counter[str] = Counter()
        self.coverage: dict[tuple[str, int], int] = {}
        for gateway in declared.gateways:
            self._replay(gateway)

    def _replay(self, gateway: str) -> None:
        head, run, facts = Head(), Run(), []
        for block in SimbenchReplay(scenario.replay_settings(self.declared, gateway, DAYS)).blocks(""):
            body = next_body(head, block.readings, {}, gateway=gateway, run=1, sent_at=block.sent_at, salt=bytes(16))
            head = head.after(body)
            facts.append(analyse(decode_body(body), self.registered))
            run.append(facts[-1].packet)
            self.rejected.update(validation.Reason(reason).label for reason in facts[-1].reasons.tolist() if reason)
        limits, time = self.registered.limits, self.declared.time
        for point in self.registered.points_of[gateway]:
            for start in range(FIRST_MS, self.declared.end_ms(DAYS), point.window_seconds * 1000):
                end = start + point.window_seconds * 1000
                span = closing_span(run, start, end, time.lateness_seconds * 1000, limits.future_ms)
                assert span is not None, "the last packet must close the last window"
                window = aggregate((point.id, start), facts[span.first - 1 : span.last])
                self.rejected.update(dropped.reason.label for dropped in window.dropped)
                self.grams[point.subject] += emission_g(window.quantity, point.ratio)
                self.coverage[point.id, start] = window.count


@pytest.fixture(scope="module")
def ledger(declared: Parameters, registered: registry.Registry) -> Ledger:
    return Ledger(declared, registered)


def test_balances_are_equal_to_the_gram(ledger: Ledger) -> None:
    assert dict(ledger.grams) == balances(DAYS)


def test_each_bad_reading_is_refused_for_its_reason(ledger: Ledger, declared: Parameters) -> None:
    wanted = dict(scenario.expected(declared, DAYS).rejected)
    assert wanted.pop("wrong_signature") == len(declared.forged)
    assert dict(ledger.rejected) == wanted and min(wanted.values()) >= 2


def test_the_gap_is_the_only_coverage_below_one(ledger: Ledger, declared: Parameters) -> None:
    short = {key: count for key, count in ledger.coverage.items() if count < 4}
    assert {point for point, _ in short} == {declared.gap.point}
    assert list(short.values()) == [2, 0, 0, 3]
    assert sum(4 - count for count in short.values()) == scenario.expected(declared, DAYS).left_out


def test_the_gap_counts(declared: Parameters) -> None:
    import tomllib

    raw = tomllib.loads(parameters.FILE.read_text())
    with_gap = balances(DAYS, raw)
    raw["gap"]["until"] = raw["gap"]["from"]
    without = balances(DAYS, raw)
    differs = {subject for subject in without if without[subject] != with_gap[subject]}
    assert differs == {"cold-store"} and without["cold-store"] > with_gap["cold-store"]
