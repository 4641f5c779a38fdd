"""JSON endpoints: log in, refresh, log out, revoke, list sessions."""

from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from authgw.core.authorization import AuthorizationKind, bearer, read_authorization
from authgw.core.errors import (
    BackendForbiddenError,
    BackendUnknownError,
    BodyMalformedError,
    CredentialsConflictError,
    TokenMissingError,
)
from authgw.core.sessions import Session
from authgw.dialects.headers import authorization
from authgw.identity.clients_file import TrustedBackend
from authgw.services.results import LoginRequest, TokenPair
from authgw.web import json_body
from authgw.web.audit import record_login, record_logout
from authgw.web.client_auth import trusted_backend
from authgw.web.context import GATEWAY, client_address, device_of, record
from authgw.web.cookies import (
    all_session_tokens,
    delete_other_session_cookies,
    delete_session_cookie,
)
from authgw.web.forms import check_origin
from authgw.web.login_site import login_site
from authgw.web.problems import NO_STORE

_REFRESH_KEYS = ("refresh", "refresh_token")
_PAIR_HEADERS = CIMultiDict({**NO_STORE, "Content-Type": "application/json; charset=utf-8"})
_BACKEND_KEYS = ("subject", "groups", "email", "name")


async def login(request: web.Request) -> web.Response:
    """Open a session for a user, or for a subject that a trusted backend has verified."""
    gateway = request[GATEWAY]
    gateway.services.check_keys()
    if authorization(request.raw_headers):
        login_request = await _backend_login(request)
    else:
        login_request = await _user_login(request)
    pair = await gateway.services.sessions.log_in(login_request)
    record_login(request, login_request.sub, pair.sid, login_request.source, pair.displaced)
    return _pair_response(pair)


async def refresh(request: web.Request) -> web.Response:
    """Rotate a refresh token."""
    request[GATEWAY].services.check_keys()
    body = await json_body.read_body(request, *_REFRESH_KEYS)
    return _pair_response(await request[GATEWAY].services.sessions.refresh(_refresh_token(body)))


async def logout(request: web.Request) -> web.Response:
    """End the session of a token or a cookie, or all sessions of its subject."""
    sessions = request[GATEWAY].services.sessions
    access = access_token(request)
    body = await json_body.read_body(request, *_REFRESH_KEYS, "all", forgiving=access is not None)
    everywhere = json_body.flag(body, "all")
    by_refresh = any(key in body for key in _REFRESH_KEYS)
    if access is not None and by_refresh:
        raise CredentialsConflictError
    if access is not None:
        result = await sessions.log_out_by_access(access, everywhere=everywhere)
    elif by_refresh:
        result = await sessions.log_out_by_refresh(_refresh_token(body), everywhere=everywhere)
    elif all_session_tokens(request):
        return await _log_out_by_cookie(request, everywhere)
    else:
        raise TokenMissingError
    record_logout(request, result)
    return web.Response(headers=NO_STORE)


async def revoke(request: web.Request) -> web.Response:
    """End sessions that this trusted backend opened."""
    backend = await trusted_backend(request)
    body = await json_body.read_body(request, "user_id", "subject", "sid")
    sid, sub = json_body.text(body, "sid"), ""
    if "sid" in body:
        if len(body) > 1 or not sid:
            raise BodyMalformedError("send one of user_id, subject and sid")
    else:
        sub = _subject(body)["sub"]
    ended = []
    async for session in request[GATEWAY].services.sessions.revoke_from(
        backend.source, sub=sub, sid=sid
    ):
        record(request, "revoke", sub=session.sub, sid=session.sid, detail=backend.source)
        ended.append(session.sid)
    return web.json_response({"revoked": ended}, headers=NO_STORE)


async def sessions(request: web.Request) -> web.Response:
    """List the sessions of a subject that this trusted backend opened."""
    backend = await trusted_backend(request)
    sub = _subject(_query(request))["sub"]
    active = await request[GATEWAY].services.sessions.sessions_from(backend.source, sub)
    entries = [_session_entry(session) for session in active]
    return web.json_response({"sessions": entries}, headers=NO_STORE)


def access_token(request: web.Request) -> str | None:
    """Return the access token of a logout, or None.

    With session cookies, an Authorization of the app's own is ignored: it must not prevent the
    logout.

    Raises:
        AuthorizationMalformedError: the header is not a single Bearer token.
    """
    lines = authorization(request.raw_headers)
    header = read_authorization(lines, request[GATEWAY].services.identifiers, accepts_basic=False)
    if header.kind is AuthorizationKind.FOREIGN and all_session_tokens(request):
        return None
    return bearer(lines)


async def _log_out_by_cookie(request: web.Request, everywhere: bool) -> web.Response:
    site = login_site(request)
    check_origin(request, site)
    cookies = all_session_tokens(request)
    async for result in request[GATEWAY].services.sessions.log_out_by_cookie(
        cookies, everywhere=everywhere
    ):
        record_logout(request, result)
    response = web.Response(headers=NO_STORE)
    delete_other_session_cookies(request, response, site)
    delete_session_cookie(response, site)
    return response


async def _user_login(request: web.Request) -> LoginRequest:
    """Return a login without a backend's secret: by password, or of any user_id (`open_login`)."""
    body = await json_body.read_body(
        request, "user_id", "username", "password", "totp", *_BACKEND_KEYS
    )
    if "username" in body:
        return await _password_login(request, body)
    if not request[GATEWAY].policy.settings.auth.open_login:
        raise BackendUnknownError
    if set(body) - {"user_id"}:
        raise BodyMalformedError("unknown key; without a client's secret this takes user_id")
    subject = _subject(body)
    _refuse_user(request, subject["sub"])
    return LoginRequest(source="open", **subject, client=device_of(request))


async def _password_login(request: web.Request, body: dict[str, Any]) -> LoginRequest:
    if set(body) - {"username", "password", "totp"} or "password" not in body:
        raise BodyMalformedError("a log-in by password takes username, password and perhaps totp")
    fields = [body["username"], body["password"], body.get("totp", "")]
    if not all(isinstance(field, str) for field in fields):
        raise BodyMalformedError("username, password and totp must be strings")
    user, password, code = fields
    verified = await request[GATEWAY].login.service.in_one_step(
        user, password, code, address=client_address(request)
    )
    return verified.login(device_of(request))


def _refuse_user(request: web.Request, sub: str) -> None:
    # Users log in themselves: a session that another party opens proves nothing about the user.
    if request[GATEWAY].login.users.resembles_user(sub):
        detail = "this subject is a person of the users file, who logs in by password"
        raise BackendForbiddenError(detail, sub=sub)


async def _backend_login(request: web.Request) -> LoginRequest:
    backend = await trusted_backend(request)
    body = await json_body.read_body(request, "user_id", *_BACKEND_KEYS)
    login_request = LoginRequest(
        source=backend.source,
        **_subject(body),
        groups=json_body.groups(body),
        email=json_body.text(body, "email"),
        name=json_body.text(body, "name"),
        client=device_of(request),
    )
    _check_rights(backend, login_request)
    _refuse_user(request, login_request.sub)
    return login_request


def _check_rights(backend: TrustedBackend, login_request: LoginRequest) -> None:
    sub = login_request.sub
    if not backend.may_open(sub):
        detail = f"client {backend.id} may not open sessions of this subject"
        raise BackendForbiddenError(detail, sub=sub)
    if not all(backend.may_grant(group) for group in login_request.groups):
        detail = f"client {backend.id} may not grant one of these groups"
        raise BackendForbiddenError(detail, sub=sub)


def _subject(body: dict[str, Any]) -> dict[str, Any]:
    if ("user_id" in body) == ("subject" in body):
        raise BodyMalformedError("send one of user_id and subject")
    if "user_id" in body:
        number = json_body.user_id(body["user_id"])
        return {"sub": str(number), "user_id": number}
    sub = json_body.text(body, "subject")
    if not sub:
        raise BodyMalformedError("subject must not be empty")
    return {"sub": sub}


def _query(request: web.Request) -> dict[str, Any]:
    query = request.query
    if set(query) - {"user_id", "subject"} or len(query) != 1:
        raise BodyMalformedError("send one of user_id and subject in the query")
    if "subject" in query:
        return {"subject": query["subject"]}
    number = query["user_id"]
    # int() would also accept spaces, signs, underscores and digits of other scripts.
    is_decimal = number.isascii() and number.isdigit() and len(number) <= 19
    return {"user_id": int(number) if is_decimal else None}


def _refresh_token(body: dict[str, Any]) -> str:
    """Return the token under either name (RFC 6749 section 6 calls it refresh_token)."""
    tokens = [body[key] for key in _REFRESH_KEYS if key in body]
    if not tokens or not all(isinstance(token, str) for token in tokens):
        raise BodyMalformedError("refresh, or refresh_token, must be a refresh token")
    if len(set(tokens)) > 1:
        raise BodyMalformedError("refresh and refresh_token differ: send one of them")
    token: str = tokens[0]
    return token


def _pair_response(pair: TokenPair) -> web.Response:
    # Tokens and sids are base64url with dots: JSON escapes no character of them.
    text = (
        f'{{"access": "{pair.access}", "access_token": "{pair.access}", '
        f'"refresh": "{pair.refresh}", "refresh_token": "{pair.refresh}", "token_type": "Bearer", '
        f'"expires_in": {pair.expires_in}, "refresh_expires_in": {pair.refresh_expires_in}, '
        f'"sid": "{pair.sid}"}}'
    )
    return web.Response(body=text.encode("ascii"), headers=_PAIR_HEADERS)


def _session_entry(session: Session) -> dict[str, Any]:
    return {
        "sid": session.sid,
        "created_at": int(session.created_at),
        "expires_at": int(session.expires_at),
        "user_agent": session.client.user_agent,
        "address": session.client.address,
    }
