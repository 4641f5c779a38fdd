"""Tokens for programs: log in, refresh, log out, revoke, list sessions."""

from typing import Any

from aiohttp import web

from authgw.core.errors import BodyMalformed, ClientForbidden, CredentialsConflict, TokenMissing
from authgw.core.sessions import Client, Session
from authgw.dialects.headers import bearer, values
from authgw.identity.clients import TrustedBackend
from authgw.service import Login, Pair
from authgw.web import bodies
from authgw.web.backends import trusted_backend
from authgw.web.errors import NO_STORE
from authgw.web.gateway import GATEWAY, client_address, record

_MAX_AGENT = 256


async def login(request: web.Request) -> web.Response:
    """Open a session for a subject that a trusted backend has verified."""
    gateway = request.app[GATEWAY]
    gateway.check_keys()
    if gateway.open_login and not values(request.raw_headers, "Authorization"):
        body = await bodies.read_body(request, "user_id")
        wanted = Login(source="open", **_subject(body), client=_device(request))
    else:
        wanted = await _login_by_backend(request)
    pair = await gateway.sessions.log_in(wanted)
    record(request, "login", sub=wanted.sub, sid=pair.sid, detail=wanted.source)
    return _pair(pair)


async def refresh(request: web.Request) -> web.Response:
    """Hand out the successor of a refresh token."""
    request.app[GATEWAY].check_keys()
    body = await bodies.read_body(request, "refresh")
    return _pair(await request.app[GATEWAY].sessions.refresh(_refresh_token(body)))


async def logout(request: web.Request) -> web.Response:
    """End the session of a token, or all sessions of its subject."""
    sessions = request.app[GATEWAY].sessions
    access = bearer(request.raw_headers)
    body = await bodies.read_body(request, "refresh", "all")
    everywhere = bodies.flag(body, "all")
    if access is not None and "refresh" in body:
        raise CredentialsConflict
    if access is not None:
        token = await sessions.log_out_by_access(access, everywhere=everywhere)
    elif "refresh" in body:
        token = await sessions.log_out_by_refresh(_refresh_token(body), everywhere=everywhere)
    else:
        raise TokenMissing
    detail = "all sessions" if everywhere else ""
    record(request, "logout", sub=token.sub, sid=token.sid, detail=detail)
    return web.Response(headers=NO_STORE)


async def revoke(request: web.Request) -> web.Response:
    """End sessions that this trusted backend opened."""
    backend = await trusted_backend(request)
    body = await bodies.read_body(request, "user_id", "subject", "sid")
    sid, sub = bodies.text(body, "sid"), ""
    if "sid" in body:
        if len(body) > 1 or not sid:
            raise BodyMalformed("send one of user_id, subject and sid")
    else:
        sub = _subject(body)["sub"]
    ended = await request.app[GATEWAY].sessions.revoke_from(backend.source, sub=sub, sid=sid)
    for one in ended:
        record(request, "revoke", sub=sub, sid=one, detail=backend.source)
    return web.json_response({"revoked": list(ended)}, headers=NO_STORE)


async def sessions(request: web.Request) -> web.Response:
    """List the sessions of a subject that this trusted backend opened."""
    backend = await trusted_backend(request)
    sub = _subject(_queried(request))["sub"]
    found = await request.app[GATEWAY].sessions.sessions_from(backend.source, sub)
    return web.json_response({"sessions": [_listed(one) for one in found]}, headers=NO_STORE)


async def _login_by_backend(request: web.Request) -> Login:
    backend = await trusted_backend(request)
    body = await bodies.read_body(request, "user_id", "subject", "groups", "email", "name")
    wanted = Login(
        source=backend.source,
        **_subject(body),
        groups=bodies.groups(body),
        email=bodies.text(body, "email"),
        name=bodies.text(body, "name"),
        client=_device(request),
    )
    _check_rights(backend, wanted)
    return wanted


def _check_rights(backend: TrustedBackend, wanted: Login) -> None:
    if not backend.may_open(wanted.sub):
        raise ClientForbidden(f"client {backend.id} may not open sessions of this subject")
    if not all(backend.may_grant(group) for group in wanted.groups):
        raise ClientForbidden(f"client {backend.id} may not grant one of these groups")


def _subject(body: dict[str, Any]) -> dict[str, Any]:
    if ("user_id" in body) == ("subject" in body):
        raise BodyMalformed("send one of user_id and subject")
    if "user_id" in body:
        number = bodies.user_id(body["user_id"])
        return {"sub": str(number), "user_id": number}
    sub = bodies.text(body, "subject")
    if not sub:
        raise BodyMalformed("subject must not be empty")
    return {"sub": sub}


def _queried(request: web.Request) -> dict[str, Any]:
    query = request.query
    if set(query) - {"user_id", "subject"} or len(query) != 1:
        raise BodyMalformed("send one of user_id and subject in the query")
    if "subject" in query:
        return {"subject": query["subject"]}
    number = query["user_id"]
    # int() would also take spaces, signs, underscores and digits of other scripts.
    plain = number.isascii() and number.isdigit() and len(number) <= 19
    return {"user_id": int(number) if plain else None}


def _refresh_token(body: dict[str, Any]) -> str:
    token = body.get("refresh")
    if not isinstance(token, str):
        raise BodyMalformed("refresh must be a refresh token")
    return token


def _device(request: web.Request) -> Client:
    agent = request.headers.get("User-Agent", "")[:_MAX_AGENT]
    return Client(agent.encode("utf-8", "replace").decode(), client_address(request))


def _pair(pair: Pair) -> web.Response:
    said = {
        "access": pair.access,
        "refresh": pair.refresh,
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
