"""Faults of the surrounding services and of the gateway itself, with real processes only."""

from collections.abc import Iterator

import pytest

from tests.faults.stack import Stack, running_stack
from tests.support.leaks import no_secret_in_the_logs


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_ever_written() -> Iterator[None]:
    yield from no_secret_in_the_logs()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Shared by all tests that leave the stack unchanged, except for sessions."""
    with running_stack(tmp_path_factory.mktemp("faults")) as made:
        yield made
