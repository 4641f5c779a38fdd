"""Real processes: the gateway, an app, and NGINX with the shipped files and changed ports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leaks import no_secret_in_the_logs
from tests.support.nginx import NginxFront, running_site
from tests.support.processes import GatewayProcess, make_gateway


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_ever_written() -> Iterator[None]:
    yield from no_secret_in_the_logs()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    running = make_gateway(tmp_path / "gateway")
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxFront]:
    yield from running_site(tmp_path_factory.mktemp("site"))
