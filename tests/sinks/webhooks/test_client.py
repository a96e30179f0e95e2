"""The HTTP client against real sockets, and against names that lead where they must not."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web

from sinks.webhooks import client
from sinks.webhooks.addresses import networks
from sinks.webhooks.client import RESPONSE_BYTES, Endpoint
from sinks.webhooks.plan import Answer
from tests.sinks.webhooks.receiver import Answerer, Receiver, receiving, status

LOOPBACK = networks("127.0.0.0/8")


def posted(url: str, allowed: Any = LOOPBACK) -> Answer:
    """One attempt, in a loop of its own."""

    async def post() -> Answer:
        endpoint = Endpoint(url, allowed)
        try:
            return await endpoint.post({"webhook-id": "evt_1"}, b"{}")
        finally:
            await endpoint.close()

    return asyncio.run(post())


def answered(answer: Answerer, path: str = "here", times: int = 1) -> tuple[list[Answer], Receiver]:
    """What the client makes of a receiver's answer."""

    async def ask() -> tuple[list[Answer], Receiver]:
        async with receiving() as receiver:
            receiver.answer[path] = answer
            endpoint = Endpoint(f"{receiver.url}/{path}", LOOPBACK)
            try:
                return [await endpoint.post({"webhook-id": "evt_1"}, b"{}") for _ in range(times)], receiver
            finally:
                await endpoint.close()

    return asyncio.run(ask())


def test_a_status_is_an_answer_and_the_wish_to_wait_is_heard() -> None:
    (answer,), receiver = answered(status(503, **{"Retry-After": "7"}))
    assert (answer.status, answer.retry_after_ms, answer.reason) == (503, 7_000, None)
    assert receiver.got["here"][0].headers["webhook-id"] == "evt_1"
    (dated,), _ = answered(status(503, **{"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}))
    assert dated.retry_after_ms == 0


def test_a_redirect_is_not_followed() -> None:
    (answer,), receiver = answered(status(307, Location="/elsewhere"))
    assert answer.status == 307
    assert "elsewhere" not in receiver.got


def test_a_large_answer_is_not_read_to_its_end_and_cookies_are_not_kept() -> None:
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Set-Cookie": "a=b"})
        await response.prepare(request)
        for _ in range(4_000):
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    answers, receiver = answered(pour, times=2)
    assert [answer.status for answer in answers] == [200, 200]
    assert sent < 500 * RESPONSE_BYTES
    assert all("Cookie" not in request.headers for request in receiver.got["here"])


def test_a_body_that_never_ends_does_not_hold_up_what_its_status_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BODY_SECONDS", 0.05)
    release = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await response.write(b"x")
        await release.wait()
        return response

    (answer,), _ = answered(drip)
    assert (answer.status, answer.reason) == (202, None)


def test_no_answer_in_time_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    (answer,), _ = answered(hang)
    assert (answer.status, answer.reason) == (None, "timeout")


def test_a_closed_port_is_a_failed_connection() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert posted(f"http://127.0.0.1:{free.getsockname()[1]}/").reason == "connection"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/", "https://127.0.0.1:9/", "http://[::1]:9/", "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a9fe:a9fe]/", "https://169.254.169.254/latest/meta-data/", "http://localhost:9/",
        "https://[fe80::1]/", "https://[2002:7f00:1::]/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(url: str) -> None:
    assert posted(url, ()).reason == "refused_address"


@pytest.mark.parametrize("url", ["https://2130706433/", "https://127.1/", "https://0x7f000001/", "https://0177.0.0.1/"])
def test_an_address_in_a_strange_writing_is_no_way_around(url: str) -> None:
    assert posted(url, ()).status is None


def test_a_name_is_resolved_once_for_a_connection_and_each_of_its_addresses_vetted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    answers = [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"]]

    async def ask() -> list[Answer]:
        async with receiving() as receiver:
            port = int(receiver.url.rpartition(":")[2])

            def resolve(host: str, number: int, *_: Any) -> list[Any]:
                asked.append(host)
                found = answers[min(len(asked), len(answers)) - 1]
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, number)) for address in found]

            monkeypatch.setattr(client.socket, "getaddrinfo", resolve)
            found = []
            for _ in range(2):
                endpoint = Endpoint(f"http://rebinding.example:{port}/x", LOOPBACK)
                found.append(await endpoint.post({}, b"{}"))
                await endpoint.close()
            assert receiver.got["x"][0].headers["Host"] == f"rebinding.example:{port}"
            return found

    first, second = asyncio.run(ask())
    assert asked == ["rebinding.example"] * 2
    assert (first.status, first.reason) == (204, None)
    assert (second.status, second.reason) == (None, "refused_address")


def test_a_name_that_takes_for_ever_to_resolve_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    release = threading.Event()
    monkeypatch.setattr(client.socket, "getaddrinfo", lambda *_: release.wait(30) and [])
    asked = posted("https://slow.example/")
    release.set()
    assert asked.reason == "timeout"
