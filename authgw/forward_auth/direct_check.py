"""A direct check: a program's request about its own session."""

import json
from collections.abc import Coroutine
from typing import Any

from authgw.core.audit import Event
from authgw.core.authorization import bearer
from authgw.core.errors import DirectCheckOffError
from authgw.core.model import Principal
from authgw.dialects.headers import authorization, cookies, refuse_identity
from authgw.dialects.responses import allowed
from authgw.forward_auth.caller import cacheable
from authgw.forward_auth.context import CheckContext
from authgw.forward_auth.decision_cache import DIRECT
from authgw.forward_auth.pending_check import PendingCheck
from authgw.forward_auth.response_bytes import Response
from authgw.services.results import Identity


class DirectCheck:
    """A direct check of a gateway."""

    def __init__(self, context: CheckContext, check: PendingCheck) -> None:
        self._context = context
        self._check = check

    def begin(self) -> Response | Coroutine[Any, Any, Response]:
        """Return the response, or the coroutine that returns it after a session was read.

        Raises:
            DirectCheckOffError, IdentityHeaderFromClientError and the errors of
                `Identification.identify`.
        """
        policy, headers = self._context.policy, self._check.headers
        if not policy.direct_check:
            # With a `proxy_set_header` missing, a subrequest looks like a direct check.
            raise DirectCheckOffError
        refuse_identity(headers, policy.identity)
        # This is a call of our own API: no app shares the header, so its token must be ours.
        token, sent = bearer(authorization(headers)), cookies(headers, policy.cookies)
        begun = self._context.identification.begin(token, sent)
        if isinstance(begun, Identity):
            return self._respond(begun, token, sent)
        return self._after_read(begun, token, sent)

    async def _after_read(
        self, reading: Coroutine[Any, Any, Identity], token: str | None, sent: tuple[str, ...]
    ) -> Response:
        return self._respond(await reading, token, sent)

    def _respond(self, identity: Identity, token: str | None, sent: tuple[str, ...]) -> Response:
        check, policy, principal = self._check, self._context.policy, identity.principal
        if policy.record_allowed:
            check.record(_event(check, principal, "cookie" if token is None else "bearer"))
        headers = allowed(principal, policy.identity).headers
        headers = (*headers, ("Content-Type", "application/json; charset=utf-8"))
        texts, sole = sent if token is None else (token,), cacheable(identity, token, sent)
        claims = self._context.identification.claims(identity.token, texts)
        response = Response(200, headers, json.dumps(claims).encode())
        if check.key and sole:
            check.key.cache.add(check.key, DIRECT, sole, response)
        return response


def _event(check: PendingCheck, principal: Principal, credential: str) -> Event:
    return Event(
        "allow",
        check.request_id,
        check.client_address,
        principal.sub,
        principal.sid,
        sentence="a direct check",
        target=check.own_target,
        credential=credential,
    )
