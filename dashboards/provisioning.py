"""What Grafana reads at its start: the data source, where the dashboards are, and the alert rules."""

from typing import Any

import yaml

from dashboards import alerts
from dashboards.grafana import DATASOURCE, FOLDER

JSON_FOLDER = "/var/lib/grafana/carbonledger"
"""Where the dashboards' JSON is mounted in a container of Grafana."""
_NOTE = "# Made by `python -m dashboards`: change dashboards/ and make it again.\n"


def datasource() -> dict[str, Any]:
    """The data source. Grafana puts its own environment in place of what begins with a dollar."""
    settings = {
        "host": "$CLICKHOUSE_HOST",
        "port": "$CLICKHOUSE_PORT",
        "protocol": "http",
        "username": "$CLICKHOUSE_USER",
        "defaultDatabase": "carbon",
        "secure": False,
    }
    source = {"name": "Carbon ledger", "type": DATASOURCE.type_val, "uid": DATASOURCE.uid, "access": "proxy"}
    secret = {"password": "$CLICKHOUSE_PASSWORD"}
    return {"apiVersion": 1, "datasources": [source | {"jsonData": settings, "secureJsonData": secret}]}


def provider() -> dict[str, Any]:
    """The folder of dashboards: what is changed in Grafana is not kept, what else is there stays."""
    about = {"name": "Carbon ledger", "folder": "Carbon ledger", "folderUid": FOLDER, "type": "file", "orgId": 1}
    rules = {"disableDeletion": True, "allowUiUpdates": False, "updateIntervalSeconds": 60}
    return {"apiVersion": 1, "providers": [about | rules | {"options": {"path": JSON_FOLDER}}]}


def files() -> dict[str, str]:
    """Every provisioning file by its path below `provisioning/`."""
    told = {"datasources": datasource(), "dashboards": provider(), "alerting": alerts.provisioned()}
    return {f"{kind}/carbonledger.yaml": _NOTE + yaml.safe_dump(what, sort_keys=False) for kind, what in told.items()}
