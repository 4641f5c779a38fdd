"""Tokens for programs: log in, refresh, log out, revoke, list sessions."""

from typing import Any

from aiohttp import web

from authgw.core.authorization import AuthorizationKind, bearer, read_authorization
from authgw.core.errors import (
    BackendForbiddenError,
    BackendUnknownError,
    BodyMalformedError,
    CredentialsConflictError,
    TokenMissingError,
)
from authgw.core.sessions import Session
from authgw.dialects.headers import authorization, wants_html
from authgw.identity.clients_file import TrustedBackend
from authgw.services.results import LoginRequest, TokenPair
from authgw.web import account_pages, json_body
from authgw.web.audit import record_log_out, record_login
from authgw.web.client_auth import trusted_backend
from authgw.web.context import GATEWAY, client_address, device_of, record
from authgw.web.cookies import clear_other_spellings, every_session_token, take_session
from authgw.web.forms import FORM, check_origin
from authgw.web.html import site_of
from authgw.web.login_pages import submit
from authgw.web.problems import NO_STORE

_REFRESH = ("refresh", "refresh_token")
_BY_CLIENT = ("subject", "groups", "email", "name")


async def login(request: web.Request) -> web.Response:
    """Open a session for a person, or for a subject that a trusted backend has verified."""
    gateway = request[GATEWAY]
    if gateway.policy.sites.all and request.content_type == FORM:
        return await submit(request)
    gateway.services.check_keys()
    if authorization(request.raw_headers):
        wanted = await _login_by_backend(request)
    else:
        wanted = await _login_alone(request)
    pair = await gateway.services.sessions.log_in(wanted)
    record_login(request, wanted.sub, pair.sid, wanted.source, pair.displaced)
    return _pair(pair)


async def refresh(request: web.Request) -> web.Response:
    """Hand out the successor of a refresh token."""
    request[GATEWAY].services.check_keys()
    body = await json_body.read_body(request, *_REFRESH)
    return _pair(await request[GATEWAY].services.sessions.refresh(_refresh_token(body)))


async def logout(request: web.Request) -> web.Response:
    """End the session of a token or a cookie, or all sessions of its subject."""
    sessions = request[GATEWAY].services.sessions
    access = _access_token(request)
    asks_for_a_page = not request.can_read_body and wants_html(request.raw_headers)
    by_browser = request.content_type == FORM or asks_for_a_page
    if access is None and by_browser and request[GATEWAY].policy.sites.all:
        return await account_pages.log_out(request)
    forgiving = access is not None
    body = await json_body.read_body(request, *_REFRESH, "all", forgiving=forgiving)
    everywhere = json_body.flag(body, "all")
    by_refresh = any(key in body for key in _REFRESH)
    if access is not None and by_refresh:
        raise CredentialsConflictError
    if access is not None:
        gone = await sessions.log_out_by_access(access, everywhere=everywhere)
    elif by_refresh:
        gone = await sessions.log_out_by_refresh(_refresh_token(body), everywhere=everywhere)
    elif every_session_token(request):
        return await _log_out_by_cookie(request, everywhere)
    else:
        raise TokenMissingError
    record_log_out(request, gone)
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
    async for one in request[GATEWAY].services.sessions.revoke_from(
        backend.source, sub=sub, sid=sid
    ):
        record(request, "revoke", sub=one.sub, sid=one.sid, detail=backend.source)
        ended.append(one.sid)
    return web.json_response({"revoked": ended}, headers=NO_STORE)


async def sessions(request: web.Request) -> web.Response:
    """List the sessions of a subject that this trusted backend opened."""
    backend = await trusted_backend(request)
    sub = _subject(_queried(request))["sub"]
    found = await request[GATEWAY].services.sessions.sessions_from(backend.source, sub)
    return web.json_response({"sessions": [_listed(one) for one in found]}, headers=NO_STORE)


def _access_token(request: web.Request) -> str | None:
    """The token to log out by; an app's own Authorization does not keep a browser logged in.

    Raises:
        AuthorizationMalformedError: the header is not one Bearer token.
    """
    lines = authorization(request.raw_headers)
    shown = read_authorization(lines, request[GATEWAY].services.identifiers, accepts_basic=False)
    if shown.kind is AuthorizationKind.FOREIGN and every_session_token(request):
        return None
    return bearer(lines)


async def _log_out_by_cookie(request: web.Request, everywhere: bool) -> web.Response:
    site = site_of(request)
    check_origin(request, site)
    cookies = every_session_token(request)
    async for gone in request[GATEWAY].services.sessions.log_out_by_cookie(
        cookies, everywhere=everywhere
    ):
        record_log_out(request, gone)
    response = web.Response(headers=NO_STORE)
    clear_other_spellings(request, response, site)
    take_session(response, site)
    return response


async def _login_alone(request: web.Request) -> LoginRequest:
    """A log-in without a client's secret: by password, or through the open door."""
    body = await json_body.read_body(
        request, "user_id", "username", "password", "totp", *_BY_CLIENT
    )
    if "username" in body:
        return await _login_by_password(request, body)
    if not request[GATEWAY].policy.settings.auth.open_login:
        raise BackendUnknownError
    if set(body) - {"user_id"}:
        raise BodyMalformedError("unknown key; without a client's secret this takes user_id")
    subject = _subject(body)
    _refuse_person(request, subject["sub"])
    return LoginRequest(source="open", **subject, client=device_of(request))


async def _login_by_password(request: web.Request, body: dict[str, Any]) -> LoginRequest:
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


def _refuse_person(request: web.Request, sub: str) -> None:
    # People log in themselves; whoever opened sessions for them could be anybody.
    if request[GATEWAY].login.users.resembles_user(sub):
        said = "this subject is a person of the users file, who logs in by password"
        raise BackendForbiddenError(said, sub=sub)


async def _login_by_backend(request: web.Request) -> LoginRequest:
    backend = await trusted_backend(request)
    body = await json_body.read_body(request, "user_id", *_BY_CLIENT)
    wanted = LoginRequest(
        source=backend.source,
        **_subject(body),
        groups=json_body.groups(body),
        email=json_body.text(body, "email"),
        name=json_body.text(body, "name"),
        client=device_of(request),
    )
    _check_rights(backend, wanted)
    _refuse_person(request, wanted.sub)
    return wanted


def _check_rights(backend: TrustedBackend, wanted: LoginRequest) -> None:
    if not backend.may_open(wanted.sub):
        said = f"client {backend.id} may not open sessions of this subject"
        raise BackendForbiddenError(said, sub=wanted.sub)
    if not all(backend.may_grant(group) for group in wanted.groups):
        said = f"client {backend.id} may not grant one of these groups"
        raise BackendForbiddenError(said, sub=wanted.sub)


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


def _queried(request: web.Request) -> dict[str, Any]:
    query = request.query
    if set(query) - {"user_id", "subject"} or len(query) != 1:
        raise BodyMalformedError("send one of user_id and subject in the query")
    if "subject" in query:
        return {"subject": query["subject"]}
    number = query["user_id"]
    # int() would also take spaces, signs, underscores and digits of other scripts.
    plain = number.isascii() and number.isdigit() and len(number) <= 19
    return {"user_id": int(number) if plain else None}


def _refresh_token(body: dict[str, Any]) -> str:
    """The token under either name (RFC 6749 section 6 calls it refresh_token)."""
    tokens = [body[key] for key in _REFRESH if key in body]
    if not tokens or not all(isinstance(token, str) for token in tokens):
        raise BodyMalformedError("refresh, or refresh_token, must be a refresh token")
    if len(set(tokens)) > 1:
        raise BodyMalformedError("refresh and refresh_token differ: send one of them")
    token: str = tokens[0]
    return token


def _pair(pair: TokenPair) -> web.Response:
    said = {
        "access": pair.access,
        "access_token": pair.access,
        "refresh": pair.refresh,
        "refresh_token": pair.refresh,
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_expires_in": pair.refresh_expires_in,
        "sid": pair.sid,
    }
    return web.json_response(said, headers=NO_STORE)


def _listed(session: Session) -> dict[str, Any]:
    return {
        "sid": session.sid,
        "created_at": int(session.created_at),
        "expires_at": int(session.expires_at),
        "user_agent": session.client.user_agent,
        "address": session.client.address,
    }
