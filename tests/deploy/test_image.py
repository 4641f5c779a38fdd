"""The image and its compose file: what can be checked without an engine; see tests/containers."""

import http.server
import json
import os
import re
import socket
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT, free_port

DOCKERFILE = (ROOT / "Dockerfile").read_text()
CHECK = ROOT / "docker" / "healthcheck"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def services() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return composed


@contextmanager
def server_of(status: int) -> Iterator[int]:
    class FixedStatus(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), FixedStatus) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()


def checked(port: int) -> int:
    environ = {**os.environ, "AUTHGW_SERVER__PORT": str(port)}
    return subprocess.run([CHECK], env=environ, stderr=subprocess.DEVNULL, timeout=10).returncode


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_health_check_follows_the_status(status: int, healthy: bool) -> None:
    with server_of(status) as port:
        assert (checked(port) == 0) is healthy


def test_a_closed_port_is_unhealthy() -> None:
    assert checked(free_port()) != 0


def test_a_silent_server_is_unhealthy() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        assert checked(silent.getsockname()[1]) != 0


def test_the_health_check_starts_no_interpreter_of_python() -> None:
    assert CHECK.read_text().startswith("#!/bin/bash\n")
    assert "python" not in CHECK.read_text().partition("\nexec ")[2].lower()


def test_compose_and_the_image_have_the_same_health_check() -> None:
    match = re.search(r"^HEALTHCHECK (.*) CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert match
    options = dict(re.findall(r"--(\S+)=(\S+)", match[1]))
    expected = {key.replace("-", "_"): value for key, value in options.items()}
    assert services()["authgw"]["healthcheck"] == {
        **expected,
        "test": ["CMD", *json.loads(match[2])],
    }


def test_labels_agree_with_the_package() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))
    assert labels["title"] == PROJECT["name"]
    assert labels["version"] == PROJECT["version"]
    assert labels["licenses"] == PROJECT["license"]
    assert labels["source"] == PROJECT["urls"]["Homepage"]


@pytest.mark.parametrize("name", services())
def test_every_service_is_confined(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # The image of authgw has a user of its own.
    assert "user" in service or "build" in service


def test_signals_reach_the_gateway() -> None:
    assert '\nCMD ["authgw", "serve"]\n' in DOCKERFILE
    assert "ENTRYPOINT" not in DOCKERFILE
    stop = services()["authgw"]["stop_grace_period"]
    assert int(stop.removesuffix("s")) > 20  # server.drain
