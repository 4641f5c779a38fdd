"""Cache of decisions: responds to repeated checks without I/O, parsing or signatures.

It contains only results of pure computations, each under all of its inputs: the layout of headers
by their names, the deciding rule by the peer and the headers of a target, the caller by a digest of
the credentials, the response of that rule for that caller, and the refusals of a target by their
reason. Whether token, session and user are still valid is tested for each request. If only the rule
is cached, the check starts with it. A missing entry is added by a complete check.
A cache is valid for a single configuration: rules, keys and names of headers.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from authgw.core.audit import Event
from authgw.core.limits import (
    CALLER_OVERHEAD_BYTES,
    FIRST_USE_SLOTS,
    MAX_CACHED_CALLERS_BYTES,
    MAX_CACHED_CHECKS,
    MAX_CACHED_HEADERS_BYTES,
    MAX_CACHED_REFUSAL_BYTES,
    MAX_CACHED_REFUSALS,
    MAX_RECENT_CREDENTIALS,
    MAX_REFUSED_LAYOUTS,
)
from authgw.core.model import IdentityHeaders
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.headers import RawHeaders
from authgw.dialects.nginx import NGINX
from authgw.forward_auth.header_layout import HeaderClassifier, HeaderLayout
from authgw.forward_auth.response_bytes import Response, head_of
from authgw.services.identify import Identification
from authgw.services.results import Identity, Validity

# The dialect whose checks are cached: its target is in headers only, and so is its response.
DIALECT: Dialect = NGINX
PATH = DIALECT.path
DIRECT = -1  # in place of a rule's number, for a direct check

# All inputs of an entry: peer, names and values.
TargetKey = tuple[str, tuple[bytes, ...], tuple[bytes, ...]]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CachedRefusal:
    """The refusal of a target for a reason, and the event of the first such check."""

    response: Response
    event: Event


@dataclass(slots=True)
class _CallerEntry:
    """The validity of credentials, the rules that allow them as bits, and the responses."""

    validity: Validity
    rules: int = 0
    allowed: Response | None = None
    direct: Response | None = None

    def response(self, rule: int) -> Response | None:
        """Return the response of this rule, if it is cached that the rule allows the caller."""
        if rule == DIRECT:
            return self.direct
        return self.allowed if self.rules >> rule & 1 else None

    @property
    def size(self) -> int:
        """The bytes that the entry takes, estimated."""
        cached = [response for response in (self.allowed, self.direct) if response]
        content = sum(len(response.prepared) + len(response.body) for response in cached)
        return CALLER_OVERHEAD_BYTES + content


@dataclass(slots=True)
class _TargetRefusals:
    """The rule of a target that was refused, and its refusals by reason.

    `anonymous` is the refusal of a request without credentials.
    """

    rule: int
    anonymous: CachedRefusal | None = None
    by_reason: dict[str, CachedRefusal] = field(default_factory=dict)


@dataclass(slots=True)
class CheckKey:
    """The keys of a check in the cache.

    `names` and `values` are those of all headers, and blanks after a value do not count. `rule` is
    the cached number of the rule, and `refused` the cached refusals of the target; each is None if
    nothing is cached. `digest` is that of the credentials, if it is known already.
    """

    cache: "DecisionCache"
    names: tuple[bytes, ...]
    values: Sequence[bytes]
    layout: HeaderLayout
    target: TargetKey
    rule: int | None
    refused: _TargetRefusals | None
    digest: bytes | None = None

    @property
    def request(self) -> Subrequest:
        """The check."""
        values = [value.rstrip(b" \t") for value in self.values]
        headers = tuple(zip(self.names, values, strict=True))
        return Subrequest("GET", PATH, headers, self.target[0])

    @property
    def request_id(self) -> bytes | None:
        """The first X-Request-ID, or None."""
        position = self.layout.request_id
        return None if position is None else self.values[position].rstrip(b" \t")

    @property
    def credentials(self) -> RawHeaders:
        """The headers with credentials."""
        layout = self.layout
        sent = [value.rstrip(b" \t") for value in layout.credentials(self.values)]
        return tuple(zip(layout.credential_names, sent, strict=True))

    @property
    def caller(self) -> bytes:
        """The digest of the credentials."""
        if self.digest is None:
            layout = self.layout
            sent = layout.credentials(self.values)
            self.digest = self.cache.digest(layout.credential_names, sent)
        return self.digest

    def refusal(self, reason: str) -> CachedRefusal | None:
        """Return the cached refusal of the check for this reason."""
        return None if self.refused is None else self.refused.by_reason.get(reason)

    @property
    def anonymous_refusal(self) -> CachedRefusal | None:
        """The cached refusal of a check without credentials.

        A request without Authorization and Cookie has no other inputs than its target, so its
        refusal needs no decision.
        """
        if self.refused is None or self.layout.credential_names:
            return None
        return self.refused.anonymous


class DecisionCache:
    """Layouts, targets, refusals and callers of checks, each within its limit."""

    def __init__(self, identification: Identification, identity: IdentityHeaders) -> None:
        self._identification = identification
        self._classifier = HeaderClassifier(identity)
        self._layouts: OrderedDict[tuple[bytes, ...], HeaderLayout] = OrderedDict()
        self._refused_layouts: OrderedDict[tuple[bytes, ...], HeaderLayout] = OrderedDict()
        self._targets: OrderedDict[TargetKey, int] = OrderedDict()
        self._refusals: OrderedDict[TargetKey, _TargetRefusals] = OrderedDict()
        self._callers: OrderedDict[bytes, _CallerEntry] = OrderedDict()
        self._callers_bytes = 0
        self._first_uses = bytearray(FIRST_USE_SLOTS)
        # Of names and values; most were needed just before.
        self.digest = lru_cache(MAX_RECENT_CREDENTIALS)(
            lambda names, values: _digest(names, values)
        )

    def __len__(self) -> int:
        return max(len(self._layouts), len(self._targets), len(self._callers))

    def lookup(
        self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]
    ) -> tuple[Response, str] | CheckKey | None:
        """Return the cached response 200 to a check with these headers, and its session's sid.

        Without a response, return the keys of the check if its list of names is cached, else None.
        The check is a GET of HTTP/1.1 without a body. A response is found only for a list of names
        with which a request was accepted.
        """
        layout = self._layouts.get(names)
        if layout is None:
            layout = self._refused_layouts.get(names)
            return None if layout is None else self._key(peer, names, layout, values)
        target = (peer, layout.target_names, layout.target(values))
        rule = self._targets.get(target)
        if rule is None:
            return self._key(peer, names, layout, values)
        digest = self.digest(layout.credential_names, layout.credentials(values))
        caller = self._callers.get(digest)
        if caller is not None and self._identification.is_current(caller.validity):
            response = caller.response(rule)
            if response is not None:
                return response, caller.validity.sid
        refused = self._refusals.get(target)
        return CheckKey(self, names, values, layout, target, rule, refused, digest)

    def unread(self, key: CheckKey) -> tuple[Response, Validity] | None:
        """Return the cached response 200 to a check if the session of its caller has to be read.

        It may be sent if the validity, which is returned with it, is current after the read.
        """
        caller = self._callers.get(key.caller)
        if caller is None or not self._identification.has_to_be_read(caller.validity):
            return None
        response = None if key.rule is None else caller.response(key.rule)
        return None if response is None else (response, caller.validity)

    def key_of(self, request: Subrequest) -> CheckKey | None:
        """Return the keys of this request, or None if it must be checked completely."""
        if request.raw_path != PATH or request.method != "GET":
            return None
        names = tuple([name for name, _ in request.headers])
        values = [value for _, value in request.headers]
        if sum(map(len, names)) + sum(map(len, values)) > MAX_CACHED_HEADERS_BYTES:
            return None
        cached = self._layouts.get(names) or self._refused_layouts.get(names)
        layout = cached or self._classifier.layout(names)
        return None if layout is None else self._key(request.peer, names, layout, values)

    def _key(
        self, peer: str, names: tuple[bytes, ...], layout: HeaderLayout, values: Sequence[bytes]
    ) -> CheckKey:
        target = (peer, layout.target_names, layout.target(values))
        rule, refused = self._targets.get(target), self._refusals.get(target)
        if rule is None and refused is not None:
            rule = refused.rule
        return CheckKey(self, names, values, layout, target, rule, refused)

    def add_refusal(self, key: CheckKey, rule: int, refusal: CachedRefusal) -> None:
        """Cache the refusal of this rule for any caller who is refused for its reason."""
        if len(refusal.response.prepared) > MAX_CACHED_REFUSAL_BYTES:
            return
        if key.names not in self._refused_layouts:
            _put(self._refused_layouts, key.names, key.layout, MAX_REFUSED_LAYOUTS)
        known = self._refusals.get(key.target)
        if known is None:
            known = _TargetRefusals(rule)
            _put(self._refusals, key.target, known, MAX_CACHED_REFUSALS)
        known.by_reason[refusal.response.reason] = refusal
        if not key.layout.credential_names:
            known.anonymous = refusal

    def add(self, key: CheckKey, rule: int, identity: Identity, response: Response) -> None:
        """Cache a response 200 as the result of this rule, or of DIRECT.

        `identity` depends on a single credential. After the first request with these credentials
        only the layout and the rule are cached.
        """
        if self._targets.get(key.target) != rule:
            _put(self._targets, key.target, rule, MAX_CACHED_CHECKS)
        if key.names not in self._layouts:
            _put(self._layouts, key.names, key.layout, MAX_CACHED_CHECKS)
        digest = key.caller
        if self._is_first(digest):
            return
        caller = self._callers.pop(digest, None)
        if caller is not None:
            self._callers_bytes -= caller.size
        if caller is None or caller.validity != identity.validity:
            caller = _CallerEntry(identity.validity)
        _add_response(caller, rule, response)
        self._callers[digest] = caller
        self._callers_bytes += caller.size
        while self._callers_bytes > MAX_CACHED_CALLERS_BYTES:
            _, oldest = self._callers.popitem(last=False)
            self._callers_bytes -= oldest.size

    def _is_first(self, digest: bytes) -> bool:
        """Return True at first use of these credentials: used only once, they must cost little.

        Other credentials in the same slot may hide a use, which costs another complete check.
        """
        slot, mark = int.from_bytes(digest[:4], "big") % FIRST_USE_SLOTS, digest[4] | 1
        if self._first_uses[slot] == mark:
            return False
        self._first_uses[slot] = mark
        return True


def _digest(names: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return the SHA-256 digest of credentials with their names, which is kept instead of them."""
    # Neither names nor values contain a line feed, so different headers give different texts.
    return hashlib.sha256(b"\n".join((*names, *values))).digest()


def _add_response(caller: _CallerEntry, rule: int, response: Response) -> None:
    if rule == DIRECT:
        caller.direct = caller.direct or _prepared(response)
    else:
        caller.allowed = caller.allowed or _prepared(response)
        caller.rules |= 1 << rule


def _prepared(response: Response) -> Response:
    """Return the response with its head as bytes, without the headers that these contain."""
    return Response(response.status, (), response.body, prepared=head_of(response))


def _put(entries: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    entries[key] = value
    if len(entries) > most:
        entries.popitem(last=False)
