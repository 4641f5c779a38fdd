"""Lines of events that differ from lines before them in time, request id and session only."""

import re
import secrets
from collections.abc import Callable, Sequence

from authgw.core.audit import Event
from authgw.core.limits import MAX_KEPT_LINE_LENGTH, MAX_KEPT_LINES

# Texts that are written the same in each form of a line: a request id; id, subject and sid.
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PLAIN_IDS = re.compile(r"[A-Za-z0-9._:-]{1,128} [A-Za-z0-9._:-]{1,255} [A-Za-z0-9_-]{1,64}")
# No event contains it, so a rendered line can be cut there.
_MARK = secrets.token_hex(16)
_TIME, _ID, _SUB, _SID = f"t{_MARK}", f"i{_MARK}", f"s{_MARK}", f"n{_MARK}"
_OF_SESSIONS = frozenset({"login", "logout"})

# Renders an event with a time.
RenderEvent = Callable[[Event, str], str]


class RepeatedLines:
    """Lines of events; the parts of a line that a stranger, or a backend, can repeat are kept.

    Rendering takes longer than the rest of a denial whose response is cached.
    """

    def __init__(self, render: RenderEvent) -> None:
        self._render = render
        self._kept: dict[tuple[object, ...], str] = {}

    def line(self, event: Event, time: str) -> str:
        """Return the line of this event at a time, as the function for single events does."""
        name, number, address, sub, sid, *rest = event
        if name == "deny" and not sub and _PLAIN_ID.fullmatch(number):
            template = self._template((address, sid, *rest), event, (_TIME, _ID))
            return template % (time, number) if template else self._render(event, time)
        if name in _OF_SESSIONS and _PLAIN_IDS.fullmatch(f"{number} {sub} {sid}"):
            template = self._template((name, address, *rest), event, (_TIME, _ID, _SUB, _SID))
            return template % (time, number, sub, sid) if template else self._render(event, time)
        return self._render(event, time)

    def _template(self, key: tuple[object, ...], event: Event, marks: Sequence[str]) -> str:
        """Return the line with a place for each mark, in their order; empty if it is not kept."""
        kept = self._kept.get(key)
        if kept is None:
            kept = self._cut(event, marks)
            if len(kept) > MAX_KEPT_LINE_LENGTH:
                return ""
            if len(self._kept) >= MAX_KEPT_LINES:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _cut(self, event: Event, marks: Sequence[str]) -> str:
        _, number, *ids = marks
        marked = event._replace(request_id=number)
        if ids:
            sub, sid = ids
            marked = marked._replace(sub=sub, sid=sid)
        rest, template = self._render(marked, _TIME).replace("%", "%%"), ""
        for mark in marks:
            before, _, rest = rest.partition(mark)
            template += f"{before}%s"
        return template + rest
