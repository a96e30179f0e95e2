"""View emissions: source, gas and scope in SQL are those of the emission model; what was taken back is not there."""

import json
from collections.abc import Mapping
from typing import Any

from carbon.emission import RULES, told
from carbon.emission.figures import figures
from carbon.factors import load
from carbon.ledger.beside import Rates
from carbon.registry import Registry, parse
from carbon.submission import Submission, plain
from sinks.clickhouse.feed import RowBatch
from sinks.clickhouse.rates import RATES, row_of_bill, rows_of
from tests.small import registry_bytes

STATED = [*(name.replace("_", " ") for name in RULES), "unheard of"]


def bill(rule: str, emission_g: int) -> str:
    fields = [{"name": "factor", "value": "x"}, {"name": "rule", "value": rule}]
    return json.dumps(
        {"source": f"bill-{rule}", "start": 0, "end": 86_400_000, "rule": fields, "emission_g": emission_g}
    )


def insert(client: Any, table: str, **row: Any) -> None:
    values = ", ".join(f"{{{name}:{'Int64' if isinstance(value, int) else 'String'}}}" for name, value in row.items())
    client.command(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})", parameters=row)


def test_rules_have_the_source_gas_and_scope_of_the_model(client: Any) -> None:
    head = {"verdict": "accepted", "subject": "plant"}
    for number, name in enumerate(STATED):
        insert(
            client, "records", **head, point=name, version=1, rule=f"{name}: a · b", emission_g=number, height=number
        )
    insert(client, "records", **head, point="fuel", version=2, rule="fuel: a", emission_g=70, cause="SUBSTITUTED")
    for number, rule in enumerate(RULES, 1):
        filed = {"kind": "activity", "party": "shop-co", "number": number, "leaf_index": number}
        insert(client, "submissions_log", **head, **filed, content=bill(rule, number))
    back = {"kind": "reversal", "party": "shop-co", "number": 99, "leaf_index": 99}
    insert(client, "submissions_log", **head, **back, content=json.dumps({"number": 1}))
    found = {row[0]: row[1:] for row in client.query("SELECT point, source, gas, scope FROM emissions").result_rows}
    metered = {name: told(name) for name in STATED}
    billed = {f"bill-{name}": rule for name, rule in list(RULES.items())[1:]}
    assert found == {
        point: (rule.source, rule.gas, rule.scope) for point, rule in (metered | billed).items() if rule and rule.gas
    }
    newest = "SELECT emission_g, measured FROM emissions WHERE point = 'fuel'"
    assert client.query(newest).result_rows == [(70, 0)]


MARKET = {
    "rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023", "contracted": "0.4", "contract": "0",
    "residual": "grid_factors.CN.national_excl_traded_nonfossil.2023",
}  # fmt: skip


def stored(client: Any, registry: Registry, bill: Mapping[str, Any]) -> None:
    """The rates of a registry and a bill, and some records of its points, one of them by a tier."""
    rates = Rates()
    rates.learn(registry)
    filed = Submission("shop-co", 1, "activity", bill, b"", b"", ())
    batch = RowBatch("rates_log", RATES)
    batch.add([*rows_of(registry, rates), row_of_bill(filed, 7, rates)], "here")
    batch.flush(client)
    for number, (point, quantity) in enumerate((point, q) for point in registry.points.values() for q in QUANTITIES):
        row = {"point": point.id, "subject": point.subject, "window_start": number * 1000, "quantity": quantity}
        hour = ("", " · tier part75", " · stopped")[number % 3]
        by = {"rule": f"{point.rule}{hour}", "unit": point.unit, "scale": point.scale, "version": 1}
        grams = round(quantity * point.coefficient)
        insert(
            client, "records", verdict="accepted", factors=registry.factors.digest.hex(), emission_g=grams, **row, **by
        )
    content = json.dumps(plain(bill))
    head = {"verdict": "accepted", "subject": "shop", "kind": "activity", "party": "shop-co", "number": 1}
    insert(client, "submissions_log", **head, leaf_index=7, content=content)


QUANTITIES = (0, 1, 2, 3, 999_999, 1_000_000, 2**44 + 1, -1, -999_999)


def test_what_stands_beside_an_emission_is_what_the_rules_say_to_the_gram(client: Any) -> None:
    more = {"plant-0-1": {"emission": MARKET}, "plant-0-2": {"emission": {"rule": "none"}}}
    registry = parse(registry_bytes(points=3, more=more), load())
    fields = [{"name": name, "value": MARKET[name]} for name in sorted(MARKET)]
    bill = {"source": "grid", "start": 0, "end": 86_400_000, "quantity": 25, "scale": 1, "unit": "MWh"}
    bill |= {"rule": fields, "factors": registry.factors.digest, "emission_g": 1_326_500}
    stored(client, registry, bill)
    asked = "SELECT point, emission_g, standard_coal_g, location_based_g, market_based_g FROM emissions ORDER BY ALL"
    wanted = [("grid", 1_326_500, 307_250, 1_326_500, 914_400)]
    for point in ("plant-0-0", "plant-0-1"):
        rule = registry.points[point].emission
        for quantity in QUANTITIES:
            told = figures(quantity, 0, "Wh", rule, registry.factors)
            location = told.emission_g if rule.source == "electricity" else None
            wanted.append((point, told.emission_g, told.standard_coal_g, location, told.market_based_g))
    assert sorted(map(repr, client.query(asked).result_rows)) == sorted(map(repr, wanted))
