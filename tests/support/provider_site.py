"""A proxy in front of an app and a gateway, whose users log in at npm's oidc-provider."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.hostile_provider import merged
from tests.support.processes import ISSUED, free_port
from tests.support.provider_process import (
    ACCOUNT_PASSWORD,
    CLIENT_ID,
    CLIENT_SECRET,
    ProviderProcess,
    client_of,
    provider_process,
)
from tests.support.proxies import HOST, LOGIN_HOST, Proxied, running
from tests.support.web_client import WebClient

NAME = "company"
BUTTON = "Log in with Example Ltd"


def gateway_config(login: str, issuer: str, secret: Path, **keys: Any) -> dict[str, Any]:
    """Return a configuration with a login page at this URL; `keys` are the provider's."""
    provider = {
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret_file": str(secret),
        "label": "Example Ltd",
        "accept": {"groups": ["staff"]},
        "scopes": ["openid", "profile", "email", "groups"],
        "groups": {"map": {"kc-admins": "admins"}, "prefix": "kc:"},
        "logout": "idp",
    }
    return {
        "server": {"trusted_proxies": ["127.0.0.1/32"]},
        "login": {
            "url": login,
            "cookie_domain": "example.localhost",
            "providers": {NAME: merged(provider, keys)},
        },
        "rules": [
            {"host": HOST, "path": "/public/**", "allow": "anyone"},
            {"host": HOST, "path": "/admin/**", "allow": "group:admins"},
            {"host": HOST, "allow": ["authenticated", f"provider:{NAME}"]},
        ],
    }


def secret_file(folder: Path) -> Path:
    """Write the client's secret to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "provider-secret"
    made.write_text(f"{CLIENT_SECRET}\n")
    made.chmod(0o600)
    ISSUED.update([CLIENT_SECRET, ACCOUNT_PASSWORD])
    return made


@dataclass
class ProviderSite:
    """A proxy with everything behind it, and the provider."""

    proxied: Proxied
    provider: ProviderProcess

    def app(self, path: str = "/") -> str:
        return f"http://{HOST}:{self.proxied.port}{path}"

    def login(self, path: str = "/login") -> str:
        return f"http://{LOGIN_HOST}:{self.proxied.port}{path}"

    def logged_in(self, path: str = "/", account: str = "ada") -> WebClient:
        """Return a browser that opened a page of the app and logged in at the provider."""
        browser = WebClient()
        browser.get(self.app(path))
        assert browser.url.startswith(self.login("/login?rd=")), browser.visited
        browser.follow(f"/login/oidc/{NAME}")
        assert browser.url.startswith(self.provider.issuer), (browser.visited, browser.text)
        browser.submit("/interaction/", account=account, password=ACCOUNT_PASSWORD)
        return browser


@contextmanager
def provider_site(
    name: str,
    folder: Path,
    login: Mapping[str, Any] | None = None,
    *,
    client: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Iterator[ProviderSite]:
    """Run this proxy.

    `login` are further keys of that section, `keys` those of the provider (None removes a key),
    `client` is its registration there, `options` are those of provider.mjs.
    """
    port, issuer_port = free_port(), free_port()
    page = f"http://{LOGIN_HOST}:{port}/login"
    secret = secret_file(folder)
    config = gateway_config(page, f"http://127.0.0.1:{issuer_port}", secret, **keys)
    config["login"] |= login or {}
    clients, more = [client_of(page, NAME, **(client or {}))], options or {}
    with provider_process(folder / "provider", clients, port=issuer_port, **more) as provider:
        text = yaml.safe_dump(config)
        for proxied in running(name, folder, config=text, port=port):
            yield ProviderSite(proxied, provider)
