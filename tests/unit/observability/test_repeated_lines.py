"""Lines of denials and logins whose text is kept."""

from typing import Any

import pytest

from authgw.core.audit import Event, Target
from authgw.core.limits import MAX_KEPT_LINE_LENGTH, MAX_KEPT_LINES
from authgw.observability.lines import json_line, text_line
from authgw.observability.logging import event_line
from authgw.observability.repeated_lines import RepeatedLines

LOGIN = Event(
    "login",
    *("r1", "192.0.2.1", "alice", "sid1"),
    sentence="client:100%s",
    target=Target("POST", "a", "/login"),
    credential="client:100%s",
)
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


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", ["login", "logout"])
def test_a_repeated_login_differs_in_its_session_too(name: str, form: str) -> None:
    scene, event = Scene(form), LOGIN._replace(name=name)
    assert scene.is_kept(event, event._replace(request_id="r2", sub="bob", sid="sid_-2"))
    assert not scene.is_kept(event._replace(address="192.0.2.2"))
    assert not scene.is_kept(event._replace(more=(("authgw.account", "bob"),)))


@pytest.mark.parametrize("sub", ["", "a b", "a=b", 'a"', "\u00e4", "a\n", "a@b", "a" * 256])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_login_of_a_subject_that_is_quoted_is_rendered(sub: str, form: str) -> None:
    event = LOGIN._replace(sub=sub)
    assert not Scene(form).is_kept(event, event)


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
