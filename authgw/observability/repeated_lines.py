"""Lines of denied requests that differ from lines before them in time and request id only."""

import re
import secrets
from collections.abc import Callable

from authgw.core.audit import Event
from authgw.core.limits import MAX_KEPT_LINE_LENGTH, MAX_KEPT_LINES

# A request id that is written the same in each form of a line.
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# No event contains it, so a rendered line can be cut there.
_MARK = secrets.token_hex(16)
_TIME, _ID = f"t{_MARK}", f"i{_MARK}"

# Renders an event with a time.
RenderEvent = Callable[[Event, str], str]


class RepeatedLines:
    """Lines of events; the parts of a line that a stranger can repeat are kept.

    Rendering takes longer than the rest of a denial whose response is cached.
    """

    def __init__(self, render: RenderEvent) -> None:
        self._render = render
        self._kept: dict[tuple[object, ...], tuple[str, str, str]] = {}

    def line(self, event: Event, time: str) -> str:
        """Return the line of this event at a time, as the function for single events does."""
        if event.name != "deny" or event.sub or not _PLAIN_ID.fullmatch(event.request_id):
            return self._render(event, time)
        key = event[2:]  # all except name and request id
        kept = self._kept.get(key)
        if kept is None:
            kept = self._parts(event)
            if sum(map(len, kept)) > MAX_KEPT_LINE_LENGTH:
                return self._render(event, time)
            if len(self._kept) >= MAX_KEPT_LINES:
                self._kept.clear()
            self._kept[key] = kept
        before, between, after = kept
        return f"{before}{time}{between}{event.request_id}{after}"

    def _parts(self, event: Event) -> tuple[str, str, str]:
        before, _, rest = self._render(event._replace(request_id=_ID), _TIME).partition(_TIME)
        between, _, after = rest.partition(_ID)
        return before, between, after
