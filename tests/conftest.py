"""What holds for every test."""

import pytest

from authgw.storage import embedded, redis_calls


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is late without being wrong: tests of the deadlines set their own."""
    for store in (redis_calls, embedded):
        monkeypatch.setattr(store, "DEADLINE", 5.0)
