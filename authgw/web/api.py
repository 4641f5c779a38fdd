"""JSON endpoints: log in, refresh, log out, revoke, list sessions."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from authgw.core.authorization import AuthorizationKind, bearer, read_authorization
from authgw.core.errors import (
    BackendForbiddenError,
    BackendUnknownError,
    BodyMalformedError,
    CredentialsConflictError,
    TokenMissingError,
)
from authgw.core.limits import MAX_PREPARED_HEADS
from authgw.core.sessions import Session
from authgw.core.tokens import TokenType
from authgw.dialects.headers import RawHeaders, authorization
from authgw.forward_auth.response_bytes import Response, head_of
from authgw.identity.clients_file import TrustedBackend, is_reserved
from authgw.services.results import LoginRequest, TokenPair
from authgw.web import json_body
from authgw.web.api_request import ApiRequest
from authgw.web.audit import record_login, record_logout
from authgw.web.client_auth import trusted_backend
from authgw.web.context import Gateway

_REFRESH_KEYS = ("refresh", "refresh_token")
_NO_STORE = (("Cache-Control", "no-store"),)
_JSON_HEADERS = (*_NO_STORE, ("Content-Type", "application/json; charset=utf-8"))
_EMPTY = Response(200, _NO_STORE, prepared=head_of(Response(200, _NO_STORE)))
_BACKEND_KEYS = ("subject", "groups", "email", "name")


class Ending(NamedTuple):
    """The sessions that a logout ends: of this token, None without a token, or of its subject."""

    kind: TokenType
    token: str | None
    everywhere: bool


async def login(request: ApiRequest) -> Response:
    """Open a session for a user, or for a subject that a trusted backend has verified."""
    gateway = request.gateway
    gateway.services.check_keys()
    if authorization(request.headers):
        login_request = await _backend_login(request)
    else:
        login_request = await _user_login(request)
    pair = await gateway.services.sessions.log_in(login_request)
    record_login(
        request.record,
        login_request.sub,
        pair.sid,
        login_request.source,
        "+".join(login_request.amr) or login_request.source,
        pair.displaced,
    )
    return _pair_response(pair)


async def refresh(request: ApiRequest) -> Response:
    """Rotate a refresh token."""
    request.gateway.services.check_keys()
    body = await json_body.read_body(request.body, *_REFRESH_KEYS)
    return _pair_response(await request.gateway.services.sessions.refresh(_refresh_token(body)))


async def logout(request: ApiRequest) -> Response:
    """End the session of a token, or all sessions of its subject."""
    return await end(request, await read_logout(request))


async def read_logout(request: ApiRequest, *, has_cookie: bool = False) -> Ending:
    """Return what a logout ends; `has_cookie`: the request has session cookies."""
    access = access_token(request.headers, request.gateway, has_cookie=has_cookie)
    body = await json_body.read_body(
        request.body, *_REFRESH_KEYS, "all", forgiving=access is not None
    )
    everywhere = json_body.flag(body, "all")
    by_refresh = any(key in body for key in _REFRESH_KEYS)
    if access is not None and by_refresh:
        raise CredentialsConflictError
    if by_refresh:
        return Ending(TokenType.REFRESH, _refresh_token(body), everywhere)
    return Ending(TokenType.ACCESS, access, everywhere)


async def end(request: ApiRequest, ending: Ending) -> Response:
    """End the sessions of a logout.

    Raises:
        TokenMissingError: it has no token.
    """
    sessions = request.gateway.services.sessions
    kind, token, everywhere = ending
    if token is None:
        raise TokenMissingError
    if kind is TokenType.ACCESS:
        result = await sessions.log_out_by_access(token, everywhere=everywhere)
    else:
        result = await sessions.log_out_by_refresh(token, everywhere=everywhere)
    record_logout(request.record, result)
    return _EMPTY


async def revoke(request: ApiRequest) -> Response:
    """End sessions that this trusted backend opened."""
    backend = await trusted_backend(request)
    body = await json_body.read_body(request.body, "user_id", "subject", "sid")
    sid, sub = json_body.text(body, "sid"), ""
    if "sid" in body:
        if len(body) > 1 or not sid:
            raise BodyMalformedError("send one of user_id, subject and sid")
    else:
        sub = _subject(body)["sub"]
    ended = []
    async for session in request.gateway.services.sessions.revoke_from(
        backend.source, sub=sub, sid=sid
    ):
        request.record("revoke", sub=session.sub, sid=session.sid, sentence=backend.source)
        ended.append(session.sid)
    return _json_response({"revoked": ended})


async def sessions(request: ApiRequest, query: Mapping[str, str]) -> Response:
    """List the sessions of a subject that this trusted backend opened."""
    backend = await trusted_backend(request)
    sub = _subject(_of_query(query))["sub"]
    active = await request.gateway.services.sessions.sessions_from(backend.source, sub)
    entries = [_session_entry(session) for session in active]
    return _json_response({"sessions": entries})


def access_token(headers: RawHeaders, gateway: Gateway, *, has_cookie: bool) -> str | None:
    """Return the access token of a logout, or None.

    With session cookies, an Authorization of the app's own is ignored: it must not prevent the
    logout.

    Raises:
        AuthorizationMalformedError: the header is not a single Bearer token.
    """
    lines = authorization(headers)
    if has_cookie:
        header = read_authorization(lines, gateway.services.identifiers, accepts_basic=False)
        if header.kind is AuthorizationKind.FOREIGN:
            return None
    return bearer(lines)


async def _user_login(request: ApiRequest) -> LoginRequest:
    """Return a login without a backend's secret: by password, or of any user_id (`open_login`)."""
    body = await json_body.read_body(
        request.body, "user_id", "username", "password", "totp", *_BACKEND_KEYS
    )
    if "username" in body:
        return await _password_login(request, body)
    if not request.gateway.policy.settings.auth.open_login:
        raise BackendUnknownError(cause="client_missing")
    if set(body) - {"user_id"}:
        raise BodyMalformedError("unknown key; without a client's secret this takes user_id")
    subject = _subject(body)
    _refuse_user(request, subject["sub"])
    return LoginRequest(source="open", **subject, client=request.device)


async def _password_login(request: ApiRequest, body: dict[str, Any]) -> LoginRequest:
    if set(body) - {"username", "password", "totp"} or "password" not in body:
        raise BodyMalformedError("a log-in by password takes username, password and perhaps totp")
    fields = [body["username"], body["password"], body.get("totp", "")]
    if not all(isinstance(field, str) for field in fields):
        raise BodyMalformedError("username, password and totp must be strings")
    user, password, code = fields
    verified = await request.gateway.login.service.in_one_step(
        user, password, code, address=request.client_address
    )
    return verified.login(request.device)


def _refuse_user(request: ApiRequest, sub: str) -> None:
    # Users log in themselves: a session that another party opens proves nothing about the user.
    users = request.gateway.login.users
    if is_reserved(sub, request.gateway.policy.settings.login.providers):
        detail = "this subject is in the name space of another source"
        raise BackendForbiddenError(detail, sub=sub, cause="subject_reserved")
    if users.binding(sub) is not None:
        detail = "this subject is bound to an account of an identity provider"
        raise BackendForbiddenError(detail, sub=sub, cause="subject_reserved")
    if users.resembles_user(sub):
        detail = "this subject is a person of the users file, who logs in by password"
        raise BackendForbiddenError(detail, sub=sub, cause="subject_is_user")


async def _backend_login(request: ApiRequest) -> LoginRequest:
    backend = await trusted_backend(request)
    body = await json_body.read_body(request.body, "user_id", *_BACKEND_KEYS)
    login_request = LoginRequest(
        source=backend.source,
        **_subject(body),
        groups=json_body.groups(body),
        email=json_body.text(body, "email"),
        name=json_body.text(body, "name"),
        client=request.device,
    )
    _check_rights(backend, login_request)
    _refuse_user(request, login_request.sub)
    return login_request


def _check_rights(backend: TrustedBackend, login_request: LoginRequest) -> None:
    sub = login_request.sub
    if not backend.may_open(sub):
        detail = f"client {backend.id} may not open sessions of this subject"
        raise BackendForbiddenError(detail, sub=sub, cause="client_subject", note=detail)
    if not all(backend.may_grant(group) for group in login_request.groups):
        detail = f"client {backend.id} may not grant one of these groups"
        raise BackendForbiddenError(detail, sub=sub, cause="client_group", note=detail)


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


def _of_query(query: Mapping[str, str]) -> dict[str, Any]:
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
    if {*map(type, tokens)} != {str}:
        raise BodyMalformedError("refresh, or refresh_token, must be a refresh token")
    if tokens[0] != tokens[-1]:
        raise BodyMalformedError("refresh and refresh_token differ: send one of them")
    token: str = tokens[0]
    return token


def _pair_response(pair: TokenPair) -> Response:
    # Tokens and sids are base64url with dots: JSON escapes no character of them.
    text = (
        f'{{"access": "{pair.access}", "access_token": "{pair.access}", '
        f'"refresh": "{pair.refresh}", "refresh_token": "{pair.refresh}", "token_type": "Bearer", '
        f'"expires_in": {pair.expires_in}, "refresh_expires_in": {pair.refresh_expires_in}, '
        f'"sid": "{pair.sid}"}}'
    )
    return Response(
        200, _JSON_HEADERS, text.encode("ascii"), prepared=_prepared_json_head(len(text))
    )


@lru_cache(MAX_PREPARED_HEADS)
def _prepared_json_head(length: int) -> bytes:
    return head_of(Response(200, _JSON_HEADERS, bytes(length)))


def _json_response(value: Any) -> Response:
    return Response(200, _JSON_HEADERS, json.dumps(value).encode())


def _session_entry(session: Session) -> dict[str, Any]:
    return {
        "sid": session.sid,
        "created_at": int(session.created_at),
        "expires_at": int(session.expires_at),
        "user_agent": session.client.user_agent,
        "address": session.client.address,
    }
