"""Providers on loopback, and an address that only their tokens name."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.hostile_provider import HostileProvider, Trap, hostile_provider, trap
from tests.support.leaks import no_secret_in_the_logs


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_ever_written() -> Iterator[None]:
    yield from no_secret_in_the_logs()


@pytest.fixture
async def op() -> AsyncIterator[HostileProvider]:
    async with hostile_provider() as made:
        yield made


@pytest.fixture
async def elsewhere() -> AsyncIterator[Trap]:
    async with trap() as made:
        yield made
