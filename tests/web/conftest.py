"""The HTTP surface over a store in memory, spoken to by a real client on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Surface, surface
from tests.support.login_scene import RULES, Jar, page_of


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Surface]:
    async for running in surface(tmp_path):
        yield running


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Surface]:
    """A gateway as it is configured by default: what is allowed is not recorded."""
    async for running in surface(tmp_path, record_allowed=False):
        yield running


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Surface]:
    async for running in surface(tmp_path, open_login=True):
        yield running


@pytest.fixture
async def distrustful(tmp_path: Path) -> AsyncIterator[Surface]:
    async for running in surface(tmp_path, trusted=()):
        yield running


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Surface]:
    """A gateway that has a log-in page and rules."""
    async for one in surface(tmp_path, sites=page_of(), rules=RULES):
        yield one


@pytest.fixture
def jar(running: Surface) -> Jar:
    return Jar(running)
