"""A simulated browser with cookies and forms, and a gateway with a login page."""

import re
import time
from html import unescape
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

import pyotp
from aiohttp import ClientResponse, FormData

from authgw.core.rules import Allow, Credential, Rule, Rules, glob
from tests.support.gateway import PASSWORD, SECRET, RunningGateway

LOGIN = "https://auth.example.com/login"
APP = "https://app.example.com/a?b=c"
OWN = {"Host": "auth.example.com", "Accept": "text/html"}
RULES = Rules(
    [
        Rule("1", Allow(authenticated=True), "app.example.com", (glob("/vault/**"),), totp=True),
        Rule(
            "2",
            Allow(authenticated=True),
            "dav.example.com",
            credentials=frozenset({Credential.APP_PASSWORD, Credential.COOKIE}),
        ),
        Rule("3", Allow(groups=frozenset({"writers"})), "wiki.example.com"),
        Rule("4", Allow(authenticated=True), "app.example.com"),
    ]
)


def page_of(**keys: Any) -> dict[str, Any]:
    """Return a section `login`, or an entry of its `domains`."""
    return {"url": LOGIN, "cookie_domain": "example.com", **keys}


class Jar:
    """A browser: its cookies and the last page."""

    def __init__(self, running: RunningGateway, origin: str = "https://auth.example.com") -> None:
        self.running = running
        self.origin = origin
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[Morsel[str]] = []
        self.text = ""

    async def get(self, path: str, **headers: str) -> ClientResponse:
        response = await self.running.client.get(
            path, headers={**self._headers(), **headers}, allow_redirects=False
        )
        return await self._store_cookies(response)

    async def post(self, path: str, **fields: str) -> ClientResponse:
        return await self.send(path, {"Origin": self.origin}, {"token": self.token, **fields})

    async def send(
        self, path: str, headers: dict[str, str], fields: dict[str, str]
    ) -> ClientResponse:
        response = await self.running.client.post(
            path,
            data=FormData(fields),
            headers={**self._headers(), **headers},
            allow_redirects=False,
        )
        return await self._store_cookies(response)

    async def log_in(
        self, user: str = "bob", password: str = PASSWORD, rd: str = APP
    ) -> ClientResponse:
        await self.get(f"/login?rd={quote(rd, safe='')}")
        return await self.post("/login", rd=rd, username=user, password=password)

    async def check(self, url: str = APP, **headers: str) -> ClientResponse:
        parts = urlsplit(url)
        target_headers = {
            "X-Original-URL": url,
            "X-Original-Host": parts.netloc,
            "X-Original-Method": "GET",
            "Accept": "text/html",
        }
        response = await self.running.client.get(
            "/authenticate", headers={**self._cookie(), **target_headers, **headers}
        )
        await response.read()
        return response

    @property
    def token(self) -> str:
        match = re.search(r'name="token" value="([^"]*)"', self.text)
        return unescape(match[1]) if match else ""

    @property
    def session(self) -> str:
        return self.cookies.get("__Secure-authgw", "")

    def _headers(self) -> dict[str, str]:
        return {**OWN, "Host": urlsplit(self.origin).netloc, **self._cookie()}

    def _cookie(self) -> dict[str, str]:
        line = "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value)
        return {"Cookie": line} if line else {}

    async def _store_cookies(self, response: ClientResponse) -> ClientResponse:
        for line in response.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                self.set_cookies.append(morsel)
        self.text = await response.text() or self.text
        return response


def code() -> str:
    return pyotp.TOTP(SECRET).now()


async def reload_users(running: RunningGateway) -> None:
    time.sleep(0.15)  # noqa: ASYNC251  a file that has just changed is not read again at once
    assert running.users.reload_if_changed() == ""
