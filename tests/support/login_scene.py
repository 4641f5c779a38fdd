"""A browser, its cookies and its forms, before a gateway that has a log-in page."""

import re
import time
from html import unescape
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

import pyotp
from aiohttp import ClientResponse, FormData

from authgw.config.schema import LoginPageSettings
from authgw.core.login_sites import LoginSites
from authgw.core.rules import Allow, Credential, Rule, Rules, glob
from tests.support.gateway import PASSWORD, SECRET, Surface

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


def page_of(**said: Any) -> LoginSites:
    page = LoginPageSettings(**{"url": LOGIN, "cookie_domain": "example.com", **said})
    assert page.site is not None
    return LoginSites((page.site,))


class Jar:
    """A browser's cookies and the forms that it was shown."""

    def __init__(self, running: Surface, origin: str = "https://auth.example.com") -> None:
        self.running = running
        self.origin = origin
        self.cookies: dict[str, str] = {}
        self.given: list[Morsel[str]] = []
        self.text = ""

    async def get(self, path: str, **headers: str) -> ClientResponse:
        answer = await self.running.client.get(
            path, headers={**self._headers(), **headers}, allow_redirects=False
        )
        return await self._took(answer)

    async def post(self, path: str, **fields: str) -> ClientResponse:
        return await self.send(path, {"Origin": self.origin}, {"token": self.token, **fields})

    async def send(
        self, path: str, headers: dict[str, str], fields: dict[str, str]
    ) -> ClientResponse:
        answer = await self.running.client.post(
            path,
            data=FormData(fields),
            headers={**self._headers(), **headers},
            allow_redirects=False,
        )
        return await self._took(answer)

    async def log_in(
        self, user: str = "bob", password: str = PASSWORD, rd: str = APP
    ) -> ClientResponse:
        await self.get(f"/login?rd={quote(rd, safe='')}")
        return await self.post("/login", rd=rd, username=user, password=password)

    async def asks(self, url: str = APP, **headers: str) -> ClientResponse:
        parts = urlsplit(url)
        told = {
            "X-Original-URL": url,
            "X-Original-Host": parts.netloc,
            "X-Original-Method": "GET",
            "Accept": "text/html",
        }
        answer = await self.running.client.get(
            "/authenticate", headers={**self._cookie(), **told, **headers}
        )
        await answer.read()
        return answer

    @property
    def token(self) -> str:
        found = re.search(r'name="token" value="([^"]*)"', self.text)
        return unescape(found[1]) if found else ""

    @property
    def session(self) -> str:
        return self.cookies.get("__Secure-authgw", "")

    def _headers(self) -> dict[str, str]:
        return {**OWN, "Host": urlsplit(self.origin).netloc, **self._cookie()}

    def _cookie(self) -> dict[str, str]:
        line = "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value)
        return {"Cookie": line} if line else {}

    async def _took(self, answer: ClientResponse) -> ClientResponse:
        for line in answer.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                self.given.append(morsel)
        self.text = await answer.text() or self.text
        return answer


def code() -> str:
    return pyotp.TOTP(SECRET).now()


async def reread(running: Surface) -> None:
    time.sleep(0.15)  # noqa: ASYNC251  a file that has just changed counts a moment later
    assert running.users.reload_if_changed() == ""
