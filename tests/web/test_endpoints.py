"""Registered routes, compared with `core.endpoints`."""

from collections import defaultdict

import pytest

from authgw.core.endpoints import ENDPOINTS
from tests.support.gateway import MakeGateway, RunningGateway
from tests.support.provider_browser import with_provider


@pytest.fixture
async def documented(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(server={"docs": True}, login=with_provider(make_gateway.folder))


async def test_registered_routes_equal_the_list_of_endpoints(documented: RunningGateway) -> None:
    registered: dict[str, set[str]] = defaultdict(set)
    for route in documented.server.app.router.routes():
        assert route.resource is not None
        # aiohttp registers HEAD with GET.
        if route.method != "HEAD":
            registered[route.resource.canonical].add(route.method)
    # Metrics have a separate port.
    listed = {entry.path: set(entry.methods) for entry in ENDPOINTS if entry.path != "/metrics"}
    below = {entry.path + "{path}" for entry in ENDPOINTS if entry.prefix}
    assert below
    assert {path.removesuffix("{path}"): methods for path, methods in registered.items()} == listed
