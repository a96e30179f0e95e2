"""The register: what may follow what, who is told, which secrets sign, and what is on disk."""

from pathlib import Path
from typing import Any

import pytest

from sinks.webhooks.register import RegisterFolder
from sinks.webhooks.subscription import Register, SubscriptionError, check_url, fold
from tests.sinks.webhooks.alerts import AT, notice, told


def added(id_: str = "s", **more: Any) -> dict[str, Any]:
    about = {"url": "https://example.org/a", "kinds": [], "subjects": [], "severity": "info"}
    return {"event": "added", "id": id_, "at": AT} | about | more


def event(name: str, id_: str = "s", **more: Any) -> dict[str, Any]:
    return {"event": name, "id": id_, "at": AT} | more


def silenced(id_: str = "q", **more: Any) -> dict[str, Any]:
    about = {"kinds": [], "subjects": [], "keys": [], "start": AT, "until": AT + 100, "reason": "r"}
    return event("silenced", id_, **(about | more))


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, True),
        ({"kinds": ["coverage"]}, True),
        ({"kinds": ["clock"]}, False),
        ({"subjects": ["plant-a", "plant-b"]}, True),
        ({"subjects": ["plant-b"]}, False),
        ({"severity": "warning"}, True),
        ({"severity": "critical"}, False),
        ({"kinds": ["coverage"], "subjects": ["plant-b"]}, False),
    ],
)
def test_whoever_chose_it_is_told(chosen: dict[str, Any], wanted: bool) -> None:
    assert fold([added(**chosen)]).subscriptions["s"].wants(notice()) is wanted


def test_who_heard_of_a_trouble_hears_of_its_end() -> None:
    from sinks.webhooks.notices import Notice

    over = Notice("resolved", told(2, severity="info", resolved=True), "critical")
    assert fold([added(severity="critical")]).subscriptions["s"].wants(over)


def test_two_secrets_sign_until_the_overlap_ends_and_never_three() -> None:
    register = fold([added(), event("rotated", secret=5, until=AT + 100)])
    assert register.subscriptions["s"].signing(AT + 99) == [5, 1]
    assert register.subscriptions["s"].signing(AT + 100) == [5]
    register.apply(event("rotated", secret=6, until=AT + 200))
    assert register.subscriptions["s"].signing(AT) == [6, 5]


@pytest.mark.parametrize(
    ("before", "then", "why"),
    [
        ([], event("removed"), "not known"),
        ([added()], added(), "known already"),
        ([], added(severity="grave"), "severity is one of"),
        ([added(), event("removed")], event("enabled"), "not known"),
        ([added()], event("enabled"), "enabled already"),
        ([added(), event("disabled", reason="x")], event("disabled", reason="y"), "disabled already"),
        ([], silenced(until=AT), "after it begins"),
        ([], event("unsilenced", "q"), "not known"),
        ([added()], event("forgotten"), "no such event"),
    ],
)
def test_what_can_not_follow_is_refused(before: list[Any], then: dict[str, Any], why: str) -> None:
    register = fold(before)
    with pytest.raises(SubscriptionError, match=why):
        register.apply(then)
    assert register.applied == len(before)


def test_a_subscription_can_be_disabled_and_enabled_again() -> None:
    register = fold([added(), event("disabled", reason="tired")])
    assert register.subscriptions["s"].disabled == "tired"
    register.apply(event("enabled"))
    assert register.subscriptions["s"].disabled is None


@pytest.mark.parametrize(
    ("chosen", "alert", "now", "covered"),
    [
        ({}, told(1), AT, True),
        ({}, told(1), AT - 1, False),
        ({}, told(1), AT + 100, False),
        ({"keys": ["coverage/p"], "subjects": ["plant-a"]}, told(1), AT, True),
        ({"keys": ["coverage/p"], "subjects": ["plant-b"]}, told(1), AT, False),
        ({"kinds": ["clock"]}, told(1), AT, False),
    ],
)
def test_a_silence_covers_what_it_names_while_it_holds(
    chosen: dict[str, Any], alert: dict[str, Any], now: int, covered: bool
) -> None:
    assert fold([silenced(**chosen)]).silenced(alert, now) is covered
    assert not fold([silenced(**chosen), event("unsilenced", "q")]).silenced(alert, now)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/", "https://", "https:///x", "example.org", "https://user@example.org/", "https://a:b@example.org",
        "https://example.org/#x", "https://example.org:99999/", "https://example.org:0/", "https://[::1/",
        "https://example.org/a b", "https://exämple.org/", "https://example.org/" + "x" * 2_000, "javascript:alert(1)",
        "https://example.org/\r\nx: y",
    ],
)  # fmt: skip
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(SubscriptionError):
        check_url(url)


def test_events_are_kept_for_their_owner_alone_and_an_unfinished_line_is_cut_off(tmp_path: Path) -> None:
    folder = RegisterFolder(tmp_path / "webhooks")
    assert folder.events() == []
    folder.append(added())
    path = tmp_path / "webhooks" / "subscriptions.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("ab") as file:
        file.write(b'{"event": "remo')
    assert folder.events() == [added()]
    with pytest.raises(SubscriptionError):
        folder.append(added())
    folder.append(event("removed"))
    assert folder.events() == [added(), event("removed")]
    assert isinstance(folder.append(added("t")), Register)


def test_a_secret_is_its_owners_alone_and_in_no_event(tmp_path: Path) -> None:
    folder = RegisterFolder(tmp_path / "webhooks")
    secret = folder.new_secret("s", 1)
    folder.append(added())
    assert folder.secret("s", 1) == secret
    assert secret.startswith("whsec_")
    assert secret not in (tmp_path / "webhooks" / "subscriptions.jsonl").read_text()
    path = tmp_path / "webhooks" / "secrets" / "s.1"
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="others can read"):
        folder.secret("s", 1)
    with pytest.raises(FileExistsError):
        folder.new_secret("s", 1)
