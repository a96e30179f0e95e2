"""View emissions: source, gas and scope in SQL are those of the emission model; what was taken back is not there."""

import json
from typing import Any

from carbon.emission import RULES, told

STATED = [*(name.replace("_", " ") for name in RULES), "market-based electricity", "unheard of"]


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
