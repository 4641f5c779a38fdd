"""Settings and fixtures of all tests."""

import pytest

from authgw.storage.redis import commands
from authgw.storage.sqlite import database

# Asserts of the helpers explain themselves like those of the tests.
pytest.register_assert_rewrite("tests.support")
pytest_plugins = ["tests.support.gateway", "tests.support.redis"]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is late without being wrong: tests of the deadlines set their own."""
    for store in (commands, database):
        monkeypatch.setattr(store, "OPERATION_TIMEOUT", 5.0)
