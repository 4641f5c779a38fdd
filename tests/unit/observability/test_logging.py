"""Log lines: each event is a single line, for any input of a client."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from loguru import logger

from authgw.core.audit import Event
from authgw.observability import logging as observability_logging

NAUGHTY = ["a\nforged", "a\r\nb", "\x1b[31m", '"} {"x": "', "\u2028", "{0} {x}", "<red>", "Zoë", ""]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    handlers = logging.root.handlers[:]
    yield
    logger.remove()
    logging.root.handlers[:] = handlers


def written(mode: str, event: Event, level: str = "info") -> str:
    stream = io.StringIO()
    observability_logging.set_up(mode, level, stream)
    observability_logging.record(event)
    return stream.getvalue()


@pytest.mark.parametrize("text", NAUGHTY)
def test_one_event_is_one_json_line(text: str) -> None:
    line = written("json", Event("deny", text, "127.0.0.1", sub=text, reason="token_invalid"))
    assert line.count("\n") == 1
    entry = json.loads(line)
    assert (entry["message"], entry["event"], entry["level"]) == ("Denied", "deny", "info")
    assert entry.get("user.name", "") == text


@pytest.mark.parametrize("text", NAUGHTY)
def test_one_event_is_one_text_line(text: str) -> None:
    line = written("text", Event("login", "id", "127.0.0.1", sub=text))
    assert len(line.splitlines()) == 1
    assert line.rstrip("\n").isprintable()
    assert "Logged in event=login http.request.id=id client.address=127.0.0.1" in line


def test_levels() -> None:
    assert "WARNING" in written("text", Event("deny", "", "", reason="untrusted_proxy"))
    assert "WARNING" in written("text", Event("refresh_reuse", "", ""))
    assert "ERROR" in written("text", Event("failure", "", ""))
    assert written("text", Event("deny", "", "", reason="token_expired"), "warning") == ""


def test_messages_of_libraries_are_logged_without_arguments_and_exceptions() -> None:
    stream = io.StringIO()
    observability_logging.set_up("json", "info", stream)
    try:
        raise ValueError("hush")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling %s", "hush")
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "Error handling %s (ValueError)"
    assert entry["library"] == "aiohttp.server"


def test_a_multi_line_message_is_logged_as_one_line() -> None:
    stream = io.StringIO()
    observability_logging.set_up("text", "info", stream)
    logger.info("a\nb")
    assert stream.getvalue().count("\n") == 1
