"""Settings and fixtures of all tests."""

import pytest
from hypothesis import HealthCheck, settings

from authgw.storage.redis import commands
from authgw.storage.sqlite import database

# Asserts of the helpers explain themselves like those of the tests.
pytest.register_assert_rewrite("tests.support")
# An example may take longer on a busy machine; no test judges by the time it took.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
pytest_plugins = ["tests.support.gateway", "tests.support.redis"]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is late without being wrong: tests of the deadlines set their own."""
    for store in (commands, database):
        monkeypatch.setattr(store, "OPERATION_TIMEOUT", 5.0)
