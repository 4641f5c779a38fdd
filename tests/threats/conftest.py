"""The surfaces that the tests of threats attack."""

import pytest

from tests.support.gateway import MakeGateway, RunningGateway


@pytest.fixture
async def gateway(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway()
