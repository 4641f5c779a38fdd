"""The command line and the process: output, refusals and shutdown."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from authgw.core.log_events import AUDIT_EVENTS, EVENTS
from tests.support.processes import (
    AUTHGW,
    GatewayProcess,
    ask,
    authgw,
    authgw_here,
    free_port,
    make_gateway,
    prepare,
    wait_for,
    wait_until_ready,
)
from tests.support.provider_settings import one
from tests.support.redis import wait_for_redis


def refused(folder: Path, *words: str, **environ: str) -> str:
    done = authgw(folder, *words, **environ)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_config_check_refuses_a_backend_of_any_subject_beside_providers(tmp_path: Path) -> None:
    (tmp_path / "kc").write_text("s3cret")
    (tmp_path / "kc").chmod(0o600)
    authgw(tmp_path, "client", "add", "shop", "--subjects", "*")
    assert "valid" in authgw(tmp_path, "config", "check").stdout
    (tmp_path / "config.yml").write_text(one())
    done = authgw_here(tmp_path, "config", "check")
    assert done.exit_code == 1
    assert "clients.yml: shop.subjects is '*'" in done.stderr


def test_config_check(tmp_path: Path) -> None:
    def check(*words: str) -> str:
        done = authgw_here(tmp_path, *words)
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit)
        return done.stderr

    assert "valid" in authgw(tmp_path, "config", "check").stdout
    (tmp_path / "config.yml").write_text("server: {prot: 1, max_processors: 2}\n")
    assert "config.yml:1: server.prot: unknown key: did you mean port?" in refused(
        tmp_path, "config", "check"
    )
    (tmp_path / "config.yml").write_text("server: {max_processors: 2}\n")
    assert "server.max_processors" in authgw_here(tmp_path, "config", "check").stderr
    (tmp_path / "clients.yml").write_text("a: b\n")
    assert "clients.yml" in check("config", "check")
    other = tmp_path / "other.yml"
    other.write_text("auth: {algorithm: HS256}\n")
    (tmp_path / "clients.yml").unlink()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "jwt_key").write_text("short")
    (tmp_path / "secrets" / "jwt_key").chmod(0o600)
    for place in range(3):
        words = ["config", "check"]
        words[place:place] = ["--config", "other.yml"]
        assert "at least 32" in check(*words)


def test_every_refusal_to_start(tmp_path: Path) -> None:
    dead = {"AUTHGW_CACHE__URL": "redis://127.0.0.1:1"}
    assert "authgw key init" in refused(tmp_path, "serve", **dead)
    prepare(tmp_path, "key", "init")
    pem = next((tmp_path / "secrets" / "keys").glob("*.pem"))
    pem.chmod(0o644)
    assert f"chmod 600 {pem}" in refused(tmp_path, "serve")
    pem.chmod(0o600)
    pem.write_text("")
    assert "is empty" in refused(tmp_path, "serve")
    pem.write_text("nonsense")
    assert "is not an unencrypted private key" in refused(tmp_path, "serve")
    hs256 = {"AUTHGW_AUTH__ALGORITHM": "HS256"}
    assert "jwt_key does not exist" in refused(tmp_path, "serve", **hs256, **dead)
    assert "cannot rotate" in refused(tmp_path, "key", "add", **hs256)
    assert "AIOHTTP_NO_EXTENSIONS" in refused(tmp_path, "serve", AIOHTTP_NO_EXTENSIONS="1")
    (tmp_path / "secrets" / "redis").write_text("hush")
    (tmp_path / "secrets" / "redis").chmod(0o644)
    cache = {"AUTHGW_CACHE__HOST": "x", "AUTHGW_CACHE__PASSWORD_FILE": "secrets/redis"}
    assert "secrets/redis is accessible to every account" in refused(tmp_path, "serve", **cache)


def test_a_port_in_use_and_a_locked_store(gateway: GatewayProcess) -> None:
    port = {"AUTHGW_SERVER__PORT": str(gateway.port)}
    assert gateway.process is not None
    assert f"in use by process {gateway.process.pid}" in refused(gateway.folder, "serve", **port)
    memory = {"AUTHGW_CACHE__URL": "embedded://memory"}
    assert "uses " in refused(gateway.folder, "serve", **port, **memory)


def test_keys_rotate(gateway: GatewayProcess) -> None:
    pair = gateway.login()
    assert "signs in 10 minutes" in authgw(gateway.folder, "key", "add").stdout
    again = authgw(gateway.folder, "key", "init")
    assert again.stdout.count(",") == 1
    gateway.stop()
    gateway.start()
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert ask(gateway.port, "GET", "/authenticate", bearer).status == 200
    keys = ask(gateway.port, "GET", "/.well-known/jwks.json").json()["keys"]
    assert len(keys) == 2


def test_the_hs256_secret_is_made_and_serves(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "hs", AUTHGW_AUTH__ALGORITHM="HS256")
    prepare(gateway.folder, "key", "init", AUTHGW_AUTH__ALGORITHM="HS256")
    gateway.start()
    pair = gateway.login()
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert ask(gateway.port, "GET", "/authenticate", bearer).status == 200
    assert ask(gateway.port, "GET", "/.well-known/jwks.json").json() == {"keys": []}
    gateway.stop()


def test_a_client_name_is_added_only_once(tmp_path: Path) -> None:
    first = authgw(tmp_path, "client", "add", "shop", "--subjects", "*", "--groups", "a,b")
    name, _, secret = first.stdout.strip().partition(":")
    assert (name, len(secret)) == ("shop", 43)
    assert "choose another id" in refused(tmp_path, "client", "add", "shop")
    (tmp_path / "there").write_text("")
    assert "another file" in refused(tmp_path, "client", "add", "x", "--save", "there")


def test_sessions_outlive_the_process(gateway: GatewayProcess) -> None:
    pair = gateway.login()
    gateway.stop(signal.SIGKILL)
    gateway.start()
    assert ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]}).status == 200


def test_sigterm_drains_the_gateway(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path / "drain", AUTHGW_SERVER__DRAIN="1s")
    gateway.start()
    assert gateway.process is not None
    assert ask(gateway.port, "GET", "/readyz").status == 200
    gateway.process.send_signal(signal.SIGTERM)
    for _ in range(50):
        answer = ask(gateway.port, "GET", "/readyz")
        if answer.status == 503:
            break
    assert answer.body == b"draining"
    gateway.login()
    assert gateway.process.wait(10) == 0


def test_not_ready_while_redis_is_unavailable(tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    gateway = make_gateway(tmp_path / "redis", AUTHGW_CACHE__URL=f"redis://127.0.0.1:{port}/0")
    prepare(gateway.folder, "key", "init")
    gateway.start()
    answer = ask(gateway.port, "GET", "/readyz")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert ask(gateway.port, "GET", "/healthz").status == 200
    answer = ask(gateway.port, "POST", "/login", gateway.basic, {"user_id": 1})
    assert (answer.status, answer.json()["code"]) == (503, "keys_not_shared")
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(gateway)
        gateway.login()
    finally:
        server.terminate()
        server.wait(10)
        gateway.stop()
    assert "Responses are 503 until it" in gateway.log


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("maxmemory-policy", "allkeys-lru", "set maxmemory-policy noeviction"),
        ("requirepass", "hush", "refuses the user or password|Redis: "),
    ],
)
def test_an_unsuitable_redis_is_refused(
    tmp_path: Path, option: str, value: str, message: str
) -> None:
    port = free_port()
    server = subprocess.Popen(
        [
            "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            f"--{option}",
            value,
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_redis(port, tmp_path)
        prepare(tmp_path, "key", "init")
        url = {"AUTHGW_CACHE__URL": f"redis://127.0.0.1:{port}/0"}
        assert re.search(message, refused(tmp_path, "serve", **url))
        if option == "requirepass":
            (tmp_path / "pass").write_text("hush\n")
            (tmp_path / "pass").chmod(0o600)
            gateway = make_gateway(tmp_path / "g", AUTHGW_CACHE__PASSWORD_FILE="pass", **url)
            (tmp_path / "pass").rename(gateway.folder / "pass")
            prepare(gateway.folder, "key", "init")
            gateway.start()
            wait_until_ready(gateway)
            gateway.login()
            gateway.stop()
            assert "hush" not in gateway.log
    finally:
        server.terminate()
        server.wait(10)


def test_json_logs_have_an_event_per_line_and_no_secrets(tmp_path: Path) -> None:
    gateway = make_gateway(
        tmp_path / "json", AUTHGW_LOGGING__MODE="json", AUTHGW_LOGGING__LEVEL="debug"
    )
    gateway.start()
    pair = gateway.login(1, name="Zoë")
    second = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]}).json()
    third = ask(gateway.port, "POST", "/refresh", body={"refresh": second["refresh"]}).json()
    ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
    ask(gateway.port, "POST", "/login", {"Authorization": "Basic c2hvcDpodXNo"}, {"user_id": 1})
    ask(gateway.port, "GET", "/authenticate", {"Authorization": f"Bearer {third['access']}x"})
    gateway.stop()
    events = [json.loads(line) for line in gateway.log.splitlines()]
    assert all(entry["event"] in EVENTS for entry in events)
    names = [entry["event"] for entry in events if entry["event"] in AUDIT_EVENTS]
    assert names == ["login", "refresh_reuse", "login_failure", "deny"]
    secrets = [tokens[kind] for tokens in (pair, second, third) for kind in ("access", "refresh")]
    secrets.append((gateway.folder / "secrets" / "demo-client").read_text().split(":")[1].strip())
    for secret in (*secrets, "c2hvcDpodXNo", "hush"):
        assert secret not in gateway.log


def test_the_sample_upstream_shows_the_identity(tmp_path: Path) -> None:
    port = free_port()
    sample = subprocess.Popen([str(AUTHGW), "sample-upstream", "--port", str(port)], cwd=tmp_path)
    try:
        wait_for(port)
        request_headers = {"Remote-User": "<b>", "Accept": "application/json"}
        answer = ask(port, "POST", "/x?y", request_headers, b"12345")
        assert answer.json()["user"] == "<b>"
        assert (answer.json()["path"], answer.json()["bytes"]) == ("/x?y", 5)
        page = ask(port, "GET", "/", {"Remote-User": "<b>", "Accept": "text/html"})
        assert b"&lt;b&gt;" in page.body
        assert b"<b>" not in page.body
    finally:
        sample.send_signal(signal.SIGINT)
        sample.wait(10)
