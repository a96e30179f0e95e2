"""`carbonledger webhooks`: who is told of alerts, where, and what became of it."""

import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output, show

if TYPE_CHECKING:
    from sinks.webhooks.register import RegisterFolder

REFUSED = 1
LISTED = ("id", "host", "kinds", "subjects", "severity", "secrets", "disabled")
DELIVERED = ("subscription", "event", "kind", "key", "state", "attempt", "at", "status", "reason", "due")
SILENCED = ("id", "kinds", "subjects", "keys", "start", "until", "reason")
app = typer.Typer(no_args_is_help=True, help="Alerts by webhook: subscriptions, secrets, deliveries, silences.")

Id = Annotated[str, typer.Argument(metavar="ID", help="A subscription that `webhooks list` shows.")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Only alerts of this kind; may be repeated.")]
Subjects = Annotated[list[str] | None, typer.Option("--subject", help="Only alerts on this subject; may be repeated.")]


def _path() -> Path:
    from infra import processes, settings

    return settings.load().data / processes.STORES / processes.WEBHOOKS


def _folder() -> "RegisterFolder":
    from sinks.webhooks.register import RegisterFolder

    return RegisterFolder(_path())


def _now() -> int:
    return time.time_ns() // 1_000_000


def _append(event: str, id_: str, **fields: Any) -> None:
    """Keep an event. Exit code 1 when it can't follow those before it."""
    from sinks.webhooks.subscription import SubscriptionError

    try:
        _folder().append({"event": event, "id": id_, "at": _now(), **fields})
    except SubscriptionError as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(REFUSED) from error


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where events are posted, https://…")],
    kind: Kinds = None,
    subject: Subjects = None,
    severity: Annotated[str, typer.Option(help="The least: info, warning or critical.")] = "info",
) -> None:
    """Subscribe a URL to alerts from now on, and print its id and its secret, which is shown this once.

    The secret verifies what comes (docs/webhooks.md). Without --kind and --subject it is told of everything. An address
    that is not public is refused at delivery unless CARBONLEDGER_WEBHOOK_NETWORKS allows its network.

    \b
      carbonledger webhooks add https://example.org/alerts --severity warning
      carbonledger webhooks add https://example.org/alerts --kind balance_short --subject coal-north
    """
    id_ = f"sub-{secrets.token_hex(6)}"
    secret = _folder().new_secret(id_, 1)
    _append("added", id_, url=url, kinds=kind or [], subjects=subject or [], severity=severity)
    print(f"{id_} {secret}")


@app.command("list")
def listed(output: Output = Form.TABLE) -> None:
    """List the subscriptions: host, what they choose, how many secrets sign, why one is disabled.

    \b
      carbonledger webhooks list
    """
    from urllib.parse import urlsplit

    from sinks.webhooks.subscription import fold

    now = _now()
    show(
        (
            {
                "id": one.id,
                "host": urlsplit(one.url).netloc,
                "kinds": sorted(one.kinds),
                "subjects": sorted(one.subjects),
                "severity": one.severity,
                "secrets": len(one.signing(now)),
                "disabled": one.disabled,
            }
            for one in fold(_folder().events()).subscriptions.values()
        ),
        output,
        LISTED,
    )


@app.command()
def remove(subscription: Id) -> None:
    """End a subscription. What waits for it is dropped, and its secrets are removed.

    \b
      carbonledger webhooks remove sub-0123456789ab
    """
    _append("removed", subscription)


@app.command()
def rotate(
    subscription: Id,
    overlap: Annotated[float, typer.Option(min=0, help="Hours for which the old secret signs too.")] = 24.0,
) -> None:
    """Give a subscription a new secret, and print it. Until the overlap ends both sign, so a receiver can change over.

    \b
      carbonledger webhooks rotate sub-0123456789ab --overlap 2
    """
    # a number of its own for whoever rotates at the same time
    number = time.time_ns()
    secret = _folder().new_secret(subscription, number)
    _append("rotated", subscription, secret=number, until=_now() + int(overlap * 3_600_000))
    print(secret)


@app.command()
def enable(subscription: Id) -> None:
    """Deliver again to a subscription that was disabled. What it missed is given up until `replay`.

    \b
      carbonledger webhooks enable sub-0123456789ab
      carbonledger webhooks replay sub-0123456789ab
    """
    _append("enabled", subscription)


@app.command()
def disable(subscription: Id, reason: Annotated[str, typer.Option(help="Why.")] = "by the operator") -> None:
    """Deliver nothing more to a subscription until `enable`; what comes meanwhile can be replayed.

    \b
      carbonledger webhooks disable sub-0123456789ab --reason maintenance
    """
    _append("disabled", subscription, reason=reason)


@app.command()
def replay(
    subscription: Id,
    event: Annotated[str | None, typer.Option(help="One event, whatever became of it. Default: all given up.")] = None,
) -> None:
    """Send again what was given up, with the same ids, behind what waits now.

    \b
      carbonledger webhooks replay sub-0123456789ab
      carbonledger webhooks replay sub-0123456789ab --event evt_00112233445566778899aabbccddeeff
    """
    _append("replayed", subscription, of=event)


@app.command()
def deliveries(
    subscription: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only of this subscription.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or dead.")] = None,
    most: Annotated[int, typer.Option(help="How many, the newest first.")] = 50,
    output: Output = Form.TABLE,
) -> None:
    """Show what became of events: attempts, the last answer, when the next attempt is due. `dead` can be replayed.

    Each attempt also stands on the topic alerts.deliveries.

    \b
      carbonledger webhooks deliveries
      carbonledger webhooks deliveries sub-0123456789ab --state dead --output json
    """
    from sinks.webhooks import outbox

    rows = outbox.deliveries(_path() / outbox.FILE, subscription, state, most)
    times = ("at", "due")
    show((row | {name: _time(row[name]) for name in times} for row in rows), output, DELIVERED)


@app.command()
def silence(
    reason: Annotated[str, typer.Argument(help="Why, for those who wonder.")],
    hours: Annotated[float, typer.Option(min=0.01, help="For how long, from now on.")],
    kind: Kinds = None,
    subject: Subjects = None,
    key: Annotated[list[str] | None, typer.Option("--key", help="Only this key; may be repeated.")] = None,
) -> None:
    """Tell nobody of some alerts for a while, and print the silence's id. What still holds when it ends is told then.

    \b
      carbonledger webhooks silence "boiler overhaul" --hours 48 --subject coal-north --kind coverage
    """
    id_, now = f"silence-{secrets.token_hex(4)}", _now()
    chosen = {"kinds": kind or [], "subjects": subject or [], "keys": key or []}
    _append("silenced", id_, start=now, until=now + int(hours * 3_600_000), reason=reason, **chosen)
    print(id_)


@app.command()
def unsilence(name: Annotated[str, typer.Argument(metavar="ID", help="A silence that `silences` shows.")]) -> None:
    """End a silence before its time.

    \b
      carbonledger webhooks unsilence silence-01234567
    """
    _append("unsilenced", name)


@app.command()
def silences(output: Output = Form.TABLE) -> None:
    """List the silences that hold.

    \b
      carbonledger webhooks silences
    """
    from sinks.webhooks.subscription import fold

    rows = (
        {
            "id": name,
            "kinds": sorted(one.kinds),
            "subjects": sorted(one.subjects),
            "keys": sorted(one.keys),
            "start": _time(one.start),
            "until": _time(one.until),
            "reason": one.reason,
        }
        for name, one in fold(_folder().events()).silences.items()
        if _now() < one.until
    )
    show(rows, output, SILENCED)


def _time(at: int | None) -> str | None:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}" if at else None
