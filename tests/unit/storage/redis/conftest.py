"""Servers that reply as they are told."""

from collections.abc import AsyncIterator

import pytest

from tests.support.scripted_redis import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Run a server."""
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[ScriptedServer]:
    """Run another server."""
    async with scripted_server() as running:
        yield running
