"""Alert rules for Grafana: each is one number of the tables, and the bound above which somebody is told."""

from dataclasses import dataclass
from typing import Any

from dashboards.grafana import DATASOURCE, FOLDER, PLUGIN_VERSION, TABLE

EXPRESSION = "__expr__"
EVERY, LOOKS_BACK_SECONDS = "1m", 3_600


@dataclass(frozen=True)
class Rule:
    """A rule: `sql` gives one number, and above `bound` for as long as `lasts` the rule fires."""

    uid: str
    title: str
    sql: str
    bound: float
    lasts: str
    severity: str
    summary: str
    board: str


RULES = (
    Rule(
        "cl-evidence",
        "Evidence against a member of the committee",
        "SELECT count() AS deeds FROM alerts WHERE severity = 'critical' AND kind IN "
        "('two_pre_prepares', 'two_prepares', 'two_commits', 'two_verdicts', 'fork')",
        0,
        "0s",
        "critical",
        "A member signed two things of which an honest one signs one: `carbonledger evidence list` shows both.",
        "cl-committee",
    ),
    Rule(
        "cl-used-up",
        "Allowances are used up, or will be within 30 days",
        "SELECT countIf(levels['balance_short'] IN ('critical', 'used up')) AS subjects FROM "
        "(SELECT * FROM forecasts ORDER BY at DESC LIMIT 1 BY subject)",
        0,
        "0s",
        "warning",
        "Some subject's balance is at the level critical or used up: the region's dashboard shows whose.",
        "cl-region",
    ),
    Rule(
        "cl-sink-errors",
        "The sink could not take a message",
        "SELECT count() AS errors FROM sink_errors",
        0,
        "0s",
        "warning",
        "Each such message is in table sink_errors with its place and the reason.",
        "cl-health",
    ),
    Rule(
        "cl-forged",
        "Messages with a wrong signature",
        "SELECT count() AS messages FROM rejections WHERE reason = 'wrong_signature'",
        0,
        "0s",
        "warning",
        "Somebody sends packets in a gateway's name without its key, or a gateway has another key than the registry.",
        "cl-quality",
    ),
    Rule(
        "cl-blocks-late",
        "No block for an hour",
        "SELECT if((SELECT any(clock) FROM channels) = 'live', dateDiff('second', max(time), now64(3)), 0) AS seconds "
        "FROM blocks",
        3_600,
        "5m",
        "critical",
        "The newest block in the tables is older than an hour: the committee stands still, or the sink is behind.",
        "cl-committee",
    ),
)


def provisioned(rules: tuple[Rule, ...] = RULES) -> dict[str, Any]:
    """The rules as a provisioning file has them, in one group of the product's folder."""
    group = {"orgId": 1, "name": "Carbon ledger", "folder": "Carbon ledger", "interval": EVERY}
    return {"apiVersion": 1, "groups": [group | {"rules": [_rule(rule) for rule in rules]}]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "B",
        "data": [_query(rule), _threshold(rule)],
        "for": rule.lasts,
        "noDataState": "Alerting",
        "execErrState": "Error",
        "labels": {"severity": rule.severity, "product": FOLDER},
        "annotations": {"summary": rule.summary, "__dashboardUid__": rule.board},
    }


def _query(rule: Rule) -> dict[str, Any]:
    model: dict[str, Any] = {"refId": "A", "rawSql": rule.sql, "format": TABLE, "queryType": "table"}
    model |= {"datasource": DATASOURCE.to_json(), "editorType": "sql", "pluginVersion": PLUGIN_VERSION}
    span = {"from": LOOKS_BACK_SECONDS, "to": 0}
    return {"refId": "A", "datasourceUid": DATASOURCE.uid, "relativeTimeRange": span, "model": model}


def _threshold(rule: Rule) -> dict[str, Any]:
    condition = {"evaluator": {"type": "gt", "params": [rule.bound]}}
    source = {"type": EXPRESSION, "uid": EXPRESSION}
    model = {"refId": "B", "type": "threshold", "expression": "A", "datasource": source, "conditions": [condition]}
    return {"refId": "B", "datasourceUid": EXPRESSION, "model": model}
