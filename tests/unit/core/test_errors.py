"""Refusals and their codes."""

import pytest

from authgw.core import errors
from authgw.core.errors import LoginFailedError, TooBusyError, TooManyFailuresError
from authgw.core.reasons import REASONS


def test_a_refusal_has_the_meaning_of_its_code_by_default() -> None:
    error = errors.HostConflictError()
    assert (error.status, error.detail) == (403, REASONS["host_conflict"].meaning)
    assert str(errors.TargetMissingError("X is missing")) == "target_missing: X is missing"


@pytest.mark.parametrize("kind", [TooManyFailuresError, TooBusyError])
def test_a_throttled_login_has_a_time_to_retry(kind: type[TooManyFailuresError]) -> None:
    error = kind(2.5, sub="alice")
    assert (error.status, error.retry_after, error.sub) == (429, 2.5, "alice")


@pytest.mark.parametrize(
    ("age", "fields"),
    [(None, ()), (0, (("authgw.code_age", 0),)), (-90, (("authgw.code_age", -90),))],
)
def test_the_age_of_a_code_is_for_the_log(age: int | None, fields: tuple[object, ...]) -> None:
    error = LoginFailedError(sub="alice", cause="code_late", code_age=age)
    assert (error.log_fields, error.cause, error.sub) == (fields, "code_late", "alice")
    assert "alice" not in error.detail


def refuse() -> None:
    try:
        raise ValueError
    except ValueError:
        raise errors.TokenInvalidError(sub="alice") from None


def test_an_error_that_is_kept_drops_its_frames_and_its_context() -> None:
    with pytest.raises(errors.TokenInvalidError) as raised:
        refuse()
    error = raised.value
    assert isinstance(error.__context__, ValueError)
    assert error.without_frames() is error
    left: tuple[object, ...] = (error.__traceback__, error.__context__)
    assert left == (None, None)
    assert error.sub == "alice"
