"""Lines of denials whose text is kept."""

from typing import Any

import pytest

from authgw.core.audit import Event, Target
from authgw.core.limits import MAX_KEPT_LINE_LENGTH, MAX_KEPT_LINES
from authgw.observability.lines import json_line, text_line
from authgw.observability.logging import event_line
from authgw.observability.repeated_lines import RepeatedLines

EVENT = Event("deny", "r1", "192.0.2.1", reason="token_missing", target=Target("GET", "a", "/"))


class Scene:
    """Lines of a form, and the events that were rendered for them."""

    def __init__(self, form: str = "text") -> None:
        self.form = {"text": text_line, "json": json_line}[form]
        self.rendered: list[Event] = []
        self.lines = RepeatedLines(self.render)

    def render(self, event: Event, time: str) -> str:
        self.rendered.append(event)
        return event_line(self.form, event, time)

    def is_kept(self, *events: Event) -> bool:
        """Return True if the last of these events is not rendered."""
        for event in events:
            self.rendered.clear()
            assert self.lines.line(event, "12:00") == event_line(self.form, event, "12:00")
        return not self.rendered


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_repeated_denial_differs_in_time_and_id_only(form: str) -> None:
    scene = Scene(form)
    assert scene.is_kept(EVENT, EVENT.repeated("r2"))
    assert scene.lines.line(EVENT, "13:00") == event_line(scene.form, EVENT, "13:00")


@pytest.mark.parametrize("field", [name for name in Event._fields[2:] if name != "sub"])
def test_each_other_field_is_a_part_of_the_line(field: str) -> None:
    values: dict[str, Any] = {
        "reason": "token_invalid",
        "status": 403,
        "target": Target("POST", "b", "/c"),
        "more": (("authgw.kid", "k"),),
    }
    changed: dict[str, Any] = {field: values.get(field, "x")}
    assert not Scene().is_kept(EVENT, EVENT._replace(**changed))


@pytest.mark.parametrize(
    "event",
    [
        EVENT._replace(name="login_failure"),
        EVENT._replace(sub="alice"),
        *(EVENT.repeated(number) for number in ("", "a b", 'a"', "\u00e4", "a\n", "a" * 129)),
        EVENT._replace(target=Target("GET", "a", "/" * MAX_KEPT_LINE_LENGTH)),
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_that_a_stranger_cannot_repeat_is_rendered(event: Event, form: str) -> None:
    assert not Scene(form).is_kept(event, event)


def test_kept_lines_are_bounded() -> None:
    scene = Scene()
    events = [EVENT._replace(address=f"192.0.2.{n}") for n in range(MAX_KEPT_LINES)]
    assert all(scene.is_kept(event, event) for event in events)
    assert scene.is_kept(events[0])
    assert not scene.is_kept(EVENT._replace(address="::1"))
    assert not scene.is_kept(events[0])
