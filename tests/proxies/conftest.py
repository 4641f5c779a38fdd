"""The shipped examples in the real proxies, in front of a real gateway, with changed ports."""

from collections.abc import Iterator

import pytest

from tests.support.proxies import PROXIES, Proxied, running


@pytest.fixture(scope="package", params=PROXIES)
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    yield from running(request.param, tmp_path_factory.mktemp(request.param))
