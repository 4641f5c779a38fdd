"""The image alone: contents, rights, a confined start, its end."""

import re
import time
import tomllib
from collections.abc import Iterator

import pytest

from tests.containers.podman import Podman
from tests.support.processes import ROOT

CONFINED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
# Podman gives a read-only container writable temporary directories; Docker does not.
STRICT = (*CONFINED, "--read-only-tmpfs=false")
NAME = "alone"


@pytest.fixture
def confined(engine: Podman, image: str) -> Iterator[Podman]:
    """A gateway with its sessions in a file, in the strictest container."""
    engine.run("run", "--detach", "--name", NAME, *STRICT, "--volume=state:/srv/authgw", image)
    try:
        engine.wait_until_healthy(NAME)
        yield engine
    finally:
        engine.run("rm", "--force", "--time=0", NAME)
        engine.run("volume", "rm", "state")


def test_labels_are_in_the_image(engine: Podman, image: str) -> None:
    labels = engine.inspect(image)["Labels"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert labels["org.opencontainers.image.title"] == "authgw"
    assert labels["org.opencontainers.image.version"] == version


def test_the_image_has_no_tools_of_its_build(engine: Podman, image: str) -> None:
    script = "ls -d /opt/build /src /opt/authgw/bin/pip* /opt/authgw/lib/*/*/pip /root/.cache"
    shown = engine.attempt("run", "--rm", "--network=none", "--user=0", image, "sh", "-c", script)
    assert shown.stdout == ""


def test_the_process_needs_no_privilege(confined: Podman) -> None:
    status = confined.shell(NAME, "cat /proc/1/status")
    assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
    assert "\nGid:\t10001\t10001\t10001\t10001\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    for kind in ("Prm", "Eff", "Bnd", "Amb"):
        assert f"\nCap{kind}:\t{'0' * 16}\n" in status


def test_only_the_state_can_be_written(confined: Podman) -> None:
    script = "for place in tmp run opt/authgw usr srv/authgw; do touch /$place/x; done"
    refused = confined.shell(NAME, script).splitlines()
    assert [line.split("'")[1] for line in refused] == [
        f"/{place}/x" for place in ("tmp", "run", "opt/authgw", "usr")
    ]


def test_a_confined_gateway_logs_people_in(confined: Podman) -> None:
    password = confined.run("exec", NAME, "authgw", "user", "add", "alice", "--generate")
    login = f'{{"username": "alice", "password": "{password.split()[-1]}"}}'
    request = (
        "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'POST /login HTTP/1.1\\r\\nHost: localhost\\r\\n"
        "Connection: close\\r\\nContent-Type: application/json\\r\\n"
        f"Content-Length: {len(login)}\\r\\n\\r\\n%s' '{login}' >&3; head -1 <&3"
    )
    for _ in range(50):
        answer = confined.shell(NAME, request)
        if answer.startswith("HTTP/1.1 200"):
            return
        time.sleep(0.1)
    pytest.fail(answer)


def test_nothing_is_left_to_compile_at_a_start(confined: Podman) -> None:
    script = "python -v -c 'import authgw.app, authgw.cli.serve' 2>&1 >/dev/null"
    lines = confined.shell(NAME, script).splitlines()
    assert any(line.startswith("# code object from ") for line in lines)
    assert [line for line in lines if re.fullmatch(r"# code object from .*\.py'?", line)] == []


def test_sigterm_ends_the_gateway_in_order(confined: Podman) -> None:
    confined.run("stop", "--time=25", NAME)
    assert confined.inspect(NAME)["State"]["ExitCode"] == 0


def test_a_read_only_container_needs_a_volume(engine: Podman, image: str) -> None:
    result = engine.attempt("run", "--rm", *STRICT, image)
    assert result.returncode == 1
    assert "read-only file system" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
