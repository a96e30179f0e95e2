"""An alert: something that somebody should know, or that is over. A value of schema alert, and how it travels.

`key` is the same in every alert on one trouble and in the one that says that it is over; a deed, which can't be over,
has its id for a key.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

TYPE = "carbonledger.alert."


def alert(id_: str, kind: str, severity: str, at: int, text: str, **more: Any) -> dict[str, Any]:
    """An alert. `at`: event time, ms UTC. `more`: key (default: the id), subject, point, height, code, proof, since,
    resolved, and figures by their names."""
    figures = [{"name": name, "value": str(value)} for name, value in more.pop("figures", {}).items()]
    fields = dict.fromkeys(("subject", "point", "height", "code", "since")) | {"key": id_, "resolved": False}
    fields |= {"id": id_, "kind": kind, "severity": severity, "at": at, "text": text, "figures": figures}
    fields |= more
    return fields | {"proof": more.get("proof") or proof_of(fields)}


def proof_of(alert: Mapping[str, Any]) -> str | None:
    """The command that shows the datum behind an alert with its proof; None where the ledger holds none."""
    if alert["code"]:
        return f"carbonledger prove {alert['code']}"
    if alert["id"].startswith("evidence/"):
        return f"carbonledger evidence export {alert['id']}"
    return None


def headers(alert: Mapping[str, Any], source: str) -> list[tuple[str, bytes]]:
    """The attributes of an alert as a CloudEvent: the Kafka binding's binary mode (CloudEvents 1.0.2, 3.2).

    `source`: the channel, as the origin of its checkpoints names it.
    """
    time = datetime.fromtimestamp(alert["at"] / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"specversion": "1.0", "id": alert["id"], "source": source, "type": TYPE + alert["kind"], "time": time}
    said |= {"subject": alert["subject"]} if alert["subject"] else {}
    return [("content-type", b"application/avro"), *((f"ce_{name}", text.encode()) for name, text in said.items())]
