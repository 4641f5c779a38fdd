"""Faults of the parts around a gateway and of the gateway itself, with real processes only."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import redis_url as redis_url
from tests.e2e.conftest import _no_secret_is_ever_written as _no_secret_is_ever_written
from tests.faults.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all tests that leave it as it was, but for sessions."""
    with running_stack(tmp_path_factory.mktemp("faults")) as made:
        yield made
