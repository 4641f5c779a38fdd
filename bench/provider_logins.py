"""Gateways with an identity provider of minimal cost, and browsers that log in there."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from bench.gateways import BenchGateway, Lab
from bench.nginx import HOST
from bench.outcome import NotMeasured
from bench.recorded_provider import CLIENT_ID

_NAME = "recorded"
_USER = "alice"
_PASSWORD = "correct horse battery staple"  # noqa: S105  not a real password
_ORIGIN = f"https://{HOST}"
_BROWSER = {
    "Host": HOST,
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


# The header `Cookie`.
Cookies = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProviderGateway:
    """A gateway with a local user and a provider."""

    gateway: BenchGateway
    issuer: str


def provider_gateway(made: Lab, store_url: str) -> ProviderGateway:
    """Start a provider, and a gateway that accepts all its accounts."""
    provider = made.provider()
    issuer = f"http://127.0.0.1:{provider}"
    directory = made.directory("users")
    users, secret = directory / "users.yml", directory / "secret"
    users_editor.add(users, _USER, hash_password(_PASSWORD))
    secret.write_text("secret of the client\n")
    secret.chmod(0o600)
    settings: dict[str, dict[str, Any]] = {
        "auth": {"users": str(users)},
        "login": {
            "url": f"{_ORIGIN}/login",
            "providers": {
                _NAME: {
                    "issuer": issuer,
                    "client_id": CLIENT_ID,
                    "client_secret_file": str(secret),
                    "accept": "everyone",
                }
            },
        },
    }
    return ProviderGateway(made.fleet(store_url).replica(settings=settings), issuer)


async def log_in(
    client: aiohttp.ClientSession, target: ProviderGateway, address: str = "127.0.0.1"
) -> Cookies:
    """Log in at the provider as a new account; return the header with the session cookie.

    Raises:
        NotMeasured: the gateway refused the login.
    """
    headers = {**_BROWSER, "X-Forwarded-For": address}
    start = await _redirected(client, target, f"/login/oidc/{_NAME}", headers)
    sent = dict(parse_qsl(urlsplit(start.headers["Location"]).query))
    query = {"code": sent["nonce"], "state": sent["state"], "iss": target.issuer}
    path = f"/login/oidc/{_NAME}/callback?{urlencode(query)}"
    end = await _redirected(client, target, path, {**headers, **_cookies(start)})
    return _cookies(end)


async def log_in_locally(client: aiohttp.ClientSession, target: ProviderGateway) -> Cookies:
    """Log in by password, as a browser does; return the header with the session cookie.

    Raises:
        NotMeasured: the gateway refused the login.
    """
    url = f"http://127.0.0.1:{target.gateway.port}/login"
    async with client.get(url, headers=_BROWSER) as page:
        token = re.search(r'name="token" value="([^"]*)"', await page.text())
    form = {"token": token[1] if token else "", "username": _USER, "password": _PASSWORD}
    headers = {**_BROWSER, **_cookies(page), "Origin": _ORIGIN}
    async with client.post(url, data=form, headers=headers, allow_redirects=False) as response:
        return _cookies(_redirect(response))


def sessions_of_both(target: ProviderGateway) -> tuple[Cookies, Cookies]:
    """Return the cookies of a local session and of a session of the provider.

    Raises:
        NotMeasured: the gateway refused a login.
    """

    async def both() -> tuple[Cookies, Cookies]:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
            return await log_in_locally(client, target), await log_in(client, target)

    return asyncio.run(both())


async def _redirected(
    client: aiohttp.ClientSession, target: ProviderGateway, path: str, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    url = f"http://127.0.0.1:{target.gateway.port}{path}"
    async with client.get(url, headers=headers, allow_redirects=False) as response:
        await response.read()
        return _redirect(response)


def _redirect(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    if response.status not in (302, 303):
        raise NotMeasured(f"a login was refused with {response.status}: nothing measured")
    return response


def _cookies(response: aiohttp.ClientResponse) -> Cookies:
    """Return the header with the cookies that a response sets."""
    jar: SimpleCookie = SimpleCookie()
    for line in response.headers.getall("Set-Cookie", []):
        jar.load(line)
    kept = [f"{name}={morsel.value}" for name, morsel in jar.items() if morsel.value]
    return {"Cookie": "; ".join(kept)}
