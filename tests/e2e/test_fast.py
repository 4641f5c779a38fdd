"""Caches return no outdated or foreign responses: the mirrors of two replicas, NGINX's cache."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from tests.support.nginx import NginxFront, running_site
from tests.support.processes import (
    GatewayProcess,
    HttpResponse,
    ask,
    two_replicas,
    wait_until_ready,
)

pytestmark = pytest.mark.alone

ORIGINAL = {
    "X-Original-URL": "http://app.example.com/",
    "X-Original-Host": "app.example.com",
    "X-Original-Method": "GET",
}


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    folder = tmp_path_factory.mktemp("mirrors") / "gateway"
    first, second = two_replicas(folder, f"{redis_url.removesuffix('/0')}/2")
    for gateway in (first, second):
        gateway.start()
        wait_until_ready(gateway)
    yield first, second
    first.stop()
    second.stop()


def status(gateway: GatewayProcess, access: str) -> int:
    bearer = {"Authorization": f"Bearer {access}"}
    return ask(gateway.port, "GET", "/authenticate", {**bearer, **ORIGINAL}).status


def until_refused(gateway: GatewayProcess, access: str) -> None:
    until = time.monotonic() + 5
    while status(gateway, access) == 200:
        assert time.monotonic() < until, "an ended session is still let in"
    for _ in range(20):
        assert status(gateway, access) == 401


@pytest.mark.parametrize("pushed", [True, False])
def test_a_logout_ends_the_session_on_the_other_replica(
    pair: tuple[GatewayProcess, GatewayProcess], redis_url: str, pushed: bool
) -> None:
    first, second = pair
    with Redis.from_url(redis_url) as redis:
        for _ in range(5):
            access = first.login()["access"]
            assert [status(second, access) for _ in range(5)] == [200] * 5
            if not pushed:
                redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            bearer = {"Authorization": f"Bearer {access}"}
            assert ask(first.port, "POST", "/logout", bearer).status == 200
            assert status(first, access) == 401
            until_refused(second, access)


def test_nginx_never_returns_a_cached_response_of_another_user(tmp_path: Path) -> None:
    for site in running_site(tmp_path):
        _keep_answers(site, tmp_path / "answers")
        tokens = {str(user): site.gateway.login(user)["access"] for user in (1, 2)}
        users = [*tokens] * 40
        with ThreadPoolExecutor(8) as pool:  # so that each of NGINX's workers receives requests
            answers = pool.map(partial(site.get, "/page"), [tokens[user] for user in users])
            assert [_received_user(answer) for answer in answers] == users
        for _ in range(20):
            assert site.get("/page").status == 401
            assert site.get("/page", "bad").status == 401
            assert site.get("/page", tokens["1"], Remote__User="2").status == 403
            assert site.get("/page", tokens["1"], Remote__Groups="0").status == 403
        site.gateway.stop()
        assert site.get("/page", tokens["1"]).status == 200, "it was kept"
        site.gateway.start()
        bearer = {"Authorization": f"Bearer {tokens['1']}"}
        assert ask(site.gateway.port, "POST", "/logout", bearer).status == 200
        until = time.monotonic() + 5
        while site.get("/page", tokens["1"]).status == 200:
            assert time.monotonic() < until, "an ended session is still let in"
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(partial(site.get, "/page"), [tokens["1"]] * 80)
            assert {answer.status for answer in answers} == {401}
        assert site.get("/page", tokens["2"]).status == 200


def _received_user(answer: HttpResponse) -> str:
    """Return the user in the identity headers that the app received."""
    assert answer.status == 200
    app_headers = {name.lower(): value for name, value in answer.json()["headers"]}
    return str(app_headers["remote-user"])


def _keep_answers(site: NginxFront, folder: Path) -> None:
    conf = site.folder / "conf"
    main, cache = conf / "nginx.conf", conf / "authgw" / "cache.conf"
    line = "    include authgw/http.conf;\n"
    assert line in main.read_text()
    main.write_text(main.read_text().replace(line, f"{line}    include authgw/cache.conf;\n"))
    cache_directory = str(site.folder / "answers")
    assert cache_directory in cache.read_text()
    cache.write_text(cache.read_text().replace(cache_directory, str(folder)))
    os.kill(int((site.folder / "nginx.pid").read_text()), signal.SIGHUP)
    time.sleep(1)
