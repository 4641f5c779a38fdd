"""The short way of a question that was answered before: nothing is waited for, read or signed.

What is remembered are results of pure computations only, each under everything it came from:
where in headers of certain names stands what matters, which rule decides a question (its headers
but the credentials, and the peer), whom credentials stand for, and the answer of that rule to that
caller. Whether token, session and person still hold is looked at each time. Where only the rule is
known, the long way begins with it. What is not known here the long way teaches.
Everything is remembered for as long as rules, keys and names of headers stay the same.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from authgw.core.limits import MAX_CACHED_CHECKS, MAX_CACHED_HEADERS_BYTES, MAX_CACHED_RULES
from authgw.core.model import IdentityHeaders, ProxyResponse
from authgw.dialects.headers import RawHeaders
from authgw.services.identify import Identification
from authgw.services.results import Identity
from authgw.web.context import peer_of
from authgw.web.header_layout import HeaderClassifier, HeaderLayout
from authgw.web.prepared_response import PreparedResponse, fits

PATH = "/authenticate"
DIRECT = -1  # stands for a rule where a check names no request

# Each under all that it came from: peer, names and values; names and values of credentials.
Question = tuple[str, tuple[bytes, ...], tuple[bytes, ...]]
Shown = tuple[tuple[bytes, ...], tuple[bytes, ...]]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class CheckKey:
    """What a request asks and who asks; `rule` is the one that decides it, None if not known.

    `shortcut` is the memory that knows it, and that learns what is answered. A prepared answer
    fits the request.
    """

    shortcut: "DecisionCache"
    names: tuple[bytes, ...]
    shape: HeaderLayout
    question: Question
    shown: Shown
    rule: int | None

    @property
    def credentials(self) -> RawHeaders:
        """The headers that show who asks."""
        return tuple(zip(*self.shown, strict=True))


@dataclass(slots=True)
class _Caller:
    """Whom some credentials stand for, which rules let them pass, and what is answered then."""

    found: Identity
    rules: set[int] = field(default_factory=set)
    allowed: PreparedResponse | None = None
    direct: PreparedResponse | None = None

    def allowed_by(self, rule: int) -> PreparedResponse | None:
        """The answer, if this rule is known to let the caller pass."""
        return self.allowed if rule in self.rules else None


class DecisionCache:
    """What is known of questions and callers; at most 4,096 of each, with 8 KB of headers each."""

    def __init__(self, identification: Identification, identity: IdentityHeaders) -> None:
        self._identification = identification
        self._sorter = HeaderClassifier(identity)
        self._shapes: OrderedDict[tuple[bytes, ...], HeaderLayout] = OrderedDict()
        self._questions: OrderedDict[Question, int] = OrderedDict()
        self._callers: OrderedDict[Shown, _Caller] = OrderedDict()
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return max(len(self._shapes), len(self._questions), len(self._callers))

    def known(
        self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]
    ) -> PreparedResponse | None:
        """The answer of 200 to a check by these headers, if it is known to be still right.

        The check is a GET of HTTP/1.1 without a body. Only headers of names that came before in
        this order, in a request that aiohttp read and that was answered, are known: whatever it
        refuses for its names is refused still.
        """
        shape = self._shapes.get(names)
        if shape is None:
            return None
        rule = self._questions.get((peer, shape.asking, shape.question(values)))
        caller = self._callers.get((shape.showing, shape.credentials(values)))
        if rule is None or caller is None or not self._identification.is_current(caller.found):
            return None
        return caller.direct if rule == DIRECT else caller.allowed_by(rule)

    def asked(self, request: web.BaseRequest) -> CheckKey | None:
        """What this request asks, None if only the long way can tell."""
        if request.raw_path != PATH or not fits(request):
            return None
        names = tuple([name for name, _ in request.raw_headers])
        values = [value for _, value in request.raw_headers]
        if sum(map(len, names)) + sum(map(len, values)) > MAX_CACHED_HEADERS_BYTES:
            return None
        shape = self._shapes.get(names) or self._sorter.shape(names)
        if shape is None:
            return None
        question = (peer_of(request), shape.asking, shape.question(values))
        shown = (shape.showing, shape.credentials(values))
        return CheckKey(self, names, shape, question, shown, self._questions.get(question))

    def learn(
        self, asked: CheckKey, rule: int, found: Identity, reply: ProxyResponse
    ) -> PreparedResponse | None:
        """The answer of 200 to this, remembered as what this rule, or DIRECT, leads to.

        `found` rests on the one credential that was looked at. None if its caller came for the
        first time.
        """
        if asked.rule != rule:
            _keep(self._questions, asked.question, rule)
        if asked.names not in self._shapes:
            _keep(self._shapes, asked.names, asked.shape)
        if self._is_first(asked.shown):
            return None
        caller = self._callers.get(asked.shown)
        if caller is None or not _same(caller.found, found):
            caller = _Caller(found)
            _keep(self._callers, asked.shown, caller)
        caller.found = found
        return _taught(caller, rule, reply)

    def forget(self, sid: str) -> None:
        """Answer the next check of this session anew."""
        callers = [shown for shown, one in self._callers.items() if one.found.session.sid == sid]
        for shown in callers:
            del self._callers[shown]

    def _is_first(self, shown: Shown) -> bool:
        """Whether these came for the first time: what comes once only should cost little."""
        seen = hash(shown)
        if seen in self._seen:
            return False
        if len(self._seen) >= MAX_CACHED_CHECKS:
            self._seen.clear()
        self._seen.add(seen)
        return True


# A check that the short way can learn from.
ASKED = web.RequestKey("asked", CheckKey)


def _same(one: Identity, other: Identity) -> bool:
    # Another token of the same session lives for another time.
    return one.principal == other.principal and one.token == other.token


def _taught(caller: _Caller, rule: int, reply: ProxyResponse) -> PreparedResponse:
    if rule == DIRECT:
        caller.direct = caller.direct or PreparedResponse(
            reply.status, reply.headers, reply.body.encode()
        )
        return caller.direct
    if len(caller.rules) >= MAX_CACHED_RULES:
        caller.rules.clear()
    caller.rules.add(rule)
    caller.allowed = caller.allowed or PreparedResponse(reply.status, reply.headers)
    return caller.allowed


def _keep(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    if len(memory) > MAX_CACHED_CHECKS:
        memory.popitem(last=False)
