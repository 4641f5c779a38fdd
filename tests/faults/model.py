"""Expected results of a client's requests: every response is compared with them."""

import base64
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.line import LineResponse


@dataclass
class ModelSession:
    """A session from the client's view; times are of the loop's clock.

    `asked_to_end` is the time of the first request to end it: from then on it may have ended. It is
    that of the login if a logout everywhere may arrive later.
    `ended` is the time at which the end was acknowledged or first observed: from then on it must
    have ended. `gen` is the latest generation.
    """

    user: int
    sid: str
    access: str
    refresh: str
    gen: int = 0
    asked_to_end: float | None = None
    ended: float | None = None


@dataclass
class SoakModel:
    """Checks responses; an ended session may still be valid for `staleness` seconds.

    `wrong` has every incorrect response; `counts` counts all others.
    """

    staleness: float
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _successors: dict[tuple[str, int], str] = field(default_factory=dict)
    _excused_until: float = -math.inf

    def expect_503(self, until: float) -> None:
        """Expect 503 responses to requests sent until this time, because of a fault."""
        self._excused_until = until

    def judge_check(self, session: ModelSession, answer: LineResponse, user: str) -> None:
        """Check the response to a request for a protected page; the app received `user`."""
        if answer.status == 200:
            if user != str(session.user):
                self._is_wrong("identity crossed", session, answer, user)
            elif session.ended is not None and answer.sent >= session.ended + self.staleness:
                self._is_wrong("let in after its end", session, answer)
            else:
                self.counts["let in"] += 1
        else:
            self._judge_refusal("check", session, answer)

    def judge_refresh(
        self, session: ModelSession, answer: LineResponse, pair: dict[str, Any] | None
    ) -> None:
        """Check the response to a refresh; `pair` is its result."""
        if pair is None:
            self._judge_refusal("refresh", session, answer)
            return
        payload = claims(pair["refresh"])
        first_jti = self._successors.setdefault((session.sid, payload["gen"]), payload["jti"])
        if pair["sid"] != session.sid or payload["sub"] != str(session.user):
            self._is_wrong("identity crossed", session, answer)
        elif first_jti != payload["jti"]:
            self._is_wrong("two winners", session, answer)
        elif session.ended is not None and answer.sent > session.ended:
            self._is_wrong("refreshed after its end", session, answer)
        else:
            self.counts["refreshed"] += 1

    def judge_end(self, sessions: list[ModelSession], answer: LineResponse) -> bool:
        """Check the response to a logout of these sessions; return True if they have ended."""
        for session in sessions:
            session.asked_to_end = session.asked_to_end or answer.sent
        if answer.status == 200:
            for session in sessions:
                session.ended = session.ended or answer.ended
            self.counts["ended"] += 1
        else:
            self._count_503("end", answer)
        return answer.status == 200

    def judge_public(self, answer: LineResponse) -> None:
        """Check the response to a request for a public page."""
        if answer.status != 200:
            self.wrong.append(f"public page: {answer.status}")
        self.counts["public"] += 1

    def judge_login(self, answer: LineResponse) -> bool:
        """Check the response to a login; return True if it succeeded."""
        if answer.status == 200:
            self.counts["logged in"] += 1
            return True
        self._count_503("login", answer)
        return False

    def _judge_refusal(self, what: str, session: ModelSession, answer: LineResponse) -> None:
        if answer.status != 401:
            self._count_503(what, answer)
        elif session.asked_to_end is None or answer.ended < session.asked_to_end:
            reason = answer.headers.get("x-authgw-reason", "")
            self._is_wrong(f"{what} refused while alive: {reason}", session, answer)
        else:
            # A session that was refused with 401 must stay refused.
            session.ended = session.ended or answer.ended
            self.counts["refused"] += 1

    def _count_503(self, what: str, answer: LineResponse) -> None:
        if answer.status != 503:
            self.wrong.append(f"{what}: {answer.status} {answer.body[:100]!r}")
        elif answer.sent <= self._excused_until:
            self.counts["503 in a fault"] += 1
        else:
            self.counts["503 without a fault"] += 1

    def _is_wrong(
        self, what: str, session: ModelSession, answer: LineResponse, more: str = ""
    ) -> None:
        ends = f"asked to end {session.asked_to_end}, ended {session.ended}"
        when = f"sent {answer.sent}, answered {answer.ended}"
        self.wrong.append(f"{what}: user {session.user} {session.sid}: {when}, {ends} {more}")


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token."""
    part = token.split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return payload
