"""Refusals and their codes."""

import pytest

from authgw.core import errors
from authgw.core.errors import TooBusyError, TooManyFailuresError
from authgw.core.reasons import REASONS


def test_a_refusal_has_the_meaning_of_its_code_by_default() -> None:
    error = errors.HostConflictError()
    assert (error.status, error.detail) == (403, REASONS["host_conflict"].meaning)
    assert str(errors.TargetMissingError("X is missing")) == "target_missing: X is missing"


@pytest.mark.parametrize("kind", [TooManyFailuresError, TooBusyError])
def test_a_throttled_login_has_a_time_to_retry(kind: type[TooManyFailuresError]) -> None:
    error = kind(2.5, sub="alice")
    assert (error.status, error.retry_after, error.sub) == (429, 2.5, "alice")
