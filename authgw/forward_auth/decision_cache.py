"""Cache of decisions: responds to repeated checks without I/O, parsing or signatures.

It contains only results of pure computations, each under all of its inputs: the layout of headers
by their names, the deciding rule by the peer and the headers of a target, the identity by the
credentials, and the response of that rule for that identity. Whether token, session and user are
still valid is tested for each request. If only the rule is cached, the check starts with it. A
missing entry is added by a complete check.
A cache is valid for a single configuration: rules, keys and names of headers.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from authgw.core.limits import MAX_CACHED_CHECKS, MAX_CACHED_HEADERS_BYTES, MAX_CACHED_RULES
from authgw.core.model import IdentityHeaders, ProxyResponse
from authgw.dialects.base import Dialect
from authgw.dialects.headers import RawHeaders
from authgw.dialects.nginx import NGINX
from authgw.forward_auth.header_layout import HeaderClassifier, HeaderLayout
from authgw.forward_auth.response_bytes import PreparedResponse, is_preparable
from authgw.services.identify import Identification
from authgw.services.results import Identity
from authgw.web.context import peer_of

# The dialect whose checks are cached: its target is in headers only, and so is its response.
DIALECT: Dialect = NGINX
PATH = DIALECT.path
DIRECT = -1  # in place of a rule's number, for a direct check

# All inputs of an entry: peer, names and values; names and values of credentials.
TargetKey = tuple[str, tuple[bytes, ...], tuple[bytes, ...]]
CredentialsKey = tuple[tuple[bytes, ...], tuple[bytes, ...]]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class CheckKey:
    """The keys of a check in the cache; `rule` is the cached number of its rule, or None.

    A prepared response is suitable for the request.
    """

    cache: "DecisionCache"
    names: tuple[bytes, ...]
    layout: HeaderLayout
    target: TargetKey
    credentials_key: CredentialsKey
    rule: int | None

    @property
    def credentials(self) -> RawHeaders:
        """The headers with credentials."""
        return tuple(zip(*self.credentials_key, strict=True))


@dataclass(slots=True)
class _CallerEntry:
    """The identity behind credentials, the rules that allow it, and the responses for it."""

    identity: Identity
    rules: set[int] = field(default_factory=set)
    allowed: PreparedResponse | None = None
    direct: PreparedResponse | None = None

    def response(self, rule: int) -> PreparedResponse | None:
        """Return the response of this rule, if it is cached that the rule allows the caller."""
        return self.allowed if rule in self.rules else None


class DecisionCache:
    """At most 4,096 targets and as many callers, each with at most 8 KB of headers."""

    def __init__(self, identification: Identification, identity: IdentityHeaders) -> None:
        self._identification = identification
        self._classifier = HeaderClassifier(identity)
        self._layouts: OrderedDict[tuple[bytes, ...], HeaderLayout] = OrderedDict()
        self._targets: OrderedDict[TargetKey, int] = OrderedDict()
        self._callers: OrderedDict[CredentialsKey, _CallerEntry] = OrderedDict()
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return max(len(self._layouts), len(self._targets), len(self._callers))

    def lookup(
        self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]
    ) -> PreparedResponse | None:
        """Return the cached response 200 to a check with these headers, if it is still valid.

        The check is a GET of HTTP/1.1 without a body. A list of names is cached only after aiohttp
        accepted a request with it, so requests that aiohttp refuses are never found.
        """
        layout = self._layouts.get(names)
        if layout is None:
            return None
        rule = self._targets.get((peer, layout.target_names, layout.target(values)))
        caller = self._callers.get((layout.credential_names, layout.credentials(values)))
        if rule is None or caller is None or not self._identification.is_current(caller.identity):
            return None
        return caller.direct if rule == DIRECT else caller.response(rule)

    def key_of(self, request: web.BaseRequest) -> CheckKey | None:
        """Return the keys of this request, or None if it must be checked completely."""
        if request.raw_path != PATH or not is_preparable(request):
            return None
        names = tuple([name for name, _ in request.raw_headers])
        values = [value for _, value in request.raw_headers]
        if sum(map(len, names)) + sum(map(len, values)) > MAX_CACHED_HEADERS_BYTES:
            return None
        layout = self._layouts.get(names) or self._classifier.layout(names)
        if layout is None:
            return None
        target = (peer_of(request), layout.target_names, layout.target(values))
        credentials = (layout.credential_names, layout.credentials(values))
        return CheckKey(self, names, layout, target, credentials, self._targets.get(target))

    def add(
        self, key: CheckKey, rule: int, identity: Identity, reply: ProxyResponse
    ) -> PreparedResponse | None:
        """Cache a response 200 as the result of this rule, or of DIRECT, and return it prepared.

        `identity` depends on a single credential. Returns None for the first request with these
        credentials: only the layout and the rule are cached.
        """
        if key.rule != rule:
            _put(self._targets, key.target, rule)
        if key.names not in self._layouts:
            _put(self._layouts, key.names, key.layout)
        if self._is_first(key.credentials_key):
            return None
        caller = self._callers.get(key.credentials_key)
        if caller is None or not _have_same_claims(caller.identity, identity):
            caller = _CallerEntry(identity)
            _put(self._callers, key.credentials_key, caller)
        caller.identity = identity
        return _add_response(caller, rule, reply)

    def forget(self, sid: str) -> None:
        """Remove all responses for this session, so that its next check is complete."""
        outdated = [
            key for key, caller in self._callers.items() if caller.identity.session.sid == sid
        ]
        for key in outdated:
            del self._callers[key]

    def _is_first(self, credentials: CredentialsKey) -> bool:
        """Return True at first use of these credentials: used only once, they must cost little."""
        digest = hash(credentials)
        if digest in self._seen:
            return False
        if len(self._seen) >= MAX_CACHED_CHECKS:
            self._seen.clear()
        self._seen.add(digest)
        return True


# The keys of a check that may be cached.
CHECK_KEY = web.RequestKey("check_key", CheckKey)


def _have_same_claims(one: Identity, other: Identity) -> bool:
    # Another token of the same session has another expiry.
    return one.principal == other.principal and one.token == other.token


def _add_response(caller: _CallerEntry, rule: int, reply: ProxyResponse) -> PreparedResponse:
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


def _put(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    if len(entries) > MAX_CACHED_CHECKS:
        entries.popitem(last=False)
