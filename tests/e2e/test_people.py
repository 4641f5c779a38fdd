"""Users of the users file at real gateways: alarms, and counters that replicas share."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from tests.support.processes import (
    ISSUED,
    GatewayProcess,
    HttpResponse,
    ask,
    authgw,
    free_port,
    make_gateway,
    prepare,
    two_replicas,
    wait_until_ready,
)
from tests.support.users import PASSWORD


def add_user(gateway: GatewayProcess, name: str) -> None:
    ISSUED.add(PASSWORD)
    words = ("user", "add", name, "--password-stdin")
    prepare(gateway.folder, *words, stdin=f"{PASSWORD}\n")


def log_in(gateway: GatewayProcess, name: str, **more: str) -> int:
    body = {"username": name, "password": PASSWORD, **more}
    return ask(gateway.port, "POST", "/login", {}, body).status


def seen_by_app(gateway: GatewayProcess, credential: str) -> HttpResponse:
    """Return the response to a check with a credential."""
    headers = {
        "Authorization": f"Bearer {credential}",
        "X-Original-URL": "https://app.example.com/",
        "X-Original-Host": "app.example.com",
        "X-Original-Method": "GET",
    }
    return ask(gateway.port, "GET", "/authenticate", headers)


def metric(port: int, name: str) -> float:
    text = ask(port, "GET", "/metrics").body.decode()
    match = re.search(rf"^{name} ([0-9.]+)$", text, re.MULTILINE)
    assert match, text
    return float(match[1])


def wait_until(gateway: GatewayProcess, words: str) -> None:
    for _ in range(100):
        if words in gateway.log:
            return
        time.sleep(0.05)
    raise AssertionError(f"{words!r} is not in\n{gateway.log}")


def test_a_broken_users_file_keeps_the_users_and_raises_an_alarm(tmp_path: Path) -> None:
    metrics = free_port()
    gateway = make_gateway(tmp_path / "gateway", AUTHGW_METRICS__PORT=str(metrics))
    add_user(gateway, "alice")
    gateway.start()
    file = gateway.folder / "users.yml"
    good = file.read_text()
    try:
        assert log_in(gateway, "alice") == 200
        assert metric(metrics, "authgw_users_file_broken") == 0
        file.write_text(good.replace("argon2id", "argon2x"))
        wait_until(gateway, "The previous users stay active.")
        assert "users.yml:2: alice.password: " in gateway.log
        assert metric(metrics, "authgw_users_file_broken") == 1
        assert log_in(gateway, "alice") == 200
        file.write_text(good)
        wait_until(gateway, "The users file was reloaded.")
        assert metric(metrics, "authgw_users_file_broken") == 0
        assert ask(gateway.port, "GET", "/metrics").status == 404
    finally:
        gateway.stop()


def test_sessions_take_a_change_and_end_with_the_removal_of_their_user(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "gateway")
    for name in ("alice", "bob"):
        add_user(gateway, name)
    secret = prepare(gateway.folder, "user", "app-password", "alice", "--name", "x").strip()
    rules = "rules: [{allow: authenticated, credentials: [bearer, app-password]}]\n"
    (gateway.folder / "config.yml").write_text(rules)
    ISSUED.add(secret)
    gateway.start()
    try:
        body = {"username": "alice", "password": PASSWORD}
        pair = ask(gateway.port, "POST", "/login", {}, body).json()
        before = seen_by_app(gateway, pair["access"])
        assert (before.status, before.headers["Remote-User"]) == (200, "alice")
        assert before.headers["Remote-Groups"] == ""
        words = ("--groups", "staff,admins", "--email", "a@example.com")
        prepare(gateway.folder, "user", "set", "alice", *words)
        for _ in range(100):
            after = seen_by_app(gateway, pair["access"])
            if after.headers["Remote-Groups"]:
                break
            time.sleep(0.05)
        assert (after.status, after.headers["Remote-Groups"]) == (200, "staff,admins")
        assert after.headers["Remote-Email"] == "a@example.com"
        assert seen_by_app(gateway, secret).status == 200
        prepare(gateway.folder, "user", "remove", "alice", "--yes")
        for _ in range(100):
            if seen_by_app(gateway, pair["access"]).status == 401:
                break
            time.sleep(0.05)
        assert seen_by_app(gateway, pair["access"]).status == 401
        assert seen_by_app(gateway, secret).status == 401
        assert log_in(gateway, "alice") == 401
        # The file without any user is taken too.
        assert log_in(gateway, "bob") == 200
        prepare(gateway.folder, "user", "remove", "bob", "--yes")
        wait_until(gateway, "The users file was reloaded.")
        time.sleep(1)
        assert log_in(gateway, "bob") == 401
    finally:
        gateway.stop()


def test_a_broken_users_file_stops_the_start(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "gateway")
    (gateway.folder / "users.yml").write_text("alice: {password: x}\n")
    refused = authgw(gateway.folder, "serve", AUTHGW_SERVER__PORT=str(gateway.port))
    assert refused.returncode == 1
    assert "users.yml:1: alice" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_gateway_serves_without_its_metrics_port(tmp_path: Path) -> None:
    first = make_gateway(tmp_path / "first")
    second = make_gateway(tmp_path / "second")
    port = str(free_port())
    for gateway in (first, second):
        gateway.environ["AUTHGW_METRICS__PORT"] = port
        gateway.start()
    try:
        assert "metrics.port: cannot listen on" in second.log
        assert "metrics.port: cannot listen on" not in first.log
        assert ask(second.port, "GET", "/ping").status == 200
    finally:
        first.stop()
        second.stop()


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """Return two replicas on the same Redis, with the same users file."""
    folder = tmp_path_factory.mktemp("pair") / "gateway"
    first, second = two_replicas(folder, f"{redis_url.removesuffix('/0')}/1")
    add_user(first, "alice")
    add_user(first, "bob")
    for gateway in (first, second):
        gateway.start()
        wait_until_ready(gateway)
    yield first, second
    first.stop()
    second.stop()


def test_a_code_counts_once_on_all_replicas(pair: tuple[GatewayProcess, GatewayProcess]) -> None:
    first, second = pair
    result = authgw(first.folder, "user", "totp", "alice")
    secret = re.search(r"secret=([A-Z2-7]+)", result.stdout)
    assert secret
    recovery = re.findall(r"[0-9a-z]{4}(?:-[0-9a-z]{4}){3}", result.stdout)
    ISSUED.update([secret[1], *recovery])
    time.sleep(1.2)  # both have read the file
    code = pyotp.TOTP(secret[1]).now()
    assert log_in(first, "alice") == 401
    assert log_in(first, "alice", totp=code) == 200
    assert log_in(second, "alice", totp=code) == 401
    assert log_in(first, "alice", totp=code) == 401
    assert log_in(second, "alice", totp=recovery[0]) == 200
    # Removed from the file before the response, even if the other replica has not read it again.
    assert log_in(first, "alice", totp=recovery[0]) == 401


def test_wrong_passwords_are_counted_by_all_replicas_together(
    pair: tuple[GatewayProcess, GatewayProcess],
) -> None:
    first, second = pair
    wrong = {"username": "bob", "password": "wrong horse"}
    ports = [first.port, second.port] * 4
    statuses = [ask(port, "POST", "/login", {}, wrong).status for port in ports]
    assert statuses == [401] * 5 + [429] * 3
    answer = ask(second.port, "POST", "/login", {}, {**wrong, "password": PASSWORD})
    assert (answer.status, 0 < int(answer.headers["Retry-After"]) <= 300) == (429, True)
