"""A look-alike of GitHub's login and the parts of its API that a login uses.

Written after "Authorizing OAuth apps" and the REST API reference (users, emails, organizations,
teams) of docs.github.com: the token endpoint reports errors with status 200, lists are paged by
the header Link, and every request for the API needs User-Agent.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.forged_tokens import encoded

CLIENT_ID = "Iv1.0123456789abcdef"
CLIENT_SECRET = "0123456789abcdef0123456789abcdef01234567"
USER: Mapping[str, Any] = {
    "login": "octocat",
    "id": 583231,
    "name": "The Octocat",
    "email": None,
    "type": "User",
}
EMAILS: Sequence[Mapping[str, Any]] = (
    {"email": "old@example.org", "verified": True, "primary": False, "visibility": None},
    {"email": "octocat@example.com", "verified": True, "primary": True, "visibility": "private"},
)


@dataclass
class GithubLookalike:
    """The site, and its API below `/api/v3` as on an Enterprise Server.

    Lists come in pages of `page` entries at most.
    """

    url: str = ""
    user: dict[str, Any] = field(default_factory=lambda: dict(USER))
    emails: list[Mapping[str, Any]] = field(default_factory=lambda: list(EMAILS))
    organisations: list[str] = field(default_factory=lambda: ["acme"])
    teams: list[tuple[str, str]] = field(default_factory=lambda: [("acme", "writers")])
    page: int = 100
    scopes: str = "read:org,user:email"
    refused: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    @property
    def application(self) -> web.Application:
        made = web.Application(middlewares=[self._recorded])
        made.add_routes(
            [
                web.get("/login/oauth/authorize", self._authorize),
                web.post("/login/oauth/access_token", self._token),
                web.get("/api/v3/user", self._user),
                web.get("/api/v3/user/emails", self._emails),
                web.get("/api/v3/user/orgs", self._organisations),
                web.get("/api/v3/user/teams", self._teams),
            ]
        )
        return made

    @web.middleware
    async def _recorded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request.path)
        if request.path in self.refused:
            return web.json_response({"message": "no"}, status=self.refused[request.path])
        response: web.StreamResponse = await handler(request)
        return response

    async def _authorize(self, request: web.Request) -> web.Response:
        query = request.query
        code = secrets.token_hex(10)
        self.codes[code] = (query["redirect_uri"], query.get("code_challenge", ""))
        back = urlencode({"code": code, "state": query["state"]})
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{back}"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        given = self.codes.pop(str(form.get("code")), None)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return web.json_response({"error": "incorrect_client_credentials"})
        verifier = str(form.get("code_verifier", ""))
        if given is None or encoded(sha256(verifier.encode()).digest()) != given[1]:
            return web.json_response({"error": "bad_verification_code"})
        # Without this header the response is a form, not JSON.
        if "application/json" not in request.headers.get("Accept", ""):
            return web.Response(text="access_token=x&token_type=bearer")
        token = f"gho_{secrets.token_hex(18)}"
        self.tokens.add(token)
        return web.json_response(
            {"access_token": token, "scope": self.scopes, "token_type": "bearer"}
        )

    async def _user(self, request: web.Request) -> web.Response:
        return self._private(request) or web.json_response(self.user)

    async def _emails(self, request: web.Request) -> web.Response:
        return self._private(request) or self._list(request, self.emails)

    async def _organisations(self, request: web.Request) -> web.Response:
        found = [{"login": name, "id": number} for number, name in enumerate(self.organisations)]
        return self._private(request) or self._list(request, found)

    async def _teams(self, request: web.Request) -> web.Response:
        found = [
            {"slug": slug, "name": slug.title(), "organization": {"login": owner}}
            for owner, slug in self.teams
        ]
        return self._private(request) or self._list(request, found)

    def _private(self, request: web.Request) -> web.Response | None:
        if not request.headers.get("User-Agent"):
            return web.Response(status=403, text="Request forbidden by administrative rules.")
        token = request.headers.get("Authorization", "").partition(" ")[2]
        if token not in self.tokens:
            return web.json_response({"message": "Bad credentials"}, status=401)
        return None

    def _list(self, request: web.Request, entries: Sequence[Any]) -> web.Response:
        size = min(self.page, int(request.query.get("per_page", 30)))
        number = int(request.query.get("page", 1))
        headers = {}
        if number * size < len(entries):
            query = urlencode({"per_page": size, "page": number + 1})
            headers["Link"] = f'<{self.url}{request.path}?{query}>; rel="next"'
        shown = list(entries[(number - 1) * size : number * size])
        return web.json_response(shown, headers=headers)


@asynccontextmanager
async def github_lookalike(**changed: Any) -> AsyncIterator[GithubLookalike]:
    """Run it on a free port of loopback."""
    made = GithubLookalike(**changed)
    async with TestServer(made.application, host="127.0.0.1") as server:
        made.url = f"http://127.0.0.1:{server.port}"
        yield made
