"""The exceptions of error replies."""

import pytest

from authgw.storage.redis.errors import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
    error_reply,
)


def test_redirections_name_slot_and_server() -> None:
    moved, ask = MovedError("3999 10.0.0.1:6381"), AskError("3999 :6381")
    assert isinstance(moved, AskError)
    assert (moved.slot_id, moved.host, moved.port) == (3999, "10.0.0.1", 6381)
    assert (ask.slot_id, ask.host, ask.port) == (3999, "", 6381)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERR unknown command", ResponseError),
        ("MISCONF Errors writing to disk", ResponseError),
        ("ERR max number of clients reached", ConnectionError),
        ("ERR invalid password", AuthenticationError),
        ("OOM command not allowed when used memory > 'maxmemory'.", OutOfMemoryError),
        ("MASTERDOWN Link with MASTER is down", MasterDownError),
        ("LOADING", BusyLoadingError),
        ("", ResponseError),
        ("WRONGPASS invalid username-password pair", AuthenticationError),
        ("NOAUTH Authentication required.", AuthenticationError),
        ("NOPERM no permissions to run the 'get' command", NoPermissionError),
        ("LOADING Redis is loading the dataset in memory", BusyLoadingError),
        ("NOSCRIPT No matching script. Please use EVAL.", NoScriptError),
        ("READONLY You can't write against a read only replica.", ReadOnlyError),
        ("TRYAGAIN Multiple keys request during rehashing of slot", TryAgainError),
        ("CLUSTERDOWN The cluster is down", ClusterDownError),
        ("ASK 3999 127.0.0.1:6381", AskError),
        ("MOVED 3999 127.0.0.1:6381", MovedError),
    ],
)
def test_an_error_reply_has_its_exception(text: str, kind: type[RedisError]) -> None:
    assert type(error_reply(text)) is kind


def test_errors_that_concern_a_single_command_are_refusals() -> None:
    # All others close a link.
    refusals = (NoPermissionError, NoScriptError, ReadOnlyError, TryAgainError, ClusterDownError)
    assert all(issubclass(kind, ResponseError) for kind in (*refusals, AskError, OutOfMemoryError))
    assert issubclass(MasterDownError, ClusterDownError)
    assert not any(
        issubclass(kind, ResponseError) for kind in (AuthenticationError, BusyLoadingError)
    )


def test_an_unknown_error_keeps_its_code() -> None:
    assert str(error_reply("MISCONF Errors writing to disk")) == "MISCONF Errors writing to disk"
    assert str(error_reply("ERR unknown command")) == "unknown command"
    assert str(error_reply("NOSCRIPT No matching script.")).startswith("No matching script")


@pytest.mark.parametrize(
    "text",
    [
        "MOVED",
        "ASK 1 nowhere",
        "ASK x 127.0.0.1:1",
        "MOVED 1 127.0.0.1:x",
        "MOVED 1 a:1 b",
        "ASK 1",
    ],
)
def test_a_wrong_redirection_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        error_reply(text)
