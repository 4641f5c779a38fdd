"""`authgw store copy`: nobody is logged out, and nobody who was logged out comes back."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.processes import (
    GatewayProcess,
    HttpResponse,
    ask,
    authgw,
    authgw_here,
    free_port,
    make_gateway,
    prepare,
)

EMBEDDED = "embedded:///var/authgw.db"


@pytest.fixture
def elsewhere(redis_url: str) -> str:
    """An empty database of the server that the other tests use too."""
    url = redis_url.removesuffix("0") + "5"
    Redis.from_url(url).flushdb()
    return url


def copy(folder: Path, source: str, target: str, *more: str) -> str:
    done = authgw(folder, "store", "copy", source, target, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, *words: str, **environ: str) -> str:
    done = authgw_here(folder, "store", "copy", *words, **environ)
    assert done.exit_code in (1, 2), done.output
    assert isinstance(done.exception, SystemExit)
    return done.stderr


def check(gateway: GatewayProcess, pair: dict[str, str]) -> int:
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    return ask(gateway.port, "GET", "/authenticate", bearer).status


def refresh(gateway: GatewayProcess, pair: dict[str, str]) -> HttpResponse:
    return ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})


def idle_ends(folder: Path) -> dict[str, float]:
    with sqlite3.connect(folder / "var" / "authgw.db") as database:
        return dict(database.execute("SELECT sid, idle_end FROM sessions").fetchall())


def moved(gateway: GatewayProcess, url: str) -> GatewayProcess:
    """The same gateway, keys and all, on another store."""
    return GatewayProcess(gateway.folder, free_port(), {"AUTHGW_CACHE__URL": url})


def forget_replicas(url: str) -> None:
    """As if the replicas had been stopped for half a minute."""
    Redis.from_url(url).delete("authgw:replicas")


def test_from_the_file_to_redis_and_back(gateway: GatewayProcess, elsewhere: str) -> None:
    pairs = [gateway.login(1), gateway.login(2**53 + 1), gateway.login(1, groups=["a"])]
    rotated = refresh(gateway, pairs[0]).json()
    gone = gateway.login(3)
    bearer = {"Authorization": f"Bearer {gone['access']}"}
    assert ask(gateway.port, "POST", "/logout", bearer).status == 200
    assert "is held by pid" in refused(gateway.folder, EMBEDDED, elsewhere)
    gateway.stop()
    before = idle_ends(gateway.folder)

    assert "Copied 3 sessions." in copy(gateway.folder, EMBEDDED, elsewhere)
    client = Redis.from_url(elsewhere)
    for sid, end in before.items():
        left = client.pttl(f"authgw:{{{sid[:22]}}}:s:{sid}")
        assert isinstance(left, int)
        assert time.time() + left / 1000 == pytest.approx(end, abs=1)
    assert idle_ends(gateway.folder) == before

    on_redis = moved(gateway, elsewhere)
    on_redis.start()
    on_redis.wait_until_ready()
    assert [check(on_redis, pair) for pair in (rotated, *pairs, gone)] == [200, 200, 200, 200, 401]
    again = refresh(on_redis, rotated)
    assert again.status == 200
    # A parent whose successor was used is reuse there too.
    assert refresh(on_redis, pairs[0]).json()["code"] == "refresh_reused"
    assert refresh(on_redis, pairs[1]).status == 200
    assert "replicas run on this Redis: stop them" in refused(
        gateway.folder, elsewhere, "embedded:///var/back.db"
    )
    on_redis.stop()
    forget_replicas(elsewhere)

    if os.geteuid() == 0:
        os.chown(gateway.folder / "var", 4711, 4712)
    assert "Copied 2 sessions." in copy(gateway.folder, elsewhere, "embedded:///var/back.db")
    owners = {path.stat().st_uid for path in (gateway.folder / "var").glob("back.db*")}
    assert owners == {(gateway.folder / "var").stat().st_uid}
    back = moved(gateway, "embedded:///var/back.db")
    back.start()
    assert [check(back, pair) for pair in (again.json(), pairs[1], pairs[2])] == [401, 200, 200]
    back.stop()


def test_a_copy_that_broke_off_is_gone_on_with(gateway: GatewayProcess, elsewhere: str) -> None:
    pairs = [gateway.login(number) for number in range(1, 4)]
    gateway.stop()
    copy(gateway.folder, EMBEDDED, elsewhere)
    client = Redis.from_url(elsewhere)
    sid = pairs[1]["sid"]
    client.delete(f"authgw:{{{sid[:22]}}}:s:{sid}", f"authgw:{{{sid[:22]}}}:i")
    assert "TO holds sessions" in refused(gateway.folder, EMBEDDED, elsewhere)
    assert "Copied 1 sessions, 2 were there already." in copy(
        gateway.folder, EMBEDDED, elsewhere, "--resume"
    )
    on_redis = moved(gateway, elsewhere)
    on_redis.start()
    on_redis.wait_until_ready()
    assert [check(on_redis, pair) for pair in pairs] == [200, 200, 200]
    on_redis.stop()
    forget_replicas(elsewhere)


def test_from_one_redis_to_another(tmp_path: Path, redis_url: str, elsewhere: str) -> None:
    first = redis_url.removesuffix("0") + "6"
    Redis.from_url(first).flushdb()
    gateway = make_gateway(tmp_path / "redis", AUTHGW_CACHE__URL=first)
    prepare(gateway.folder, "key", "init")
    gateway.start()
    gateway.wait_until_ready()
    pairs = [gateway.login(1) for _ in range(3)]
    gateway.stop()
    forget_replicas(first)
    assert "Copied 3 sessions." in copy(gateway.folder, first, elsewhere)
    index = f"authgw:{{{pairs[0]['sid'][:22]}}}:i"
    there: list[Any] = [
        Redis.from_url(url).zrange(index, 0, -1, withscores=True) for url in (first, elsewhere)
    ]
    assert there[0] == there[1]
    assert [sid.decode() for sid, _ in there[1]] == [pair["sid"] for pair in pairs]


def test_what_cannot_be_copied(tmp_path: Path, elsewhere: str) -> None:
    assert "is not there" in refused(tmp_path, EMBEDDED, elsewhere)
    assert not (tmp_path / "var").exists()
    assert "the same store" in refused(tmp_path, elsewhere, elsewhere)
    assert "mysql: is not a store" in refused(tmp_path, "mysql://u:hush@h/0", elsewhere)
    assert "hush" not in refused(tmp_path, "mysql://u:hush@h/0", elsewhere)
    assert "ends with this command" in refused(tmp_path, "embedded://memory", elsewhere)
    away = refused(tmp_path, "redis://127.0.0.1:1/0", elsewhere)
    assert "broke off after 0 sessions (Redis: " in away
    assert "run it again with --resume" in away
