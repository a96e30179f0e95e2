"""From alerts to what subscribers get, over a real receiver and a topic in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from schemas import topics
from schemas.metrics import LAG
from sinks.webhooks import delivery, plan
from sinks.webhooks.outbox import FILE, deliveries
from sinks.webhooks.register import RegisterFolder
from tests.sinks.webhooks.alerts import AT, told
from tests.sinks.webhooks.dispatching import Topic, dispatching, subscribe, until
from tests.sinks.webhooks.receiver import Receiver, receiving, status


def bodies(receiver: Receiver, path: str) -> list[Any]:
    return [json.loads(request.body) for request in receiver.got[path]]


def rows(folder: Path, **chosen: Any) -> list[dict[str, Any]]:
    found = list(deliveries(folder / FILE, None, None, 10_000))
    return [row for row in found if all(row[name] == value for name, value in chosen.items())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "webhooks"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without a wait."""
    monkeypatch.setattr(plan, "FIRST_PAUSE_MS", 1)
    monkeypatch.setattr(plan, "LONGEST_PAUSE_MS", 4)


def test_what_is_wanted_comes_signed_and_is_on_record(folder: Path) -> None:
    topic = Topic()

    async def run() -> Receiver:
        async with receiving() as receiver:
            subscribe(folder, "other", f"{receiver.url}/other", subjects=["plant-b"])
            subscribe(folder, "kinds", f"{receiver.url}/kinds", kinds=["clock"])
            subscribe(folder, "grave", f"{receiver.url}/grave", severity="critical")
            secret = subscribe(folder, "all", f"{receiver.url}/all")
            topic.put([told(1, code="99.1/x", figures={"readings": 3}), told(2, "clock/p", kind="clock")])
            async with dispatching(folder, topic) as dispatcher:
                await receiver.until("all", 2)
                await receiver.until("kinds", 1)
                await until(lambda: len(topic.deliveries()) == 3)
                assert (LAG, 0, (topics.ALERTS,)) in list(dispatcher.figures())
            for request in receiver.got["all"]:
                Webhook(secret).verify(request.body, request.headers)
                with pytest.raises(WebhookVerificationError):
                    Webhook(secret).verify(request.body + b" ", request.headers)
            return receiver

    receiver = asyncio.run(run())
    assert not receiver.got["other"] and not receiver.got["grave"]
    first = next(body for body in bodies(receiver, "all") if body["type"] == "carbonledger.alert.coverage")
    assert (first["specversion"], first["source"], first["subject"]) == ("1.0", "carbonledger/test/0", "plant-a")
    assert first["data"]["proof"] == "carbonledger prove 99.1/x"
    assert first["data"]["figures"] == {"readings": "3"}
    assert {(one["subscription"], one["outcome"], one["attempt"]) for one in topic.deliveries()} == {
        ("all", "delivered", 1),
        ("kinds", "delivered", 1),
    }
    assert topic.committed == 2


def test_a_failed_delivery_is_tried_again_with_the_same_id_and_the_next_of_its_key_waits(
    folder: Path, quick: None
) -> None:
    topic = Topic()

    async def run() -> Receiver:
        async with receiving() as receiver:
            subscribe(folder, "sub", f"{receiver.url}/sub")
            left = 3

            async def answer(request: web.Request) -> web.Response:
                nonlocal left
                left -= 1
                return web.Response(status=500 if left >= 0 else 200)

            receiver.answer["sub"] = answer
            topic.put([told(1, severity="info"), told(2), told(3, severity="critical")])
            async with dispatching(folder, topic):
                await receiver.until("sub", 6)
                await until(lambda: len(topic.deliveries()) == 6)
            return receiver

    receiver = asyncio.run(run())
    ids = [request.headers["webhook-id"] for request in receiver.got["sub"]]
    assert ids[:4] == [ids[0]] * 4
    assert len(set(ids)) == 3
    assert [body["data"]["alert"] for body in bodies(receiver, "sub")[3:]] == [f"coverage/p#{n}" for n in (1, 2, 3)]
    told_of = topic.deliveries()
    assert [(one["attempt"], one["outcome"], one["status"]) for one in told_of[:4]] == [
        (1, "failed", 500),
        (2, "failed", 500),
        (3, "failed", 500),
        (4, "delivered", 200),
    ]
    assert {one["event"] for one in told_of} == set(ids)


def test_what_is_given_up_can_be_replayed_with_its_id(
    folder: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "GIVE_UP_MS", 20)
    topic = Topic()

    async def run() -> Receiver:
        async with receiving() as receiver:
            subscribe(folder, "sub", f"{receiver.url}/sub")
            receiver.answer["sub"] = status(500)
            topic.put([told(1)])
            async with dispatching(folder, topic):
                await until(lambda: any(one["outcome"] == "dead" for one in topic.deliveries()))
                del receiver.answer["sub"]
                before = len(receiver.got["sub"])
                assert rows(folder, state="dead")
                RegisterFolder(folder).append({"event": "replayed", "id": "sub", "of": None, "at": AT})
                await receiver.until("sub", before + 1)
                await until(lambda: topic.deliveries()[-1]["outcome"] == "delivered")
            assert len({request.headers["webhook-id"] for request in receiver.got["sub"]}) == 1
            assert topic.deliveries()[-1]["attempt"] == before + 1
            return receiver

    asyncio.run(run())
    assert [row["state"] for row in rows(folder)] == ["delivered"]


def test_one_that_hangs_delays_no_other(folder: Path) -> None:
    topic, release = Topic(), asyncio.Event()

    async def run() -> None:
        async with receiving() as receiver:

            async def hang(request: web.Request) -> web.Response:
                await release.wait()
                return web.Response()

            receiver.answer["dead"] = hang
            for name in ("dead", "alive"):
                subscribe(folder, name, f"{receiver.url}/{name}")
            topic.put(told(n, f"coverage/{n}") for n in range(200))
            async with dispatching(folder, topic):
                await receiver.until("alive", 200)
                assert len(receiver.got["dead"]) == plan.AT_ONCE
                release.set()
                await receiver.until("dead", 200)

    asyncio.run(run())


def test_both_secrets_sign_until_the_overlap_ends(folder: Path) -> None:
    topic = Topic()

    async def run() -> None:
        async with receiving() as receiver:
            old = subscribe(folder, "sub", f"{receiver.url}/sub")
            register = RegisterFolder(folder)
            new = register.new_secret("sub", 7)
            until_ms = delivery.now_ms() + 3_600_000
            register.append({"event": "rotated", "id": "sub", "secret": 7, "until": until_ms, "at": AT})
            topic.put([told(1)])
            async with dispatching(folder, topic):
                (request,) = await receiver.until("sub", 1)
                for secret in (old, new):
                    Webhook(secret).verify(request.body, request.headers)
                newest = register.new_secret("sub", 8)
                register.append({"event": "rotated", "id": "sub", "secret": 8, "until": AT, "at": AT})
                await until(lambda: dispatcher_signs(topic, register))
                topic.put([told(2, "coverage/q")])
                request = (await receiver.until("sub", 2))[1]
                Webhook(newest).verify(request.body, request.headers)
                for secret in (old, new):
                    with pytest.raises(WebhookVerificationError):
                        Webhook(secret).verify(request.body, request.headers)

    def dispatcher_signs(topic: Topic, register: RegisterFolder) -> bool:
        from sinks.webhooks.outbox import Outbox

        return Outbox(folder / FILE).place[1] == len(register.events())

    asyncio.run(run())


def test_who_fails_too_long_is_disabled_with_a_notice_and_goes_on_when_enabled(
    folder: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "DISABLE_MS", 50)
    topic = Topic()

    async def run() -> Receiver:
        async with receiving() as receiver:
            subscribe(folder, "bad", f"{receiver.url}/bad?token=hidden")
            subscribe(folder, "good", f"{receiver.url}/good", kinds=["webhook_disabled"])
            receiver.answer["bad"] = status(500)
            topic.put([told(1), told(2, severity="critical")])
            async with dispatching(folder, topic):
                await receiver.until("good", 1)
                assert {row["state"] for row in rows(folder, subscription="bad")} == {"dead"}
                topic.put([told(3, "coverage/q")])
                await until(lambda: len(rows(folder, subscription="bad", state="dead")) >= 3)
                del receiver.answer["bad"]
                before = len(receiver.got["bad"])
                for event in ("enabled", "replayed"):
                    RegisterFolder(folder).append({"event": event, "id": "bad", "of": None, "at": AT + 9})
                await receiver.until("good", 2)
                await receiver.until("bad", before + 3)
            return receiver

    receiver = asyncio.run(run())
    notices = bodies(receiver, "good")
    assert [one["data"]["state"] for one in notices] == ["opened", "resolved"]
    assert all("hidden" not in json.dumps(one) for one in notices)


def test_what_is_gone_is_disabled_at_once(folder: Path) -> None:
    topic = Topic()

    async def run() -> None:
        async with receiving() as receiver:
            subscribe(folder, "sub", f"{receiver.url}/sub")
            receiver.answer["sub"] = status(410)
            topic.put([told(1)])
            async with dispatching(folder, topic):
                await until(lambda: any(kind == "alerts" for kind, _, _ in topic.sent))
            assert len(receiver.got["sub"]) == 1

    asyncio.run(run())


def test_a_dispatcher_goes_on_where_it_stood_and_sends_nothing_twice(folder: Path) -> None:
    topic = Topic()

    async def run() -> None:
        async with receiving() as receiver:
            subscribe(folder, "sub", f"{receiver.url}/sub")
            topic.put([told(1), told(2, "coverage/q")])
            async with dispatching(folder, topic):
                await receiver.until("sub", 2)
            topic.put([told(1), told(3), told(4, "coverage/r")])
            async with dispatching(folder, topic):
                await receiver.until("sub", 3)
                await until(lambda: topic.committed == 5)
            assert [body["data"]["alert"] for body in bodies(receiver, "sub")][-1] == "coverage/r#4"
            assert len(receiver.got["sub"]) == 3

    asyncio.run(run())


def test_a_removed_subscription_gets_nothing_more_and_its_secret_is_gone(folder: Path) -> None:
    topic = Topic()

    async def run() -> None:
        async with receiving() as receiver:
            for name in ("kept", "gone"):
                subscribe(folder, name, f"{receiver.url}/{name}")
            RegisterFolder(folder).append({"event": "removed", "id": "gone", "at": AT})
            topic.put([told(1)])
            async with dispatching(folder, topic):
                await receiver.until("kept", 1)
            assert not receiver.got["gone"]

    asyncio.run(run())
    assert [path.name for path in (folder / "secrets").iterdir()] == ["kept.1"]


def test_a_secret_that_others_can_read_signs_nothing(folder: Path, quick: None) -> None:
    topic = Topic()

    async def run() -> None:
        async with receiving() as receiver:
            subscribe(folder, "sub", f"{receiver.url}/sub")
            path = folder / "secrets" / "sub.1"
            assert path.stat().st_mode & 0o777 == 0o600
            path.chmod(0o644)
            topic.put([told(1)])
            async with dispatching(folder, topic):
                await until(lambda: topic.deliveries() != [])
                assert (topic.deliveries()[0]["reason"], receiver.got["sub"]) == ("secret", [])
                path.chmod(0o600)
                await receiver.until("sub", 1)

    asyncio.run(run())
