"""The surfaces that the tests of threats attack."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Surface, surface


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Surface]:
    async for running in surface(tmp_path):
        yield running
