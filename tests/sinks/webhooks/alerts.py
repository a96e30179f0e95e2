"""Alerts and notices for the tests."""

from typing import Any

from carbon.alert import alert
from sinks.webhooks.notices import Notice

AT = 1_767_225_600_000


def told(number: int, key: str = "coverage/p", **more: Any) -> dict[str, Any]:
    """Alert number `number` of a key."""
    about = {"key": key, "subject": "plant-a", "severity": "warning", "kind": "coverage"} | more
    kind, severity = about.pop("kind"), about.pop("severity")
    return alert(f"{key}#{number}", kind, severity, AT + number, f"number {number}", **about)


def notice(number: int = 1, state: str = "opened", **more: Any) -> Notice:
    """A notice of the alert of that number."""
    one = told(number, **more)
    return Notice(state, one, one["severity"])
