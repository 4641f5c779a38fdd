"""What a client may be told about its sessions: every answer is held against this."""

import base64
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.line import LineResponse


@dataclass
class ModelSession:
    """A session as its client knows it; times are of the loop's clock.

    `asked_to_end` is when its end was first asked for: from then on it may be over. `ended` is when
    that was acknowledged, or first seen: from then on it is over. `gen` is the latest generation.
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
    """Judges answers; `staleness` is how long an ended session may still be let in, in seconds.

    `wrong` holds every answer that must never be; `counts` counts the others.
    """

    staleness: float
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _successors: dict[tuple[str, int], str] = field(default_factory=dict)
    _excused_until: float = -math.inf

    def excuse(self, until: float) -> None:
        """A 503 to what is sent until then is no surprise: something is broken, or just was."""
        self._excused_until = until

    def judge_check(self, session: ModelSession, answer: LineResponse, user: str) -> None:
        """A protected page was asked for; `user` is whom the app was told."""
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
        """A refresh token was presented; `pair` is what came of it."""
        if pair is None:
            self._judge_refusal("refresh", session, answer)
            return
        said = claims(pair["refresh"])
        known = self._successors.setdefault((session.sid, said["gen"]), said["jti"])
        if pair["sid"] != session.sid or said["sub"] != str(session.user):
            self._is_wrong("identity crossed", session, answer)
        elif known != said["jti"]:
            self._is_wrong("two winners", session, answer)
        elif session.ended is not None and answer.sent > session.ended:
            self._is_wrong("refreshed after its end", session, answer)
        else:
            self.counts["refreshed"] += 1

    def judge_end(self, sessions: list[ModelSession], answer: LineResponse) -> bool:
        """Sessions were asked to end; say whether they have."""
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
        """A page for anyone was asked for."""
        if answer.status != 200:
            self.wrong.append(f"public page: {answer.status}")
        self.counts["public"] += 1

    def judge_login(self, answer: LineResponse) -> bool:
        """Somebody logged in; say whether that worked."""
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
            # Whoever was once refused for good stays refused.
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
    """What a token says."""
    part = token.split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return said
