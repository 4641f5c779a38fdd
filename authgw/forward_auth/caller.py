"""The caller of a check: read its credentials and identify the session or app password."""

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from typing import Any

from authgw.core.authorization import (
    Authorization,
    AuthorizationKind,
    effective_token,
    read_authorization,
)
from authgw.core.errors import (
    AppPasswordRefusedError,
    AuthgwError,
    StoreUnavailableError,
    TokenMalformedError,
)
from authgw.core.model import AccessRequest, Principal
from authgw.core.rules import Credential, Rule
from authgw.core.typed_text import pasted
from authgw.core.users import APP_PASSWORD_PREFIX, principal_of_app_password
from authgw.core.value_type import value_type
from authgw.dialects.headers import RawHeaders, authorization, cookies
from authgw.forward_auth.context import CheckContext
from authgw.services.results import Identity

# An Enum computes its `value` at each use, and these are part of each check.
_BEARER, _COOKIE = Credential.BEARER.value, Credential.COOKIE.value
_PUBLIC_TIMEOUT = 0.05  # seconds in which the caller of a public page is identified, or ignored


@value_type()
class Caller:
    """The authenticated principal, or the refusal of its credentials.

    `identity` is set if the principal depends on a single token, so that the decision may be
    cached. `is_foreign` is True if the request has an Authorization header that is not ours.
    `credential` is the kind of credential that was sent, a value of `Credential`, or empty.
    """

    principal: Principal | None
    refusal: AuthgwError | None = None
    identity: Identity | None = None
    is_foreign: bool = False
    credential: str = ""

    @property
    def reason(self) -> str:
        """The code of the refusal, empty without a refusal."""
        return self.refusal.code if self.refusal else ""


ANONYMOUS = Caller(None)
# A caller, or the coroutine that returns it after its sessions were read.
BegunCaller = Caller | Coroutine[Any, Any, Caller]


@value_type()
class _Credentials:
    """The credentials of a request that a rule accepts: a token of ours, and session cookies."""

    token: str | None
    cookies: tuple[str, ...]
    is_foreign: bool

    def caller(self, identity: Identity) -> Caller:
        """Return the caller that these credentials identify."""
        sole = cacheable(identity, self.token, self.cookies)
        return Caller(identity.principal, None, sole, self.is_foreign, self.kind)

    def refused(self, error: AuthgwError) -> Caller:
        """Return the caller of credentials that are refused."""
        return Caller(None, error.without_frames(), None, self.is_foreign, self.kind)

    @property
    def kind(self) -> str:
        """The kind of the credential that counts; a token precedes cookies."""
        if self.token is not None:
            return _BEARER
        return _COOKIE if self.cookies else ""


def begin_caller(
    headers: RawHeaders, context: CheckContext, rule: Rule, access: AccessRequest | None
) -> BegunCaller:
    """Return the caller as `identify` does, or the coroutine that reads its sessions first."""
    found = _credentials(headers, context, rule, access)
    if isinstance(found, Caller):
        return found
    try:
        begun = context.identification.begin(found.token, found.cookies)
    except AuthgwError as error:
        return found.refused(error)
    return found.caller(begun) if isinstance(begun, Identity) else _after_read(found, begun)


async def _after_read(found: _Credentials, reading: Coroutine[Any, Any, Identity]) -> Caller:
    try:
        return found.caller(await reading)
    except StoreUnavailableError:
        raise
    except AuthgwError as error:
        return found.refused(error)


async def identify(
    headers: RawHeaders, context: CheckContext, rule: Rule, access: AccessRequest | None
) -> Caller:
    """Identify the caller by the credentials that this rule accepts.

    App passwords depend on the target, so without `access` they are ignored.

    Raises:
        StoreUnavailableError: the session cannot be read now.
    """
    begun = begin_caller(headers, context, rule, access)
    return begun if isinstance(begun, Caller) else await begun


async def read_optional(reading: Coroutine[Any, Any, Caller]) -> Caller:
    """Return the caller of a page that needs none.

    Refused credentials and a slow store both give a caller without a principal.
    """
    try:
        async with asyncio.timeout(_PUBLIC_TIMEOUT):
            caller = await reading
    except (TimeoutError, StoreUnavailableError):
        return ANONYMOUS
    return optional(caller)


def optional(caller: Caller) -> Caller:
    """Return the caller of a page that needs none; its decision is not cached."""
    return Caller(caller.principal, None, None, caller.is_foreign, caller.credential)


def cacheable(
    identity: Identity, token: str | None, session_cookies: Sequence[str]
) -> Identity | None:
    """Return the identity if it depends on a single credential, else None."""
    return identity if len(session_cookies) == (1 if token is None else 0) else None


def _credentials(
    headers: RawHeaders, context: CheckContext, rule: Rule, access: AccessRequest | None
) -> _Credentials | Caller:
    """Return the credentials for a session, or the caller if it depends on no session."""
    accepts_basic = rule.accepts(Credential.APP_PASSWORD)
    sent = read_authorization(
        authorization(headers), context.identifiers, accepts_basic=accepts_basic
    )
    is_foreign = sent.kind is AuthorizationKind.FOREIGN
    try:
        principal = _by_app_password(access, sent, context) if access and accepts_basic else None
        if principal is not None:
            return Caller(principal, credential=Credential.APP_PASSWORD.value)
        names = _session_names(context, access)
        session_cookies = cookies(headers, names) if rule.accepts(Credential.COOKIE) else ()
        token = effective_token(sent, rule, has_cookie=bool(session_cookies))
    except AuthgwError as error:
        is_app_password = isinstance(error, AppPasswordRefusedError)
        kind = Credential.APP_PASSWORD.value if is_app_password else ""
        return Caller(None, error.without_frames(), None, is_foreign, kind)
    found = _Credentials(token, session_cookies, is_foreign)
    # Most strangers send a text that cannot be a token; nothing else of it has to be known.
    if token is not None and not session_cookies and token.count(".") != 2:
        return found.refused(TokenMalformedError())
    return found


def _session_names(context: CheckContext, access: AccessRequest | None) -> frozenset[str]:
    """Return the names of cookies that can hold a session of this target.

    They depend on the host only if there are several names; then no decision is cached, so
    `access` is always given.
    """
    if access is None:
        return context.policy.cookies
    return context.policy.sites.cookies_reaching(access.location.host)


def _by_app_password(
    access: AccessRequest, sent: Authorization, context: CheckContext
) -> Principal | None:
    """Return the principal of an app password, sent as Basic or Bearer; None without any.

    Raises:
        AppPasswordRefusedError: it is unknown, has expired, or is not valid for this path; or
            `login.app_passwords` is false.
    """
    user, secret = sent.pair or (None, sent.token or "")
    if sent.pair is None and not secret.startswith(APP_PASSWORD_PREFIX):
        return None
    if not context.policy.settings.login.app_passwords:
        raise AppPasswordRefusedError(cause="app_passwords_off")
    digest = hashlib.sha256(pasted(secret).encode("utf-8", "surrogateescape")).hexdigest()
    users = context.users
    app_password = users.app_password(digest)
    if app_password is None:
        raise AppPasswordRefusedError(cause="app_password")
    if not app_password.belongs_to(user):
        raise AppPasswordRefusedError(cause="app_password_user")
    sub, now = app_password.sub, context.clock()
    principal = principal_of_app_password(sub, users)
    if principal is None:
        raise AppPasswordRefusedError(sub=sub, cause="disabled")
    if not app_password.allows(access, now):
        expired = app_password.has_expired(now)
        cause = "app_password_expired" if expired else "app_password_path"
        raise AppPasswordRefusedError(sub=sub, cause=cause)
    return principal
