"""`authgw doctor` on real installations: a valid installation and its possible defects."""

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.support.processes import (
    GatewayProcess,
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
def installation(tmp_path: Path) -> GatewayProcess:
    """Make an installation with ports of its own that is not running."""
    running = make_gateway(tmp_path / "alone")
    running.environ |= {
        "AUTHGW_SERVER__PORT": str(running.port),
        "AUTHGW_METRICS__PORT": str(free_port()),
    }
    return running


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Redis]:
    """Start a Redis server whose settings a test may change."""
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


def run_doctor(gateway: GatewayProcess, status: int = 0) -> str:
    done = authgw_here(gateway.folder, "doctor", **gateway.environ)
    assert done.exit_code == status, done.output
    return done.stdout


def redis_environment(server: Redis) -> dict[str, str]:
    port = server.connection_pool.connection_kwargs["port"]
    return {"AUTHGW_CACHE__URL": f"redis://127.0.0.1:{port}/0"}


def test_valid_installation(installation: GatewayProcess) -> None:
    first = authgw(installation.folder, "doctor", **installation.environ)
    assert (first.returncode, first.stderr) == (0, "")
    assert "ok       keys: no signing key yet: the first start creates a key\n" in first.stdout
    assert "authgw.db does not exist yet" in first.stdout
    assert f"ok       port {installation.port}: free" in first.stdout
    installation.start()
    try:
        result = run_doctor(installation)
    finally:
        installation.stop()
    assert {line.split()[0] for line in result.splitlines()} == {"ok"}
    assert f"port {installation.port}: a gateway that is ready" in result
    assert "a gateway's metrics" in result
    assert "var/authgw.db, " in result


def test_doctor_changes_no_files(installation: GatewayProcess) -> None:
    before = _states(installation.folder)
    run_doctor(installation)
    assert _states(installation.folder) == before


def _states(directory: Path) -> dict[Path, tuple[int, ...]]:
    # Without the access time: reading a file may change it (relatime).
    stats = {path: path.stat() for path in directory.rglob("*")}
    return {
        path: (stat.st_ino, stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size, stat.st_mtime_ns)
        for path, stat in stats.items()
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_made_by_root_for_another_account(installation: GatewayProcess) -> None:
    installation.start()
    installation.stop()
    for path in installation.folder.rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    assert "ok       files: nobody can read" in run_doctor(installation)
    key = next(installation.folder.glob("secrets/keys/*.pem"))
    os.chown(key, 0, 0)
    (installation.folder / "clients.yml").chmod(0o604)
    result = run_doctor(installation, 1)
    assert (
        f"problem  files: {key} belongs to root, so that nobody, the owner of the other files"
        in result
    )
    assert f"chown nobody {key}\n" in result
    assert "warning  files: " in result
    assert "clients.yml is accessible to every account of this machine: chmod 600" in result
    # Access through its group suffices.
    os.chown(key, 0, NOBODY)
    key.chmod(0o640)
    assert "belongs to root" not in run_doctor(installation)


def test_invalid_files(installation: GatewayProcess) -> None:
    (installation.folder / "clients.yml").write_text("a: b\n")
    (installation.folder / "users.yml").write_text("a: {}\n")
    (installation.folder / "users.yml").chmod(0o600)
    result = run_doctor(installation, 1)
    assert result.count("problem  configuration: ") == 2
    (installation.folder / "config.yml").write_text("server: {prot: 1}\n")
    done = authgw_here(installation.folder, "doctor", **installation.environ)
    assert done.exit_code == 1
    assert "did you mean port?" in done.stderr


def test_ports_taken_by_other_programs(installation: GatewayProcess) -> None:
    server = http.server.HTTPServer(
        ("127.0.0.1", installation.port), http.server.BaseHTTPRequestHandler
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    installation.environ["AUTHGW_METRICS__PORT"] = str(installation.port)
    try:
        result = run_doctor(installation, 1)
    finally:
        server.shutdown()
        server.server_close()
    assert (
        f"problem  port {installation.port}: another program uses this port: stop that program"
        in result
    )
    assert (
        f"warning  port {installation.port}: another program uses this port, so that no metrics"
        in result
    )


def test_login_page_without_users_and_users_without_page(installation: GatewayProcess) -> None:
    prepare(installation.folder, "user", "add", "alice", "--generate")
    assert "warning  login page: 1 user and no login page" in run_doctor(installation)
    installation.environ["AUTHGW_LOGIN__URL"] = "https://auth.example.com/login"
    assert "ok       login page: https://auth.example.com/login, for 1" in run_doctor(installation)
    (installation.folder / "users.yml").write_text("")
    assert "https://auth.example.com/login has no users yet" in run_doctor(installation)


def test_redis_settings(installation: GatewayProcess, own_redis: Redis) -> None:
    installation.environ |= redis_environment(own_redis)
    result = run_doctor(installation, 1)
    assert (
        "problem  keys: no signing key, which replicas on a Redis must share: run `authgw key init`"
        in result
    )
    prepare(installation.folder, "key", "init")
    result = run_doctor(installation)
    assert "loses every session when it stops: set appendonly yes" in result
    assert "ok       clock: the clock of Redis 127.0.0.1" in result
    own_redis.config_set("save", "3600 1")
    assert "loses the last logins and logouts when it stops" in run_doctor(installation)
    own_redis.config_set("appendonly", "yes")
    assert "has appendfsync everysec, so that a crash loses the last" in run_doctor(installation)
    own_redis.config_set("appendfsync", "always")
    assert "warning" not in run_doctor(installation)
    own_redis.config_set("maxmemory-policy", "allkeys-lru")
    assert "problem  store: " in (result := run_doctor(installation, 1))
    assert "set maxmemory-policy noeviction" in result
    installation.environ["AUTHGW_CACHE__URL"] = "redis://127.0.0.1:1/0"
    assert "problem  store: cannot reach the session store (Redis: " in run_doctor(installation, 1)


def test_keys_of_replicas(tmp_path: Path, redis_url: str) -> None:
    url = redis_url.removesuffix("0") + "7"
    Redis.from_url(url).flushdb()
    first, second = two_replicas(tmp_path / "pair", url)
    for replica in (first, second):
        replica.start()
        replica.wait_until_ready()
    try:
        result = run_doctor(first)
        assert "ok       replicas: 2 on this Redis, all with the keys of this directory" in result
        other = make_gateway(tmp_path / "other", **first.environ)
        prepare(other.folder, "key", "init")
        result = run_doctor(other, 1)
        assert "which auth.keys does not contain here: share the directory" in result
        assert "2 of 2 lack a key of this directory" in result
    finally:
        first.stop()
        second.stop()
