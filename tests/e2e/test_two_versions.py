"""The previous version and this version on one Redis, as during an upgrade and a rollback."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from redis import Redis

from tests.support.previous_version import PreviousGateway, unpack_previous_version
from tests.support.processes import (
    ISSUED,
    GatewayProcess,
    ask,
    free_port,
    make_gateway,
    prepare,
    wait_until_ready,
)
from tests.support.users import PASSWORD

pytestmark = pytest.mark.alone

HOST = "auth.example.com"
CONFIG = f"login: {{url: 'https://{HOST}/login'}}\nauth: {{direct_check: true}}\n"
COOKIE = re.compile(r"(__Host-authgw=[^;]+)")
# Seconds: an announcement each 10 s notices another replica, and that it has left.
PATIENCE = 12


@dataclass
class Issued:
    """Credentials that a login issued: tokens of a backend's session, and a session cookie."""

    access: str
    refresh: str
    cookie: str


@dataclass
class TwoVersions:
    """A gateway of each version with the same folder, on the same Redis."""

    old: PreviousGateway
    new: GatewayProcess
    redis: "Redis"

    def records(self) -> list[bytes]:
        keys: Any = self.redis.keys("authgw:*:s:*")
        return [self.redis.get(key) for key in keys]  # type: ignore[misc]  # of the sync client


@pytest.fixture
def versions(tmp_path: Path, redis_url: str) -> Iterator[TwoVersions]:
    new = make_gateway(tmp_path / "gateway", AUTHGW_CACHE__URL=redis_url)
    (new.folder / "config.yml").write_text(CONFIG)
    prepare(new.folder, "key", "init")
    ISSUED.add(PASSWORD)
    prepare(new.folder, "user", "add", "alice", "--password-stdin", stdin=f"{PASSWORD}\n")
    code = unpack_previous_version(tmp_path)
    old = PreviousGateway(new.folder, free_port(), dict(new.environ), code=code)
    client = Redis.from_url(redis_url)
    client.flushall()
    yield TwoVersions(old, new, client)
    client.close()
    for gateway in (old, new):
        gateway.kill()


def issued_by(gateway: GatewayProcess) -> Issued:
    pair = gateway.login(7)
    return Issued(pair["access"], pair["refresh"], cookie_of_login(gateway))


def cookie_of_login(gateway: GatewayProcess) -> str:
    page = ask(gateway.port, "GET", "/login", {"Host": HOST, "Accept": "text/html"})
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode()))
    form = {name: unescape(value) for name, value in fields.items()}
    sent = {
        "Host": HOST,
        "Cookie": page.headers["Set-Cookie"].partition(";")[0],
        "Origin": f"https://{HOST}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode({**form, "username": "alice", "password": PASSWORD}).encode()
    answer = ask(gateway.port, "POST", "/login", sent, body)
    match = COOKIE.search(answer.headers.get("Set-Cookie", ""))
    assert match, answer
    ISSUED.add(match[1].partition("=")[2])
    return match[1]


def check(gateway: GatewayProcess, token: str) -> int:
    sent = {"Cookie": token} if "=" in token else {"Authorization": f"Bearer {token}"}
    return ask(gateway.port, "GET", "/authenticate", {"Host": HOST, **sent}).status


def refresh(gateway: GatewayProcess, token: str) -> Any:
    answer = ask(gateway.port, "POST", "/refresh", {}, {"refresh": token})
    return answer.json()["refresh"] if answer.status == 200 else answer.status


def accepts_all(gateway: GatewayProcess, issued: Issued) -> None:
    assert check(gateway, issued.access) == check(gateway, issued.cookie) == 200, gateway.log
    issued.refresh = refresh(gateway, issued.refresh)
    assert isinstance(issued.refresh, str), issued.refresh


def is_compact(gateway: GatewayProcess) -> bool:
    return "~" in jwt.get_unverified_header(gateway.login(8)["refresh"])["kid"]


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def race(token: str, *gateways: GatewayProcess) -> set[Any]:
    """Refresh a token 20 times at once; return the `jti` of the tokens that succeed it."""
    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(refresh, gateways[n % len(gateways)], token) for n in range(20)]
        texts = [call.result() for call in calls]
    options: Any = {"verify_signature": False}
    return {jwt.decode(text, options=options)["jti"] for text in texts}


def test_an_upgrade_and_a_rollback(versions: TwoVersions) -> None:
    old, new = versions.old, versions.new
    old.start()
    wait_until_ready(old)
    before = issued_by(old)
    new.start()
    wait_until_ready(new)

    # While both run, each accepts all that either issues, and only the previous forms are stored.
    assert not is_compact(new)
    during = issued_by(new)
    for issued in (before, during):
        for gateway in (old, new, old):
            accepts_all(gateway, issued)
    assert all(record.startswith(b"{") for record in versions.records())
    assert len(race(new.login(9)["refresh"], old, new)) == 1

    # Once the previous version has left, the new forms are issued, and old ones stay valid.
    assert old.stop() == 0
    wait_until(lambda: is_compact(new))
    after = issued_by(new)
    assert "~session" in jwt.get_unverified_header(after.cookie.partition("=")[2])["kid"]
    for issued in (before, during, after):
        accepts_all(new, issued)
    assert "~refresh" in jwt.get_unverified_header(before.refresh)["kid"]
    assert any(record.startswith(b"[") for record in versions.records())

    # A replica of the previous version joins: it refuses what it cannot read and issues its own.
    stored = len(versions.records())
    old.start()
    wait_until_ready(old)
    own = issued_by(old)
    assert check(old, after.cookie) == refresh(old, after.refresh) == 401
    assert check(old, after.access) == 503
    wait_until(lambda: not is_compact(new))
    later = issued_by(new)
    for issued in (own, later):
        for gateway in (new, old, new):
            accepts_all(gateway, issued)
    # Nothing was lost: this version still accepts it, and a refresh makes it readable for both.
    accepts_all(new, after)
    accepts_all(old, Issued(after.access, after.refresh, own.cookie))
    assert check(new, after.cookie) == 200
    assert len(versions.records()) > stored
    for gateway in (old, new):
        assert "Traceback" not in gateway.log


def test_both_versions_end_sessions_of_either_form(versions: TwoVersions) -> None:
    old, new = versions.old, versions.new
    new.start()
    wait_until_ready(new)
    assert is_compact(new)
    stored = len(versions.records())
    compact = [new.login(5) for _ in range(2)]
    old.start()
    wait_until_ready(old)
    plain = old.login(5)
    # A logout everywhere on the previous version ends sessions whose records it cannot read.
    sent = {"Authorization": f"Bearer {plain['access']}"}
    assert ask(old.port, "POST", "/logout", sent, {"all": True}).status in (200, 204)
    for pair in (*compact, plain):
        assert check(old, pair["access"]) == check(new, pair["access"]) == 401
    assert len(versions.records()) == stored
