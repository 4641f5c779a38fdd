"""`authgw doctor` on real installations: one that is well, and what can be wrong with it."""

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.support.processes import (
    Gateway,
    authgw,
    authgw_here,
    free_port,
    make_gateway,
    prepare,
    two_replicas,
)
from tests.support.redis import wait_for_redis

NOBODY = 65534


@pytest.fixture
def alone(tmp_path: Path) -> Gateway:
    """A folder with a configuration of its own ports, nothing running."""
    made = make_gateway(tmp_path / "alone")
    made.environ |= {
        "AUTHGW_SERVER__PORT": str(made.port),
        "AUTHGW_METRICS__PORT": str(free_port()),
    }
    return made


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """A server that a test may set as it likes."""
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_redis(port, tmp_path)
        yield Redis(port=port)
    finally:
        server.kill()
        server.wait(10)


def examined(gateway: Gateway, status: int = 0) -> str:
    done = authgw_here(gateway.folder, "doctor", **gateway.environ)
    assert done.exit_code == status, done.output
    return done.stdout


def on(server: Redis) -> dict[str, str]:
    port = server.connection_pool.connection_kwargs["port"]
    return {"AUTHGW_CACHE__URL": f"redis://127.0.0.1:{port}/0"}


def test_an_installation_that_is_well(alone: Gateway) -> None:
    first = authgw(alone.folder, "doctor", **alone.environ)
    assert (first.returncode, first.stderr) == (0, "")
    assert "ok       keys: none yet: the first start makes one\n" in first.stdout
    assert "authgw.db is not there yet" in first.stdout
    assert f"ok       port {alone.port}: free" in first.stdout
    alone.start()
    try:
        told = examined(alone)
    finally:
        alone.stop()
    assert {line.split()[0] for line in told.splitlines()} == {"ok"}
    assert f"port {alone.port}: a gateway that is ready" in told
    assert "a gateway's metrics" in told
    assert "var/authgw.db, " in told


def test_it_changes_nothing(alone: Gateway) -> None:
    before = {path: path.stat() for path in alone.folder.rglob("*")}
    examined(alone)
    assert {path: path.stat() for path in alone.folder.rglob("*")} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_that_root_made_for_another_account(alone: Gateway) -> None:
    alone.start()
    alone.stop()
    for path in alone.folder.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    assert "ok       files: nobody can read" in examined(alone)
    key = next(alone.folder.glob("secrets/keys/*.pem"))
    os.chown(key, 0, 0)
    (alone.folder / "clients.yml").chmod(0o604)
    told = examined(alone, 1)
    assert f"problem  files: {key} belongs to root, the rest to nobody, who cannot use it" in told
    assert f"chown nobody {key}\n" in told
    assert "warning  files: " in told
    assert "clients.yml is open to everyone here: chmod 600" in told
    # Its group may read it, and that is enough.
    os.chown(key, 0, NOBODY)
    key.chmod(0o640)
    assert "belongs to root" not in examined(alone)


def test_what_cannot_be_used_as_it_is_written(alone: Gateway) -> None:
    (alone.folder / "clients.yml").write_text("a: b\n")
    (alone.folder / "users.yml").write_text("a: {}\n")
    (alone.folder / "users.yml").chmod(0o600)
    told = examined(alone, 1)
    assert told.count("problem  configuration: ") == 2
    (alone.folder / "config.yml").write_text("server: {prot: 1}\n")
    done = authgw_here(alone.folder, "doctor", **alone.environ)
    assert done.exit_code == 1
    assert "did you mean port?" in done.stderr


def test_ports_that_others_have(alone: Gateway) -> None:
    server = http.server.HTTPServer(("127.0.0.1", alone.port), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    alone.environ["AUTHGW_METRICS__PORT"] = str(alone.port)
    try:
        told = examined(alone, 1)
    finally:
        server.shutdown()
        server.server_close()
    assert f"problem  port {alone.port}: taken by another program: end that one" in told
    assert f"warning  port {alone.port}: taken by another program, so nobody can read" in told


def test_pages_and_people_that_miss_each_other(alone: Gateway) -> None:
    prepare(alone.folder, "user", "add", "alice", "--generate")
    assert "warning  log-in page: 1 people, and no page for them" in examined(alone)
    alone.environ["AUTHGW_LOGIN__URL"] = "https://auth.example.com/login"
    assert "ok       log-in page: https://auth.example.com/login, for 1" in examined(alone)
    (alone.folder / "users.yml").write_text("")
    assert "https://auth.example.com/login is for nobody yet" in examined(alone)


def test_what_a_redis_may_lack(alone: Gateway, own_redis: Redis) -> None:
    alone.environ |= on(own_redis)
    told = examined(alone, 1)
    assert "problem  keys: none, and replicas must share them: run `authgw key init`" in told
    prepare(alone.folder, "key", "init")
    told = examined(alone)
    assert "forgets every session when it ends: set appendonly yes" in told
    assert "ok       clock: that of Redis 127.0.0.1" in told
    own_redis.config_set("save", "3600 1")
    assert "forgets the last log-ins and log-outs when it ends" in examined(alone)
    own_redis.config_set("appendonly", "yes")
    assert "has appendfsync everysec: a crash forgets the last log-outs" in examined(alone)
    own_redis.config_set("appendfsync", "always")
    assert "warning" not in examined(alone)
    own_redis.config_set("maxmemory-policy", "allkeys-lru")
    assert "problem  store: " in (told := examined(alone, 1))
    assert "set maxmemory-policy noeviction" in told
    alone.environ["AUTHGW_CACHE__URL"] = "redis://127.0.0.1:1/0"
    assert "problem  store: cannot be asked (Redis: " in examined(alone, 1)


def test_replicas_and_their_keys(tmp_path: Path, redis_url: str) -> None:
    url = redis_url.removesuffix("0") + "7"
    Redis.from_url(url).flushdb()
    first, second = two_replicas(tmp_path / "pair", url)
    for replica in (first, second):
        replica.start()
        replica.wait_until_ready()
    try:
        told = examined(first)
        assert "ok       replicas: 2 run on this Redis, all with the keys of this folder" in told
        other = make_gateway(tmp_path / "other", **first.environ)
        prepare(other.folder, "key", "init")
        told = examined(other, 1)
        assert "which is not here: share the keys directory" in told
        assert "2 of 2 lack a key of this folder" in told
    finally:
        first.stop()
        second.stop()
