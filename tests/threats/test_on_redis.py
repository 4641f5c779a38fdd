"""Contents of Redis, and the effects of a Redis that lost its data or is full."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import redis

from tests.support.processes import GatewayProcess, ask, make_gateway
from tests.support.processes import authgw as run

pytestmark = pytest.mark.alone

KIDS = [
    "../../../../etc/passwd", "/dev/null", "secrets/keys/a", "a1' OR '1'='1", "a1; DROP TABLE keys",
    "authgw:kid:x", "*", "a1\r\nFLUSHALL\r\n", "a1\n*1\r\n$8\r\nFLUSHALL\r\n", "${jndi:ldap://x}",
    "%2e%2e%2fkeys", "", "a" * 1000, "\u0000", "\ud83d\ude00", "__class__", "a1\u0000.pem",
]  # fmt: skip  # rows of a table
MARK = "Zq9kidmark"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[GatewayProcess]:
    made = make_gateway(
        tmp_path_factory.mktemp("on-redis") / "gateway",
        AUTHGW_CACHE__URL=redis_url.replace("/0", "/7"),
    )
    assert run(made.folder, "key", "init").returncode == 0
    made.start()
    made.wait_until_ready()
    yield made
    made.stop()


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url.replace("/0", "/7"))
    yield client
    client.config_set("maxmemory", 0)
    client.close()


def check(gateway: GatewayProcess, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return ask(gateway.port, "GET", "/authenticate", bearer).status


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@contextmanager
def listening(server: redis.Redis) -> Iterator[list[str]]:
    """Every command that Redis gets meanwhile."""
    heard: list[str] = []
    with server.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis-py's gap

        def listen() -> None:
            for command in monitor.listen():
                heard.append(command["command"])
                if MARK in command["command"] and "ECHO" in command["command"]:
                    return

        listener = Thread(target=listen)
        listener.start()
        yield heard
        server.echo(MARK)
        listener.join(10)
        assert not listener.is_alive()


def test_no_kid_reaches_redis(gateway: GatewayProcess, server: redis.Redis) -> None:
    access = gateway.login(1)["access"]
    _, claims, signature = access.split(".")
    with listening(server) as heard:
        for kid in KIDS:
            head = b64({"alg": "ES256", "typ": "at+jwt", "kid": f"{MARK}{kid}"})
            forged = f"{head}.{claims}.{signature}"
            assert check(gateway, forged) == 401, kid
            answer = ask(gateway.port, "POST", "/refresh", body={"refresh": forged})
            assert answer.status == 401, kid
    assert heard
    assert not [command for command in heard[:-1] if MARK in command]
    assert check(gateway, access) == 200


def test_a_redis_that_lost_everything_brings_nothing_back(
    gateway: GatewayProcess, server: redis.Redis
) -> None:
    ended, alive = gateway.login(2), gateway.login(2)
    bearer = {"Authorization": f"Bearer {ended['access']}"}
    assert ask(gateway.port, "POST", "/logout", bearer).status == 200
    assert check(gateway, alive["access"]) == 200
    server.flushdb()
    deadline = time.monotonic() + 10
    while check(gateway, alive["access"]) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for pair in (ended, alive):
        assert check(gateway, pair["access"]) == 401
        answer = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
        assert answer.status == 401
    assert check(gateway, gateway.login(2)["access"]) == 200


def test_a_full_redis_loses_nothing(gateway: GatewayProcess, server: redis.Redis) -> None:
    pair = gateway.login(3)
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert check(gateway, pair["access"]) == 200
    server.config_set("maxmemory", 1)
    login = ask(gateway.port, "POST", "/login", gateway.basic, {"user_id": 3})
    refresh = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
    assert (login.status, refresh.status) == (503, 503)
    assert int(login.headers["Retry-After"]) >= 1
    assert check(gateway, pair["access"]) in (200, 503)
    assert ask(gateway.port, "GET", "/healthz").status == 200
    server.config_set("maxmemory", 0)
    again = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
    assert again.status == 200
    assert check(gateway, pair["access"]) == 200
    assert ask(gateway.port, "POST", "/logout", bearer).status == 200
