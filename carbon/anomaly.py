"""The name of an anomaly: its point, its kind, and when it was told. Verdicts on it name it for ever.

What finds anomalies is `streams.anomaly`; the ledger knows nothing of them but what people say.
"""

import re
from typing import NamedTuple

_RAISED = re.compile(r"anomaly/(.+)/([a-z_]+)/raised/(0|[1-9][0-9]{0,14})", re.ASCII)


class Raised(NamedTuple):
    """An anomaly that was raised at `at`, ms UTC."""

    point: str
    kind: str
    at: int


def key(point: str, kind: str) -> str:
    """What is the same of an anomaly when it is raised and when it is over."""
    return f"anomaly/{point}/{kind}"


def name(point: str, kind: str, at: int, *, resolved: bool) -> str:
    """The id under which it is told."""
    return f"{key(point, kind)}/{'resolved' if resolved else 'raised'}/{at}"


def raised(text: str) -> Raised | None:
    """The anomaly of an id under which one was raised; None for any other text."""
    match = _RAISED.fullmatch(text)
    return match and Raised(match[1], match[2], int(match[3]))
