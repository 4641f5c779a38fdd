"""Visits of a signed-in browser to a login page, which tell a redirect loop from several tabs.

A loop repeats the same return target without an allowed check in between. The browser carries the
number of visits in a cookie: tabs that are reloaded at once carry the same number, a chain of
redirects a growing number.
"""

import hashlib
import re
from dataclasses import dataclass

from authgw.core.limits import LOOP_WINDOW
from authgw.forward_auth.allowed_checks import AllowedChecks

_MARK = re.compile(r"([0-9a-f]{16})\.([0-9]{1,3})\.([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Visit:
    """The latest visit; `mark` identifies session and return target, `at` is in Unix seconds."""

    mark: str
    number: int
    at: float

    @property
    def text(self) -> str:
        """The value of its cookie."""
        return f"{self.mark}.{self.number}.{int(self.at * 1000)}"


def next_visit(
    carried: tuple[str, ...], sid: str, host: str, rd: str, allowed: AllowedChecks
) -> Visit:
    """Return this visit; its number is 1 unless it continues a chain of the `carried` cookies."""
    mark = hashlib.sha256(f"{sid} {rd}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    now, before = allowed.clock(), 0
    for name, number, at in (match.groups() for match in map(_MARK.fullmatch, carried) if match):
        then = int(at) / 1000
        if name == mark and 0 <= now - then <= LOOP_WINDOW and not allowed.since(sid, host, then):
            before = max(before, int(number))
    return Visit(mark, before + 1, now)
