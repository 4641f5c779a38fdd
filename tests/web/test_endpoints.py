"""The routes are those of the one list of paths."""

from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authgw.core.endpoints import ENDPOINTS
from tests.support.gateway import Surface, surface


@pytest.fixture
async def documented(tmp_path: Path) -> AsyncIterator[Surface]:
    async for running in surface(tmp_path, docs=True):
        yield running


async def test_the_routes_are_those_of_the_list(documented: Surface) -> None:
    assert documented.client.app is not None
    registered: dict[str, set[str]] = defaultdict(set)
    for route in documented.client.app.router.routes():
        assert route.resource is not None
        # GET brings HEAD with it.
        if route.method != "HEAD":
            registered[route.resource.canonical].add(route.method)
    # Metrics are on a port of their own.
    listed = {one.path: set(one.methods) for one in ENDPOINTS if one.path != "/metrics"}
    below = {one.path + "{path}" for one in ENDPOINTS if one.prefix}
    assert below
    assert {path.removesuffix("{path}"): methods for path, methods in registered.items()} == listed
