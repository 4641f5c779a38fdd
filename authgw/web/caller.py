"""The caller of a check: read its credentials and identify the session or app password."""

import asyncio
import hashlib
from dataclasses import dataclass

from authgw.core.authorization import (
    Authorization,
    AuthorizationKind,
    effective_token,
    read_authorization,
)
from authgw.core.errors import AppPasswordRefusedError, AuthgwError, StoreUnavailableError
from authgw.core.model import AccessRequest, Principal
from authgw.core.rules import Credential, Rule
from authgw.core.typed_text import pasted
from authgw.core.users import APP_PASSWORD_PREFIX, principal_of_app_password
from authgw.dialects.headers import RawHeaders, authorization, cookies
from authgw.services.results import Identity
from authgw.web.context import Gateway

_PUBLIC_PATIENCE = 0.05  # seconds that a public page waits to learn who is asking


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, or why nobody that counts does.

    `found` is there if this rests on one token and nothing else that could change. `is_foreign`
    is whether an Authorization came that is not ours.
    """

    principal: Principal | None
    refused: AuthgwError | None = None
    found: Identity | None = None
    is_foreign: bool = False

    @property
    def why(self) -> str:
        """The code of the refusal, empty without one."""
        return self.refused.code if self.refused else ""


_NOBODY = Caller(None)


async def identify(
    headers: RawHeaders, gateway: Gateway, rule: Rule, access: AccessRequest | None = None
) -> Caller:
    """The verified subject, or why there is none that this rule accepts.

    Without `access`, which says what an app password would open, none counts.
    """
    accepts_basic = rule.accepts(Credential.APP_PASSWORD)
    shown = read_authorization(
        authorization(headers), gateway.services.identifiers, accepts_basic=accepts_basic
    )
    is_foreign = shown.kind is AuthorizationKind.FOREIGN
    try:
        program = _program(access, shown, gateway) if access and accepts_basic else None
        if program is not None:
            return Caller(program)
        names = _session_names(gateway, access)
        seen = cookies(headers, names) if rule.accepts(Credential.COOKIE) else ()
        token = effective_token(shown, rule, has_cookie=bool(seen))
        found = await gateway.services.identification.identify(token, seen)
        alone = len(seen) == (1 if token is None else 0)
        return Caller(found.principal, None, found if alone else None, is_foreign)
    except StoreUnavailableError:
        raise
    except AuthgwError as error:
        return Caller(None, error, is_foreign=is_foreign)


def _session_names(gateway: Gateway, access: AccessRequest | None) -> frozenset[str]:
    """The names of cookies that can be a session's here.

    Where it depends on the host, nothing is remembered, so that `access` is always known.
    """
    if access is None:
        return gateway.policy.cookies
    return gateway.policy.sites.cookies_reaching(access.location.host)


def _program(access: AccessRequest, shown: Authorization, gateway: Gateway) -> Principal | None:
    """The user whose app password came as Basic or Bearer; None if no app password came.

    Raises:
        AppPasswordRefusedError: it is unknown, has expired, or is not for this path.
    """
    user, secret = shown.pair or (None, shown.token or "")
    if shown.pair is None and not secret.startswith(APP_PASSWORD_PREFIX):
        return None
    digest = hashlib.sha256(pasted(secret).encode("utf-8", "surrogateescape")).hexdigest()
    known = gateway.login.users.app_password(digest)
    if known is None or not known.belongs_to(user):
        raise AppPasswordRefusedError
    program = principal_of_app_password(gateway.login.users.find(known.sub))
    if program is None or not known.allows(access, gateway.services.clock()):
        raise AppPasswordRefusedError(sub=known.sub)
    return program


async def perhaps(
    access: AccessRequest, headers: RawHeaders, gateway: Gateway, rule: Rule
) -> Caller:
    """Identify the caller for a page that needs nobody: a slow store counts as no caller."""
    try:
        async with asyncio.timeout(_PUBLIC_PATIENCE):
            return await identify(headers, gateway, rule, access)
    except (TimeoutError, StoreUnavailableError):
        return _NOBODY
