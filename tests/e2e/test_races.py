"""Two replicas on the same Redis: a single lineage, no revived session, no crossed responses."""

import asyncio
import base64
import contextlib
import json
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.processes import (
    GatewayProcess,
    ask,
    free_port,
    make_gateway,
    prepare,
    wait_until_ready,
)

pytestmark = pytest.mark.alone

TASKS, ROUNDS = 100, 200
ABORTED = 10_000


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Any:
    folder = tmp_path_factory.mktemp("replicas")
    # Tracing would slow the replicas until they miss the store's deadline under this load.
    first = make_gateway(folder / "a", AUTHGW_CACHE__URL=redis_url)
    first.covered = False
    prepare(first.folder, "key", "init")
    shutil.copytree(folder / "a", folder / "b")
    second = GatewayProcess(folder / "b", free_port(), first.environ, covered=False)
    first.start()
    second.start()
    for replica in (first, second):
        wait_until_ready(replica)
    yield first, second
    first.stop()
    second.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def post(
    client: aiohttp.ClientSession, gateway: GatewayProcess, path: str, **options: Any
) -> Any:
    async with client.post(f"http://127.0.0.1:{gateway.port}{path}", **options) as answer:
        return answer.status, await answer.text()


async def status(client: aiohttp.ClientSession, gateway: GatewayProcess, access: str) -> int:
    headers = {"Authorization": f"Bearer {access}"}
    url = f"http://127.0.0.1:{gateway.port}/authenticate"
    async with client.get(url, headers=headers) as answer:
        await answer.read()
        return answer.status


async def refuses(client: aiohttp.ClientSession, gateway: GatewayProcess, access: str) -> None:
    """Return as soon as the gateway refuses the token, at the latest after `max_staleness`."""
    for _ in range(100):
        if await status(client, gateway, access) == 401:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the revocation did not arrive within 1 s")


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return payload


@pytest.mark.timeout(240)
async def test_a_hundred_refresh_one_token_at_once(
    replicas: tuple[GatewayProcess, GatewayProcess], client: aiohttp.ClientSession
) -> None:
    pair = replicas[0].login(11)
    for number in range(ROUNDS):
        body = {"refresh": pair["refresh"]}
        answers = await asyncio.gather(
            *(post(client, replicas[task % 2], "/refresh", json=body) for task in range(TASKS))
        )
        assert {code for code, _ in answers} == {200}, f"round {number}"
        pairs = [json.loads(text) for _, text in answers]
        lineage = {
            (claims(refreshed["refresh"])["gen"], claims(refreshed["refresh"])["jti"])
            for refreshed in pairs
        }
        assert len(lineage) == 1, f"round {number}"
        assert next(iter(lineage))[0] == number + 1
        pair = random.choice(pairs)
    assert await status(client, replicas[1], pair["access"]) == 200


@pytest.mark.timeout(120)
async def test_a_logout_during_refreshes_leaves_no_active_session(
    replicas: tuple[GatewayProcess, GatewayProcess], client: aiohttp.ClientSession
) -> None:
    for number in range(100):
        pair = replicas[0].login(12)
        bearer = {"Authorization": f"Bearer {pair['access']}"}
        body = {"refresh": pair["refresh"]}
        calls = [
            post(client, replicas[0], "/refresh", json=body),
            post(client, replicas[1], "/logout", headers=bearer),
            post(client, replicas[1], "/refresh", json=body),
        ]
        random.shuffle(calls)
        answers = await asyncio.gather(*calls)
        assert all(code in (200, 401) for code, _ in answers)
        pairs = [json.loads(text) for code, text in answers if code == 200 and text]
        for old in [pair, *pairs]:
            # The replica that logged out refuses at once, the other when the message arrives.
            assert await status(client, replicas[1], old["access"]) == 401, f"round {number}"
            await refuses(client, replicas[0], old["access"])
            for replica in replicas:
                assert await status(client, replica, old["access"]) == 401, f"round {number}"
                again = {"refresh": old["refresh"]}
                assert (await post(client, replica, "/refresh", json=again))[0] == 401


async def hang_up(port: int, request: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await asyncio.sleep(random.random() * 0.004)
    writer.transport.abort()


async def check_forever(
    client: aiohttp.ClientSession,
    gateway: GatewayProcess,
    user_id: int,
    access: str,
    counts: list[int],
) -> None:
    headers = {"Authorization": f"Bearer {access}"}
    while True:
        url = f"http://127.0.0.1:{gateway.port}/authenticate"
        async with client.get(url, headers=headers) as answer:
            body = await answer.json()
            # A busy machine may miss the store's deadline, but it must never cross responses.
            assert answer.status in (200, 503), body
            if answer.status == 503:
                continue
            assert body["user_id"] == user_id
            assert answer.headers["Remote-User"] == str(user_id)
            counts[0] += 1


@pytest.mark.timeout(240)
async def test_aborted_requests_never_cross(
    replicas: tuple[GatewayProcess, GatewayProcess], client: aiohttp.ClientSession
) -> None:
    gateway, counts = replicas[0], [0]
    users = {number: gateway.login(number)["access"] for number in range(101, 109)}
    checkers = [
        asyncio.create_task(check_forever(client, gateway, number, access, counts))
        for number, access in users.items()
    ]
    requests = [
        f"GET /authenticate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {access}\r\n\r\n".encode()
        for access in users.values()
    ]
    for _ in range(ABORTED // 50):
        batch = (hang_up(gateway.port, random.choice(requests)) for _ in range(50))
        await asyncio.gather(*batch)
        assert not any(task.done() for task in checkers), [t for t in checkers if t.done()]
    for task in checkers:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert counts[0] > 100


async def test_a_session_ended_by_a_replica_is_refused_by_the_other(
    replicas: tuple[GatewayProcess, GatewayProcess], client: aiohttp.ClientSession
) -> None:
    pair = replicas[0].login(13)
    assert await status(client, replicas[1], pair["access"]) == 200
    assert (await post(client, replicas[0], "/logout", json={"refresh": pair["refresh"]}))[0] == 200
    # The push takes some milliseconds; without it the other replica would accept for a second.
    async with asyncio.timeout(0.5):
        while await status(client, replicas[1], pair["access"]) != 401:
            continue


def test_a_replica_with_a_different_key_never_signs(
    replicas: tuple[GatewayProcess, GatewayProcess], tmp_path: Path
) -> None:
    stranger = make_gateway(tmp_path / "stranger", **replicas[0].environ)
    prepare(stranger.folder, "key", "init")
    stranger.start()
    pair = replicas[0].login(14)
    ready = ask(stranger.port, "GET", "/readyz")
    assert ready.status == 503
    assert b"share the directory auth.keys" in ready.body
    login = ask(stranger.port, "POST", "/login", stranger.basic, {"user_id": 1})
    refresh = ask(stranger.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
    assert [response.json()["code"] for response in (login, refresh)] == ["keys_not_shared"] * 2
    stranger.stop()
    assert stranger.log.count(" ERROR ") == 1
    assert all(ask(replica.port, "GET", "/readyz").status == 200 for replica in replicas)
