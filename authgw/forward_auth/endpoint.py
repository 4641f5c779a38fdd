"""The check of a request for a proxy: who sent it, and whether a rule allows it.

It takes a plain request and returns a plain response. Most checks are decided at once; only a
session that is not mirrored has to be read, so only such a check is a coroutine.
"""

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from authgw.core.audit import Event
from authgw.core.errors import AuthgwError, StoreUnavailableError
from authgw.core.model import AccessRequest, Decision, Verdict
from authgw.core.rules import ANY_SESSION, Credential, Match, Rule, allows_anyone, authorize, decide
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.headers import other_cookies
from authgw.dialects.nginx import NGINX
from authgw.dialects.responses import for_a_browser
from authgw.forward_auth.caller import (
    ANONYMOUS,
    BegunCaller,
    Caller,
    begin_caller,
    identify,
    optional,
    read_optional,
)
from authgw.forward_auth.check_events import allowed_event, denied_event, repeated_event
from authgw.forward_auth.context import CheckContext
from authgw.forward_auth.decision_cache import (
    DIALECT,
    DIRECT,
    CachedRefusal,
    CheckKey,
    DecisionCache,
)
from authgw.forward_auth.direct_check import DirectCheck
from authgw.forward_auth.pending_check import PendingCheck
from authgw.forward_auth.problems import failure_event, problem, refusal_event
from authgw.forward_auth.response_bytes import Response, head_of
from authgw.services.results import Validity

# A response, or the coroutine that returns it after a session was read.
Begun = Response | Coroutine[Any, Any, Response]


class CheckEndpoint:
    """Responds to the checks of a gateway; its cache is None if no decision may be cached."""

    def __init__(self, context: CheckContext) -> None:
        policy = context.policy
        self.context = context
        # Only a complete check records what is allowed, and checks where a cookie is valid.
        is_cached = not policy.record_allowed and len(policy.cookies) < 2
        self.cache = DecisionCache(context.identification, policy.identity) if is_cached else None

    def lookup(
        self, peer: str, names: tuple[bytes, ...], values: Sequence[bytes]
    ) -> Response | CheckKey | None:
        """Return the response to a check by this peer with these headers, if it is cached.

        Otherwise return the keys of the check if they may be known, for `begin_known`, else None.
        The check is a GET of HTTP/1.1 without a body, on a connection that is kept; its headers
        have at most MAX_CACHED_HEADERS_BYTES. Blanks after a value are ignored.
        """
        found = None if self.cache is None else self.cache.lookup(peer, names, values)
        if found is None or isinstance(found, CheckKey):
            return found
        response, sid = found
        # A watched session has to be noted by a complete check.
        return None if self.context.allowed_checks.watches(sid) else response

    def begin_known(self, key: CheckKey) -> Begun | None:
        """Respond to a check, whose keys `lookup` returned, if its rule is cached, else None."""
        rule = self._cached_rule(key)
        if rule is None:
            return None
        check = PendingCheck(self.context, key, DIALECT)
        anonymous = key.anonymous_refusal
        if anonymous is None:
            return self._started(check, rule)
        # Only the id differs from that of the first event.
        self.context.record(anonymous.event.repeated(check.request_id))
        return check.identified(anonymous.response)

    def begin(self, request: Subrequest, dialect: Dialect, *, is_plain: bool) -> Begun:
        """Respond to a subrequest of this dialect, or to a direct check.

        `is_plain`: it is a request of HTTP/1.1 without a body on a connection that is kept, so it
        may be cached.
        """
        cache = self.cache if is_plain and dialect is DIALECT else None
        key = None if cache is None else cache.key_of(request)
        check = PendingCheck(self.context, key or request, dialect)
        return self._started(check, self._cached_rule(key))

    def _started(self, check: PendingCheck, rule: Rule | None) -> Begun:
        """Respond to a check whose rule is cached, or has to be found."""
        try:
            begun = (
                self._by_rule(check, check.key, rule) if check.key and rule else self._begin(check)
            )
        except Exception as error:
            return _refusal(check, error)
        return begun if isinstance(begun, Response) else _guarded(check, begun)

    async def respond(self, request: Subrequest, dialect: Dialect) -> Response:
        """Respond to a request that has a body, or to another that may not be cached."""
        return await _done(self.begin(request, dialect, is_plain=False))

    async def denied(self, request: Subrequest) -> Response:
        """Return the page for a browser that NGINX or HAProxy refuses; the proxy requests it.

        The request is decided again: the proxy keeps nothing of the first response but its status.

        Raises:
            UntrustedProxyError and the other errors of `Dialect.describe`.
            StoreUnavailableError: the session cannot be read now.
        """
        check = PendingCheck(self.context, request, NGINX)
        access = check.describe()
        match = self.context.policy.rules.match(access)
        begun = self._begin_caller(check, match, access)
        caller = begun if isinstance(begun, Caller) else await begun
        decision = for_a_browser(decide(match, access, caller.principal, caller.reason), access)
        if decision.verdict is not Verdict.DENY:
            decision = Decision(Verdict.DENY, "not_permitted", decision.principal)
        return await self._page(check, decision, access)

    def _begin(self, check: PendingCheck) -> Begun:
        if not check.dialect.is_subrequest(check.request.headers):
            return DirectCheck(self.context, check).begin()
        return self._by_target(check)

    def _cached_rule(self, key: CheckKey | None) -> Rule | None:
        """Return the cached rule of a check if its decision depends on nothing but the caller."""
        if key is None or key.rule is None or key.rule == DIRECT:
            return None
        rule = self.context.policy.rules.ordered[key.rule]
        # An app password is valid for some paths only.
        return None if rule.accepts(Credential.APP_PASSWORD) else rule

    def _by_rule(self, check: PendingCheck, key: CheckKey, rule: Rule) -> Begun:
        """Respond to a subrequest whose deciding rule is cached."""
        unread = key.cache.unread(key)
        if unread is None:
            return self._by_new_caller(check, key, rule)
        return self._by_cached_caller(check, key, rule, *unread)

    async def _by_cached_caller(
        self, check: PendingCheck, key: CheckKey, rule: Rule, response: Response, validity: Validity
    ) -> Response:
        """Return the cached response if a read of the caller's session shows that it is valid."""
        try:
            is_current = await self.context.identification.is_current_in_store(validity)
        except StoreUnavailableError as error:
            return await _done(self._refused(check, check.describe(), error))
        # A watched session has to be noted by a complete check.
        if is_current and not self.context.allowed_checks.watches(validity.sid):
            return response
        return await _done(self._by_new_caller(check, key, rule))

    def _by_new_caller(self, check: PendingCheck, key: CheckKey, rule: Rule) -> Begun:
        """Respond to a subrequest whose deciding rule is cached; only its caller is new."""
        caller = begin_caller(key.credentials, self.context, rule, None)
        if not isinstance(caller, Caller):
            return self._by_rule_after_read(check, rule, caller)
        cached = key.refusal(caller.reason) if caller.refusal else None
        if cached is not None:
            return _from_cache(check, caller, cached)
        return self._authorized(check, rule, caller)

    async def _by_rule_after_read(
        self, check: PendingCheck, rule: Rule, reading: Coroutine[Any, Any, Caller]
    ) -> Response:
        try:
            caller = await reading
        except StoreUnavailableError as error:
            return await _done(self._refused(check, check.describe(), error))
        return await _done(self._authorized(check, rule, caller))

    def _authorized(self, check: PendingCheck, rule: Rule, caller: Caller) -> Begun:
        decision = authorize(rule, caller.principal, caller.reason)
        # Only a refusal names the target, so only then its headers are parsed.
        access = None if decision.verdict is Verdict.ALLOW else check.describe()
        return self._respond(check, access, decision, caller, rule)

    def _by_target(self, check: PendingCheck) -> Begun:
        """Respond to a subrequest about a target that has to be matched with the rules.

        Match first, identify second: a public page must not depend on credentials or store.
        """
        try:
            access = check.describe()
        except AuthgwError as error:
            return self._refused(check, None, error)
        match = self.context.policy.rules.match(access)
        caller = self._begin_caller(check, match, access)
        if isinstance(caller, Caller):
            return self._matched(check, match, access, caller)
        return self._by_target_after_read(check, match, access, caller)

    async def _by_target_after_read(
        self,
        check: PendingCheck,
        match: Match,
        access: AccessRequest,
        reading: Coroutine[Any, Any, Caller],
    ) -> Response:
        try:
            caller = await reading
        except StoreUnavailableError as error:
            return await _done(self._refused(check, access, error))
        return await _done(self._matched(check, match, access, caller))

    def _begin_caller(
        self, check: PendingCheck, match: Match, access: AccessRequest
    ) -> BegunCaller:
        if match.rule is None:
            return ANONYMOUS
        begun = begin_caller(check.headers, self.context, match.rule, access)
        if not allows_anyone(match.rule, access):
            return begun
        return optional(begun) if isinstance(begun, Caller) else read_optional(begun)

    def _matched(
        self, check: PendingCheck, match: Match, access: AccessRequest, caller: Caller
    ) -> Begun:
        decision = decide(match, access, caller.principal, caller.reason)
        return self._respond(check, access, decision, caller, match.rule)

    def _refused(
        self, check: PendingCheck, access: AccessRequest | None, error: AuthgwError
    ) -> Begun:
        decision = Decision(Verdict.DENY, error.code)
        return self._respond(check, access, decision, Caller(None, error), None)

    def _respond(
        self,
        check: PendingCheck,
        access: AccessRequest | None,
        decision: Decision,
        caller: Caller,
        rule: Rule | None,
    ) -> Begun:
        """Record and render a decision, and cache it if every such request gets this response."""
        policy = self.context.policy
        decision = for_a_browser(decision, access)
        page = policy.sites.covering(access.location.host) if access else None
        reply = check.dialect.render(
            decision, access, identity=policy.identity, login_url=page.url if page else None
        )
        if decision.verdict is Verdict.ALLOW:
            self._note_allowed(check, decision, access)
            if policy.record_allowed:
                check.record(allowed_event(check, decision, access, caller, rule))
            return self._allowed(check, Response(200, reply.headers), caller, rule)
        event = denied_event(check, decision, access, caller, rule, reply.status)
        check.record(event)
        if reply.body and access and access.wants_html and reply.status in (403, 503):
            return self._page(check, decision, access)
        return self._denied(
            check,
            access,
            decision,
            Response(reply.status, reply.headers, reply.body.encode(), reason=decision.reason),
            rule,
            event,
        )

    def _allowed(
        self, check: PendingCheck, response: Response, caller: Caller, rule: Rule | None
    ) -> Response:
        if check.key and caller.identity and rule is not None:
            # Not once for the connection and once for the cache.
            response = Response(200, response.headers, prepared=head_of(response))
            check.key.cache.add(check.key, rule.number, caller.identity, response)
        header = None if check.dialect.removes_cookies else other_cookies(check.headers)
        return response if header is None else response._replace(own=(("Cookie", header),))

    def _denied(
        self,
        check: PendingCheck,
        access: AccessRequest | None,
        decision: Decision,
        response: Response,
        rule: Rule | None,
        event: Event,
    ) -> Response:
        is_cacheable = not response.body and _is_same_for_all(decision, access)
        if is_cacheable and check.key and rule is not None:
            refusal = CachedRefusal(response._replace(prepared=head_of(response)), event)
            check.key.cache.add_refusal(check.key, rule.number, refusal)
        return check.identified(response)

    def _note_allowed(
        self, check: PendingCheck, decision: Decision, access: AccessRequest | None
    ) -> None:
        """Note an allowed check for the login page, if it watches the session for a loop."""
        checks, principal = self.context.allowed_checks, decision.principal
        if principal is not None and checks.watches(principal.sid):
            checks.note(principal.sid, (access or check.describe()).location.host)

    async def _page(
        self, check: PendingCheck, decision: Decision, access: AccessRequest
    ) -> Response:
        """Return the page of a refusal with its principal, also if that had no influence."""
        if decision.principal is None:
            reading = identify(check.headers, self.context, ANY_SESSION, access)
            decision = replace(decision, principal=(await read_optional(reading)).principal)
        reply = check.dialect.render(decision, access, identity=self.context.policy.identity)
        page = self.context.refusal_page(decision, access, reply, check.request_id)
        return page._replace(reason=decision.reason)


async def _guarded(check: PendingCheck, begun: Coroutine[Any, Any, Response]) -> Response:
    try:
        return await begun
    except Exception as error:
        return _refusal(check, error)


async def _done(begun: Begun) -> Response:
    return begun if isinstance(begun, Response) else await begun


def _refusal(check: PendingCheck, error: Exception) -> Response:
    """Record an exception and return its problem document."""
    if not isinstance(error, AuthgwError):
        check.record(failure_event(error, check.request_id, check.client_address, check.own_target))
        return problem("internal_error", check.request_id)
    check.record(refusal_event(error, check.request_id, check.client_address, check.own_target))
    return problem(error.code, check.request_id, detail=error.detail, retry_after=error.retry_after)


def _from_cache(check: PendingCheck, caller: Caller, cached: CachedRefusal) -> Response:
    """Record a refusal whose response is cached; return it with the id of this request."""
    check.client_address = cached.event.address
    check.record(repeated_event(cached.event, check, caller))
    return check.identified(cached.response)


def _is_same_for_all(decision: Decision, access: AccessRequest | None) -> bool:
    """Return True if all callers who are refused for this reason get the same response."""
    if access is None or decision.principal is not None or decision.verdict is not Verdict.LOGIN:
        return False
    # The return target of a form depends on its Referer.
    return access.method in ("GET", "HEAD")
