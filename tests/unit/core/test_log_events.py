"""The table of log events, compared with the code that logs them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import authgw
from authgw.core.log_events import AUDIT_EVENTS, EVENTS, FIELDS, SERVICE_EVENTS
from authgw.core.reasons import REASONS

PACKAGE = Path(authgw.__file__).parent
LEVELS = ("debug", "info", "warning", "error")
# Of a library: `log` takes the level of its own line.
_ANY_LEVEL = "log"


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call that writes a line by loguru, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if "from loguru import logger" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in (*LEVELS, "critical", "exception", _ANY_LEVEL)
                and "logger" in ast.unparse(node.func)
            ):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def _event_and_level(call: ast.Call) -> tuple[str, str]:
    """Return the event that is bound to the line, empty without one, and the level."""
    assert isinstance(call.func, ast.Attribute)
    bound = call.func.value
    if not isinstance(bound, ast.Call) or not ast.unparse(bound.func).endswith("logger.bind"):
        return "", call.func.attr
    values = {keyword.arg: keyword.value for keyword in bound.keywords}
    event = values.get("event")
    assert isinstance(event, ast.Constant)
    return str(event.value), call.func.attr


def test_each_line_of_the_service_is_in_the_table_with_its_level() -> None:
    found = {place: _event_and_level(call) for place, call in _calls()}
    assert len(found) > 20
    wrong = {
        place: (event, level)
        for place, (event, level) in found.items()
        if event not in SERVICE_EVENTS or level not in (SERVICE_EVENTS[event].level, _ANY_LEVEL)
    }
    assert wrong == {}
    assert {event for event, _ in found.values()} == set(SERVICE_EVENTS)


def test_each_event_of_a_reason_is_in_the_table() -> None:
    assert {reason.event for reason in REASONS.values()} <= set(AUDIT_EVENTS)


def test_the_table_is_complete() -> None:
    assert len(EVENTS) == len(AUDIT_EVENTS) + len(SERVICE_EVENTS)
    for name, event in EVENTS.items():
        assert event.level in LEVELS, name
        assert event.meaning.endswith("."), name
        assert set(event.fields) <= set(FIELDS), name
        assert bool(event.message) == (name in AUDIT_EVENTS), name
        assert event.message != name
    used = {field for event in EVENTS.values() for field in event.fields}
    # These are in every line, or in every audit event that has a sentence.
    assert set(FIELDS) - used == {"time", "level", "message", "event", "detail"}
    assert all(meaning.endswith(".") for meaning in FIELDS.values())
