"""Fixtures of the containers: Podman, the image, the composed services."""

import re
from collections.abc import Iterator

import pytest

from tests.containers import stand_ins
from tests.containers.podman import Podman, leave_mounts, leave_network, opened, require_programs
from tests.support.processes import ROOT

IMAGE = "authgw-tested"


@pytest.fixture(scope="session")
def engine() -> Iterator[Podman]:
    """Podman with the stand-ins and the image, in a network of its own."""
    require_programs()
    leave_mounts()
    with opened() as podman:
        stand_ins.make_bases(podman)
        access = stand_ins.pip_access(podman.folder)
        podman.run("build", "--quiet", *access, "--tag", IMAGE, ROOT, timeout=600)
        leave_network()
        yield podman


@pytest.fixture(scope="session")
def image(engine: Podman) -> str:
    """Name of the image, built from the Dockerfile."""
    return IMAGE


@pytest.fixture(scope="session")
def composed(engine: Podman) -> Iterator[Podman]:
    """The services of docker-compose.yml with three replicas."""
    engine.compose("up", "--detach", "--build", "--scale", "authgw=3")
    try:
        for number in (1, 2, 3):
            engine.wait_until_healthy(f"authgw_authgw_{number}")
        yield engine
    finally:
        engine.compose("down", "--volumes", "--timeout", "3")


@pytest.fixture
def demo_client(composed: Podman) -> str:
    """The demo client and its secret, read as the README does."""
    return composed.compose("exec", "-T", "authgw", "cat", "secrets/demo-client").strip()


@pytest.fixture
def demo_password(composed: Podman) -> str:
    """The password of the demo user, printed alone on a line of the log of `setup`."""
    logs = re.sub(r"\x1b\[\d+(;\d+)*m", "", composed.compose("logs", "setup"))
    match = re.search(r"^\[setup\] \| *(\S{12,})$", logs, re.MULTILINE)
    assert match, logs
    return match[1]
