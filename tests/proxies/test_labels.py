"""Traefik's example by labels: its compose file, read by a real Traefik through Docker's API."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.docker_api import DockerApi
from tests.support.processes import LOGS, ROOT, free_port, make_gateway, wait_for
from tests.support.proxies import (
    BROWSER,
    CONFIG,
    LOGIN,
    LOGIN_HOST,
    Proxied,
    lower,
    only_as,
    program,
    wait_for_routes,
    with_alice,
)

FOLDER = ROOT / "examples" / "traefik"
SERVICES: dict[str, Any] = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]


def labels(service: str, ports: dict[str, int]) -> dict[str, str]:
    """Return the labels of a service as compose passes them to Docker, with other ports."""
    written = SERVICES[service]
    lines = written.get("labels", [])
    if base := written.get("extends"):
        text = (FOLDER / base["file"]).read_text()
        lines = [*yaml.safe_load(text)["services"][base["service"]]["labels"], *lines]
    found = dict(line.replace("$$", "$").split("=", 1) for line in lines)
    for name, value in found.items():
        for old, new in ports.items():
            value = value.replace(old, str(new))
        # In compose, the name of a service is the name of its host.
        found[name] = value.replace("//authgw:", "//127.0.0.1:")
    return found


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("labels")
    gateway, sample, port = make_gateway(folder / "gateway"), free_port(), free_port()
    (gateway.folder / "config.yml").write_text(CONFIG)
    password = with_alice(gateway)
    gateway.start()
    echo = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/echo_upstream.py"), str(sample)]
    )
    ports = {"8080": gateway.port, "8081": sample}
    containers = {name: labels(name, ports) for name in ("authgw", "app")}
    socket = folder / "docker.sock"
    with DockerApi(socket, containers):
        traefik = _traefik(folder, socket, port)
        try:
            wait_for(sample)
            wait_for(port)
            proxied = Proxied("traefik", gateway, port, echo, password)
            wait_for_routes(proxied)
            yield proxied
        finally:
            for process in (traefik, echo):
                process.terminate()
                process.wait(20)
            gateway.stop()


def _traefik(folder: Path, socket: Path, port: int) -> "subprocess.Popen[bytes]":
    words = [word.replace(":4000", f"127.0.0.1:{port}") for word in SERVICES["traefik"]["command"]]
    words.append(f"--providers.docker.endpoint=unix://{socket}")
    LOGS.add(folder / "traefik.log")
    with (folder / "traefik.log").open("wb") as log:
        return subprocess.Popen(
            [program("traefik"), *words],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={"HOME": str(folder)},
        )


def test_an_app_is_checked(labelled: Proxied) -> None:
    answer = labelled.send("/page?a=b", *BROWSER)
    assert answer.status == 302
    assert lower(answer)["location"].startswith(f"{LOGIN}/login?rd=")
    answer = labelled.send("/page", ("Cookie", f"a=1; {labelled.browser()}"))
    assert answer.status == 200
    only_as(answer, "alice", "")
    assert labelled.send("/page", ("Remote-User", "root"), token=labelled.login()).status == 403
    answer = labelled.send("/public/x", ("X-Forwarded-Prefix", "/forged"))
    assert answer.status == 200
    assert b"forged" not in answer.body


def test_the_login_host_has_the_public_paths_alone(labelled: Proxied) -> None:
    assert labelled.send("/login", *BROWSER, host=LOGIN_HOST).status == 200
    home = labelled.send("/", *BROWSER, host=LOGIN_HOST)
    assert lower(home)["location"].endswith("/login/account")
    for path in ("/revoke", "/sessions", "/healthz", "/openapi.json", "/authenticate/forward"):
        assert labelled.send(path, host=LOGIN_HOST).status == 404
    forged = [("X-Original-URL", f"{LOGIN}/x"), ("X-Original-Method", "GET")]
    answer = labelled.send("/authenticate", *forged, host=LOGIN_HOST)
    assert lower(answer)["x-authgw-reason"] == "direct_check_off"


def test_the_gateway_of_the_example_trusts_traefik_alone() -> None:
    address = SERVICES["traefik"]["networks"]["proxied"]["ipv4_address"]
    environment = SERVICES["authgw"]["environment"]
    assert environment["AUTHGW_SERVER__TRUSTED_PROXIES"] == f"[{address}/32]"
