"""The routes are those of the one list of paths."""

from collections import defaultdict

import pytest

from authgw.core.endpoints import ENDPOINTS
from tests.support.gateway import MakeGateway, RunningGateway


@pytest.fixture
async def documented(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(server={"docs": True})


async def test_the_routes_are_those_of_the_list(documented: RunningGateway) -> None:
    registered: dict[str, set[str]] = defaultdict(set)
    for route in documented.server.app.router.routes():
        assert route.resource is not None
        # GET brings HEAD with it.
        if route.method != "HEAD":
            registered[route.resource.canonical].add(route.method)
    # Metrics are on a port of their own.
    listed = {one.path: set(one.methods) for one in ENDPOINTS if one.path != "/metrics"}
    below = {one.path + "{path}" for one in ENDPOINTS if one.prefix}
    assert below
    assert {path.removesuffix("{path}"): methods for path, methods in registered.items()} == listed
