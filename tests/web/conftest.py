"""Gateways for tests of HTTP."""

import pytest

from tests.support.gateway import MakeGateway, RunningGateway
from tests.support.login_scene import RULES, Jar, page_of
from tests.support.provider_browser import MakeSite, OidcSite, make_site

__all__ = ["make_site"]


@pytest.fixture
async def gateway(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway()


@pytest.fixture
async def quick(make_gateway: MakeGateway) -> RunningGateway:
    """Return a gateway that records only denied checks, as by default."""
    return await make_gateway(logging={"decisions": "denied"})


@pytest.fixture
async def opened(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(auth={"open_login": True})


@pytest.fixture
async def distrustful(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(server={"trusted_proxies": []})


@pytest.fixture
async def running(make_gateway: MakeGateway) -> RunningGateway:
    """Return a gateway with a login page and rules."""
    return await make_gateway(login=page_of(), rules=RULES)


@pytest.fixture
def jar(running: RunningGateway) -> Jar:
    return Jar(running)


@pytest.fixture
async def site(make_site: MakeSite) -> OidcSite:
    """Return a gateway with passwords and an identity provider."""
    return await make_site()
