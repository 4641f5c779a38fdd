"""An identity provider that does everything right, but for what a test replaces.

It has no pages: a request for authorization is answered at once, as for a user with a session.
"""

import asyncio
import json
import secrets
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus, urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.forged_tokens import ForgersKey, digest_half, encoded

CLIENT_ID = "authgw"
CLIENT_SECRET = "a secret of the client: 100%+/="
ACCOUNT = "248289761001"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

Claims = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@cache
def _key() -> ForgersKey:
    """Return a key that all providers share: a key of RSA takes a while to make."""
    return ForgersKey()


@dataclass
class Given:
    """What a code or a refresh token stands for."""

    nonce: str
    challenge: str
    redirect_uri: str
    auth_time: int


@dataclass
class HostileProvider:
    """A provider whose every response a test can change.

    `metadata`, `claims`, `header`, `tokens`, `userinfo` and `callback` are merged into what it
    would send; None removes a member. `instead` replaces the response of a path. `signed` makes
    the ID token from claims and header.
    """

    url: str = ""
    clock: Callable[[], float] = time.time
    key: ForgersKey = field(default_factory=_key)
    keys: list[ForgersKey] | None = None
    metadata: Claims = field(default_factory=dict)
    claims: Claims = field(default_factory=dict)
    header: Claims = field(default_factory=dict)
    tokens: Claims = field(default_factory=dict)
    userinfo: Claims = field(default_factory=dict)
    callback: Claims = field(default_factory=dict)
    instead: dict[str, Handler] = field(default_factory=dict)
    signed: Callable[[ForgersKey, Claims, Claims], str] | None = None
    # Paths in the order of their requests, and the last form of each.
    requests: list[str] = field(default_factory=list)
    forms: dict[str, dict[str, str]] = field(default_factory=dict)
    authorizations: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, Given] = field(default_factory=dict)
    refreshes: dict[str, Given] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return self.url

    def claims_of(self, given: Given, access: str) -> Claims:
        """Return the claims of an ID token (OpenID Connect Core section 2)."""
        now = int(self.clock())
        made = {
            "iss": self.issuer,
            "sub": ACCOUNT,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "auth_time": given.auth_time,
            "nonce": given.nonce or None,
            "at_hash": digest_half(access, self.key.alg),
            "sid": f"session of {ACCOUNT}",
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada Example",
            "preferred_username": "ada",
            "groups": ["staff"],
        }
        return merged(made, self.claims)

    def id_token(self, given: Given, access: str) -> str:
        header = merged({"alg": self.key.alg, "kid": self.key.kid, "typ": "JWT"}, self.header)
        claims = self.claims_of(given, access)
        if self.signed is not None:
            return self.signed(self.key, claims, header)
        return self.key.sign(claims, header)

    def logout_token(self, header: Claims | None = None, **claims: Any) -> str:
        """Return a logout token (OpenID Connect Back-Channel Logout section 2.4)."""
        now = int(self.clock())
        made = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "events": {LOGOUT_EVENT: {}},
            "sub": ACCOUNT,
            "sid": f"session of {ACCOUNT}",
        }
        own = {"alg": self.key.alg, "kid": self.key.kid, "typ": "logout+jwt"}
        return self.key.sign(merged(made, claims), merged(own, header or {}))

    def answers(self, path: str, status: int, body: bytes | str = b"", **headers: str) -> None:
        """Respond with this to every request for a path."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): text for name, text in headers.items()}

        async def fixed(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=data, headers=named)

        self.instead[path] = fixed

    def asked(self, path: str) -> int:
        """Return the number of requests for a path."""
        return self.requests.count(path)

    @property
    def application(self) -> web.Application:
        made = web.Application()
        made.router.add_route("*", "/{path:.*}", self._serve)
        return made

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        if request.method == "POST":
            form = await request.post()
            self.forms[request.path] = {name: str(text) for name, text in form.items()}
        if instead := self.instead.get(request.path):
            return await instead(request)
        handler = _HANDLERS.get(request.path)
        return web.Response(status=404) if handler is None else handler(self, request)

    def _metadata(self, _: web.Request) -> web.Response:
        """OpenID Connect Discovery section 3, and RFC 9207 section 3."""
        made = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "end_session_endpoint": f"{self.url}/logout",
            "revocation_endpoint": f"{self.url}/revoke",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.key.alg],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile", "email"],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }
        return web.json_response(merged(made, self.metadata))

    def _jwks(self, _: web.Request) -> web.Response:
        keys = [self.key] if self.keys is None else self.keys
        return web.json_response({"keys": [key.public() for key in keys]})

    def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.authorizations.append(query)
        code = secrets.token_urlsafe(24)
        redirect, challenge = query["redirect_uri"], query.get("code_challenge", "")
        now = int(self.clock())
        self.codes[code] = Given(query.get("nonce", ""), challenge, redirect, now)
        back = merged({"code": code, "state": query["state"], "iss": self.issuer}, self.callback)
        return web.Response(status=302, headers={"Location": f"{redirect}?{urlencode(back)}"})

    def _token(self, request: web.Request) -> web.Response:
        form = self.forms[request.path]
        if not _is_client(request, form):
            return _refused("invalid_client", 401)
        if form.get("grant_type") == "refresh_token":
            given = self.refreshes.pop(form["refresh_token"], None)
            if given is None:
                return _refused("invalid_grant")
            return self._granted(Given("", "", given.redirect_uri, given.auth_time))
        given = self.codes.pop(form.get("code", ""), None)
        if given is None or given.redirect_uri != form.get("redirect_uri"):
            return _refused("invalid_grant")
        if given.challenge != _challenge(form.get("code_verifier", "")):
            return _refused("invalid_grant")
        return self._granted(given)

    def _granted(self, given: Given) -> web.Response:
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.refreshes[refresh] = given
        made = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": refresh,
            "id_token": self.id_token(given, access),
        }
        return web.json_response(merged(made, self.tokens))

    def _userinfo(self, _: web.Request) -> web.Response:
        return web.json_response(merged({"sub": ACCOUNT}, self.userinfo))

    def _nothing(self, _: web.Request) -> web.Response:
        return web.Response()


_HANDLERS: Mapping[str, Callable[[HostileProvider, web.Request], web.Response]] = {
    "/.well-known/openid-configuration": HostileProvider._metadata,
    "/jwks": HostileProvider._jwks,
    "/authorize": HostileProvider._authorize,
    "/token": HostileProvider._token,
    "/userinfo": HostileProvider._userinfo,
    "/revoke": HostileProvider._nothing,
}


def merged(made: Claims, changed: Mapping[str, Any]) -> Claims:
    """Return both; None removes a member."""
    return {name: value for name, value in {**made, **changed}.items() if value is not None}


def duplicated(claims: Claims, name: str, value: Any) -> bytes:
    """Return the JSON of claims in which a member comes twice."""
    text = json.dumps(claims)
    return f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}".encode()


def _challenge(verifier: str) -> str:
    return encoded(sha256(verifier.encode()).digest())


def _is_client(request: web.Request, form: Mapping[str, str]) -> bool:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return "client_assertion" in form
    name, _, secret = b64decode(text).decode().partition(":")
    return (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET)


def _refused(error: str, status: int = 400) -> web.Response:
    # Providers put details there, which nobody else should see.
    return web.json_response(
        {"error": error, "error_description": "<b>a detail of the provider</b>"}, status=status
    )


async def hang(_: web.Request) -> web.StreamResponse:
    """Never respond."""
    await asyncio.sleep(3600)
    raise AssertionError


@dataclass
class Trap:
    """An address that only tokens name: `requests` are those that came nevertheless."""

    url: str = ""
    requests: list[str] = field(default_factory=list)

    def placed(self, value: Any) -> Any:
        """Return JSON in which this address is filled in."""
        return json.loads(json.dumps(value).replace("{elsewhere}", self.url))

    async def serve(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        return web.json_response({"keys": []})


@asynccontextmanager
async def hostile_provider(
    tls: ssl.SSLContext | None = None, **changed: Any
) -> AsyncIterator[HostileProvider]:
    """Run a provider on a free port of loopback; with `tls` its name is `localhost`."""
    made = HostileProvider(**changed)
    server = TestServer(made.application, host="127.0.0.1")
    await server.start_server(ssl=tls)
    made.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{server.port}"
    try:
        yield made
    finally:
        await server.close()


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    made = Trap()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.serve)
    async with TestServer(application, host="127.0.0.1") as server:
        made.url = f"http://127.0.0.1:{server.port}"
        yield made
