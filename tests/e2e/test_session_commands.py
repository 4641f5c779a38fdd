"""`authgw session` next to running gateways: on a file that a gateway has locked, and on Redis."""

import json
import os
import re
import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authgw.core.sessions import subject_hash
from tests.support.processes import (
    GatewayProcess,
    ask,
    authgw,
    authgw_here,
    make_gateway,
    two_replicas,
)

pytestmark = pytest.mark.alone

STALENESS = 1.0  # seconds, cache.max_staleness
BUSY = 4.0  # seconds of tolerance for a busy machine


def revoked(gateway: GatewayProcess, *arguments: str) -> str:
    """Return the output of the real command, which also writes to a log."""
    done = authgw(gateway.folder, "session", "revoke", *arguments, **gateway.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stdout_of(gateway: GatewayProcess, *arguments: str) -> str:
    done = authgw_here(gateway.folder, "session", *arguments, **gateway.environ)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(gateway: GatewayProcess, *arguments: str, status: int = 1) -> str:
    done = authgw_here(gateway.folder, "session", *arguments, **gateway.environ)
    assert done.exit_code == status, done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr


def listed(gateway: GatewayProcess, *arguments: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(stdout_of(gateway, "list", "--json", *arguments))
    return rows


def status_of(gateway: GatewayProcess, access: str) -> int:
    return ask(gateway.port, "GET", "/authenticate", {"Authorization": f"Bearer {access}"}).status


def wait_until_refused(gateway: GatewayProcess, access: str) -> float:
    started = time.monotonic()
    while status_of(gateway, access) == 200:
        assert time.monotonic() - started < STALENESS + BUSY
        time.sleep(0.02)
    assert status_of(gateway, access) == 401
    return time.monotonic() - started


def test_sessions_are_listed_while_a_gateway_locks_the_file(gateway: GatewayProcess) -> None:
    pairs = [gateway.login(1), gateway.login(2), gateway.login(1)]
    shown = stdout_of(gateway, "list").splitlines()
    assert shown[0].split()[:2] == ["SID", "CREATED"]
    assert [line.split()[0] for line in shown[1:]] == [pair["sid"] for pair in pairs]
    mine = listed(gateway, "--user", "1")
    assert [session["sid"] for session in mine] == [pairs[0]["sid"], pairs[2]["sid"]]
    assert {session["source"] for session in mine} == {"client:demo"}
    assert mine == [session for session in listed(gateway) if session["sub"] == "1"]
    last_used, end = (datetime.fromisoformat(mine[0][name]) for name in ("last_used_at", "ends_at"))
    assert abs((last_used - datetime.now(UTC)).total_seconds()) < 30
    assert end - last_used == timedelta(hours=24)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine[0]["created_at"])
    for pair in pairs:
        assert pair["refresh"] not in json.dumps(listed(gateway))
    assert stdout_of(gateway, "list", "--user", "3").count("\n") == 1


def test_a_session_is_revoked_while_a_gateway_locks_the_file(gateway: GatewayProcess) -> None:
    stays, goes = gateway.login(1), gateway.login(1)
    # Mirrored, so that only a new read shows the revocation.
    assert {status_of(gateway, pair["access"]) for pair in (stays, goes)} == {200}
    done = authgw(gateway.folder, "session", "revoke", goes["sid"])
    assert (done.returncode, done.stdout[:7]) == (0, "Ended 1")
    assert f"event=revoke user.name=1 authgw.sid={goes['sid']} authgw.command=" in done.stderr
    wait_until_refused(gateway, goes["access"])
    assert ask(gateway.port, "POST", "/refresh", body={"refresh": goes["refresh"]}).status == 401
    assert status_of(gateway, stays["access"]) == 200
    assert "no such session" in refused(gateway, "revoke", goes["sid"])
    assert [session["sid"] for session in listed(gateway)] == [stays["sid"]]
    files = (gateway.folder / "var").iterdir()
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_revoking_does_not_affect_other_sessions(gateway: GatewayProcess) -> None:
    """Two processes write to the file without disturbing each other."""
    wrong: list[int] = []
    over = threading.Event()

    def refresh_on_and_on(pair: dict[str, str]) -> None:
        while not over.is_set():
            answer = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
            if answer.status != 200:
                wrong.append(answer.status)
                return
            pair = answer.json()

    others = [gateway.login(100 + n) for n in range(4)]
    threads = [threading.Thread(target=refresh_on_and_on, args=(pair,)) for pair in others]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert gateway.login(1)["sid"]
            assert revoked(gateway, "--user", "1").startswith("Ended 1")
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []
    assert len(listed(gateway)) == len(others)


def test_every_replica_on_redis_refuses_a_revoked_session(tmp_path: Path, redis_url: str) -> None:
    first, second = two_replicas(tmp_path / "pair", redis_url.removesuffix("0") + "4")
    for replica in (first, second):
        replica.start()
        replica.wait_until_ready()
    try:
        pairs = [first.login(7), second.login(7), first.login(8)]
        assert {status_of(second, pair["access"]) for pair in pairs} == {200}
        assert {session["sid"] for session in listed(first)} == {pair["sid"] for pair in pairs}
        assert revoked(first, "--user", "7").startswith("Ended 2")
        for replica in (first, second):
            for pair in pairs[:2]:
                wait_until_refused(replica, pair["access"])
            assert status_of(replica, pairs[2]["access"]) == 200
        assert "no such session" in refused(first, "revoke", "--user", "7")
    finally:
        first.stop()
        second.stop()
    first.environ["AUTHGW_CACHE__URL"] = "redis://127.0.0.1:1/0"
    away = refused(first, "list")
    assert "Error: cannot reach the session store (Redis: " in away


def sid_begins(text: str, sub: int) -> bool:
    return subject_hash(str(sub)).startswith(text)


@pytest.mark.parametrize("text", ["-", "--", "-h"])
def test_a_sid_may_look_like_an_option(gateway: GatewayProcess, text: str) -> None:
    sub = next(number for number in range(1, 100_000) if sid_begins(text, number))
    assert revoked(gateway, gateway.login(sub)["sid"]).startswith("Ended 1")


def test_refusals_of_unreadable_stores(tmp_path: Path) -> None:
    nothing = make_gateway(tmp_path / "nothing")
    assert "no gateway has stored sessions" in refused(nothing, "list")
    assert "SID (see `authgw session list`) or --user" in refused(nothing, "revoke", status=2)
    assert "or --user" in refused(nothing, "revoke", "x", "--user", "y", status=2)
    memory = make_gateway(tmp_path / "memory", AUTHGW_CACHE__URL="embedded://memory")
    assert "POST /revoke" in refused(memory, "revoke", "--user", "1")
    (nothing.folder / "var").mkdir()
    (nothing.folder / "var" / "authgw.db").write_text("this is no database, but a long text" * 99)
    assert "not a database" in refused(nothing, "list")
    assert not os.path.exists(nothing.folder / "var" / "authgw.db.lock")
