"""The bytes that a subscriber gets: a CloudEvent in JSON, and the headers of Standard Webhooks that sign it.

CloudEvents 1.0 JSON format (structured mode); Standard Webhooks 1.0: the signature is HMAC-SHA256 over
`<webhook-id>.<webhook-timestamp>.<body>`, one for each secret that is valid.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from standardwebhooks import Webhook

from sinks.webhooks.notices import Notice

TYPE = "carbonledger.alert."
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


class Event(NamedTuple):
    """What is delivered: `id` is the webhook-id of every attempt, `key` in whose order it goes out."""

    id: str
    kind: str
    key: str
    body: bytes


def event_of(notice: Notice, source: str) -> Event:
    """The event of a notice. Its id is a function of what is told, so what is made again is the same event."""
    alert = notice.alert
    told = f"{notice.state}\n{alert['id']}\n{notice.count if notice.state == 'reminder' else ''}"
    # no full stop: it separates the parts that are signed
    id_ = f"evt_{sha256(told.encode()).hexdigest()[:32]}"
    figures = {figure["name"]: figure["value"] for figure in alert["figures"]}
    if notice.state == "summary":
        figures = {"alerts": [figure["value"] for figure in alert["figures"]]}
    data = {"state": notice.state, "severity": alert["severity"], "worst": notice.worst, "count": notice.count}
    data |= {"key": notice.key, "alert": alert["id"], "text": alert["text"], "figures": figures}
    data |= {name: alert[name] for name in ("subject", "point", "height", "code", "proof")}
    data["since"] = None if alert["since"] is None else iso(alert["since"])
    event = {"specversion": "1.0", "id": id_, "source": source, "type": TYPE + alert["kind"], "time": iso(alert["at"])}
    event |= {"subject": alert["subject"]} if alert["subject"] else {}
    event |= {"datacontenttype": "application/json", "data": data}
    return Event(id_, alert["kind"], notice.key, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())


def iso(at: int) -> str:
    """Unix ms as RFC 3339, UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def headers(event: str, body: bytes, secrets: Sequence[str], now: int) -> dict[str, str]:
    """The headers of one attempt, signed with every valid secret (`whsec_…`), the newest first. `now`: Unix ms."""
    at, text = datetime.fromtimestamp(now // 1000, UTC), body.decode()
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": "carbonledger-webhooks/1",
        "webhook-id": event,
        "webhook-timestamp": str(now // 1000),
        "webhook-signature": " ".join(Webhook(secret).sign(event, at, text) for secret in secrets),
    }
