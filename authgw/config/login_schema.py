"""The section `login` of the configuration: pages of the root domains, and their appearance."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from authgw.config.login_pages import rejected_cookies
from authgw.config.provider_conflicts import between_providers
from authgw.config.providers import ProviderSettings
from authgw.config.section import Conflict, Section
from authgw.config.values import Boolean, Colour, CookieDomain, HostPatterns, PageUrl
from authgw.core.login_sites import LoginSite, LoginSites, host_of, origin_of
from authgw.core.providers.model import Provider
from authgw.core.redirects import Redirects


class LoginPageSettings(Section):
    """A login page: its public URL, the domain of its cookie, and the allowed redirect targets."""

    url: Annotated[PageUrl | None, Field(examples=["https://auth.example.com/login"])] = None
    """URL of the login page, as browsers see it.

    Without it no browser can log in; trusted backends and programs can.
    """
    cookie_domain: Annotated[CookieDomain | None, Field(examples=["example.com"])] = None
    """Domain of the session cookie: a login is valid for all hosts below it.

    Without it a login is valid for the host of `url` only.
    """
    redirect_hosts: Annotated[
        HostPatterns | None, Field(examples=[("*.example.com", "partner.example.org")])
    ] = None
    """Hosts to which `rd` may lead after a login or logout.

    Without it: the host of `url`, and `cookie_domain` with all hosts below it.
    """
    default_redirect: Annotated[PageUrl | None, Field(examples=["https://example.com/"])] = None
    """Page after a login without `rd`; the account page if it is not set."""

    @property
    def site(self) -> LoginSite | None:
        """The login site of `core.login_sites`, None without a URL."""
        if self.url is None:
            return None
        host, domain = host_of(self.url), self.cookie_domain
        default_hosts = (host, *((domain, f"*.{domain}") if domain else ()))
        hosts = default_hosts if self.redirect_hosts is None else self.redirect_hosts
        home = self.default_redirect or ""
        site = LoginSite(self.url, domain, Redirects(hosts, origin_of(self.url), home), home)
        default = home or f"{site.origin}{site.base}/account"
        return replace(site, redirects=replace(site.redirects, default=default))

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a cookie domain that does not include the page, and keys without a page."""
        host, domain = urlsplit(self.url or "").hostname, self.cookie_domain
        if host and domain and not f".{host}".endswith(f".{domain}"):
            message = (
                f"host {host} is outside {{path}}.cookie_domain {domain}, so that browsers discard "
                "the cookie: write a domain that contains the host"
            )
            yield Conflict(("url",), message)
        for key in ("cookie_domain", "redirect_hosts", "default_redirect"):
            if key in self.model_fields_set and "url" not in self.model_fields_set:
                yield Conflict(
                    (key,), "has no effect without {path}.url: set {path}.url to the login page"
                )


class DomainPageSettings(LoginPageSettings):
    """A login page of `login.domains`, which always has a URL."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the conflicts of a login page, and a missing URL."""
        yield from super().conflicts()
        if "url" not in self.model_fields_set:
            yield Conflict((), "has no url: write the url of its login page")


class LoginSettings(LoginPageSettings):
    """Login pages, the second factor, and the appearance of the pages."""

    domains: tuple[DomainPageSettings, ...] = ()
    """Login pages of several root domains, in place of `login.url`.

    Each entry has the keys `url`, `cookie_domain`, `redirect_hosts` and `default_redirect`.
    """
    totp: Annotated[Literal["off", "optional", "required"], Field(examples=["required"])] = (
        "optional"
    )
    """Second factor at the login.

    `off`: for nobody; `optional`: for users who have one; `required`: for all users.
    """
    product: Annotated[str, Field(min_length=1, max_length=64, examples=["Example Ltd"])] = "authgw"
    """Name on the login pages, at most 64 characters."""
    color: Annotated[Colour, Field(examples=["#1d4ed8"])] = "#0a7a70"
    """Accent colour of the login pages."""
    show_groups: Annotated[Boolean, Field(examples=[True])] = False
    """List the groups and users of a rule on the page of a request that it denied."""
    passwords: Annotated[Boolean, Field(examples=[False])] = True
    """Let users of the users file log in with their password.

    With false only `login.providers` open sessions of browsers; `authgw user rescue` makes a link
    for an operator if no provider can be reached.
    """
    app_passwords: Annotated[Boolean, Field(examples=[False])] = True
    """Accept app passwords, also without `passwords`."""
    auto: Annotated[Boolean, Field(examples=[True])] = False
    """Lead from the login page straight to the only provider; needs `passwords: false`."""
    self_service: Annotated[tuple[Literal["link"], ...], Field(examples=[("link",)])] = ()
    """Changes that users make themselves on the account page.

    `link`: connect accounts of providers with their own entry. The login page then needs a host
    without an app.
    """
    providers: Annotated[dict[str, ProviderSettings], Field()] = Field(default={})
    """Identity providers by name, such as `company`.

    The variable sets the whole section, as YAML; a provider has no variables of its own.
    """

    @property
    def sites(self) -> LoginSites:
        """All login sites."""
        pages = (self.site, *(page.site for page in self.domains))
        return LoginSites(tuple(site for site in pages if site is not None))

    def loaded_providers(self, directory: Path) -> dict[str, Provider]:
        """Return the providers with their secrets; paths are relative to `directory`.

        Raises:
            SigningKeyError: A file with a secret cannot be used; the message begins with its key.
        """
        return {name: each.provider(name, directory) for name, each in self.providers.items()}

    def conflicts(self) -> Iterator[Conflict]:
        """Yield pages in two places, the conflicts of a login page, and rejected cookies."""
        yield from self._provider_conflicts()
        if "domains" in self.model_fields_set and self.model_fields_set & {
            *LoginPageSettings.model_fields
        }:
            message = (
                "is set together with keys of a single page: move login.url and its keys "
                "into login.domains"
            )
            yield Conflict(("domains",), message)
        yield from super().conflicts()
        domains = [(("domains", str(n)), page.site) for n, page in enumerate(self.domains)]
        pages = [(key, site) for key, site in [((), self.site), *domains] if site is not None]
        for key, message in rejected_cookies(pages):
            yield Conflict(key, message, kind="rejected_cookie")

    def _provider_conflicts(self) -> Iterator[Conflict]:
        yield from between_providers(self.providers)
        if self.providers and not self.sites.all and "domains" not in self.model_fields_set:
            message = (
                "need a login page, to which the provider returns: set login.url to its public "
                "address, such as https://auth.example.com/login"
            )
            yield Conflict(("providers",), message, ("providers", "url"))
        if not self.passwords and not self.providers:
            message = "is false, and there are no login.providers, so that nobody could log in: "
            yield Conflict(("passwords",), f"{message}add a provider", ("providers", "passwords"))
        if self.auto and (self.passwords or len(self.providers) != 1):
            message = "needs passwords: false and a single provider: write auto: false"
            yield Conflict(("auto",), message, ("auto", "passwords", "providers"))
        if self.self_service and not self.providers:
            message = "has no effect without login.providers: add a provider, or remove it"
            yield Conflict(("self_service",), message, ("self_service", "providers"))
