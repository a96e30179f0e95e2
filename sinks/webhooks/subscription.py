"""Who is told what: subscriptions and silences, as the fold of the events that are kept of them.

| event | says |
| --- | --- |
| `added` | id, url, kinds, subjects, severity, secret 1 |
| `removed`, `enabled` | id |
| `disabled` | id and reason, by an operator or the dispatcher |
| `rotated` | id and the number of the new secret, and until when the old one also signs |
| `replayed` | id, and one event or all that were given up |
| `silenced`, `unsilenced` | id of the silence, kinds, subjects, keys, from, until, reason |

No event holds a secret. An empty list of kinds, subjects or keys means every one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from sinks.webhooks.notices import SEVERITIES, Alert, Notice, rank

Event = dict[str, Any]
OVERLAP_MS = 86_400_000
"""How long the old secret also signs after a rotation, unless told otherwise."""
URL_CHARACTERS = 2_000


class SubscriptionError(ValueError):
    """An event that can't be: an unusable URL, an unknown id."""


@dataclass(frozen=True)
class Subscription:
    """Where events go, and which. `secrets` are numbers of key files, each with the Unix ms until which it signs."""

    id: str
    url: str
    kinds: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    severity: str = "info"
    secrets: tuple[tuple[int, int | None], ...] = ((1, None),)
    disabled: str | None = None

    def wants(self, notice: Notice) -> bool:
        """Whether its subscriber is told of a notice."""
        alert = notice.alert
        return (
            rank(notice.worst) >= rank(self.severity)
            and (not self.kinds or alert["kind"] in self.kinds)
            and (not self.subjects or alert["subject"] in self.subjects)
        )

    def signing(self, now: int) -> list[int]:
        """The secrets that sign now, the newest first."""
        return [number for number, until in reversed(self.secrets) if until is None or now < until]


@dataclass(frozen=True)
class Silence:
    """What is not told between two instants, Unix ms."""

    kinds: frozenset[str]
    subjects: frozenset[str]
    keys: frozenset[str]
    start: int
    until: int
    reason: str

    def covers(self, alert: Alert, now: int) -> bool:
        """Whether it silences an alert now."""
        chosen = ((self.kinds, "kind"), (self.subjects, "subject"), (self.keys, "key"))
        return self.start <= now < self.until and all(not some or alert[name] in some for some, name in chosen)


@dataclass
class Register:
    """All subscriptions and silences after `applied` events."""

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    applied: int = 0

    def apply(self, event: Event) -> None:
        """Take in the next event. Raises SubscriptionError for one that can't follow."""
        check(event, self)
        match event["event"]:
            case "added":
                kinds, subjects = frozenset(event["kinds"]), frozenset(event["subjects"])
                added = Subscription(event["id"], event["url"], kinds, subjects, event["severity"])
                self.subscriptions[added.id] = added
            case "removed":
                del self.subscriptions[event["id"]]
            case "rotated":
                self._change(event, secrets=_rotated(self.subscriptions[event["id"]], event))
            case "disabled":
                self._change(event, disabled=event["reason"])
            case "enabled":
                self._change(event, disabled=None)
            case "silenced":
                kinds, subjects, keys = (frozenset(event[name]) for name in ("kinds", "subjects", "keys"))
                span = event["start"], event["until"]
                self.silences[event["id"]] = Silence(kinds, subjects, keys, *span, event["reason"])
            case "unsilenced":
                del self.silences[event["id"]]
        self.applied += 1

    def _change(self, event: Event, **fields: Any) -> None:
        self.subscriptions[event["id"]] = replace(self.subscriptions[event["id"]], **fields)

    def silenced(self, alert: Alert, now: int) -> bool:
        """Whether any silence covers an alert now."""
        return any(silence.covers(alert, now) for silence in self.silences.values())


def _rotated(subscription: Subscription, event: Event) -> tuple[tuple[int, int | None], ...]:
    """The secret before signs until the event's instant; one that was still on its way out is gone."""
    newest, _ = subscription.secrets[-1]
    return (newest, event["until"]), (event["secret"], None)


def check(event: Mapping[str, Any], register: Register) -> None:
    """Raises SubscriptionError for an event that can't follow."""
    name, id_ = event["event"], event["id"]
    if name == "added":
        check_url(event["url"])
        if event["severity"] not in SEVERITIES:
            raise SubscriptionError(f"severity is one of {', '.join(SEVERITIES)}")
        known = id_ not in register.subscriptions
    elif name == "silenced":
        if event["start"] >= event["until"]:
            raise SubscriptionError("a silence ends after it begins")
        known = id_ not in register.silences
    elif name == "unsilenced":
        known = id_ in register.silences
    elif name in ("removed", "rotated", "disabled", "enabled", "replayed"):
        known = id_ in register.subscriptions
    else:
        raise SubscriptionError(f"no such event: {name}")
    is_enabled = known and name in ("disabled", "enabled") and register.subscriptions[id_].disabled is None
    already = known and name in ("disabled", "enabled") and is_enabled == (name == "enabled")
    if already:
        raise SubscriptionError(f"{id_} is {name} already")
    if not known:
        raise SubscriptionError(
            f"{name}: {id_!r} is {'known already' if name in ('added', 'silenced') else 'not known'}"
        )


def check_url(url: str) -> None:
    """Whether something can be sent there: where it leads is vetted at each connection. Raises SubscriptionError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SubscriptionError(f"not a URL: {error}") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise SubscriptionError("a webhook's URL begins with https:// and names a host")
    if parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        raise SubscriptionError("a webhook's URL has no user, password or fragment: its secret signs")
    if len(url) > URL_CHARACTERS or not url.isascii() or any(character <= " " for character in url):
        raise SubscriptionError(f"a webhook's URL is of at most {URL_CHARACTERS} ASCII characters without blanks")


def fold(events: Iterable[Event]) -> Register:
    """The register after all events. Raises SubscriptionError."""
    register = Register()
    for event in events:
        register.apply(event)
    return register
