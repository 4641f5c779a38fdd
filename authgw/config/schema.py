"""The configuration schema: frozen, validated sections with their defaults."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from authgw.config.login_pages import rejected_cookies
from authgw.config.rules import RuleEntry
from authgw.config.section import CONFLICT, Conflict, Section
from authgw.config.values import (
    Boolean,
    Colour,
    CookieDomain,
    Duration,
    HeaderName,
    HostPatterns,
    Integer,
    ListeningHost,
    Networks,
    PageUrl,
    Port,
    PositiveDuration,
    Staleness,
    StoreHost,
    StoreUrl,
    Text,
)
from authgw.core.login_sites import LoginSite, LoginSites, host_of, origin_of
from authgw.core.model import IdentityHeaders
from authgw.core.redirects import Redirects
from authgw.core.sessions import Lifetimes
from authgw.storage.registry import kind_of


class ServerSettings(Section):
    """Listening addresses, and the proxies whose forwarded headers are trusted.

    `socket` is the path of a unix socket that is opened in addition to the port.
    """

    host: ListeningHost = "127.0.0.1"
    port: Port = 8080
    socket: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    trusted_proxies: Networks = ("127.0.0.0/8", "::1/128")
    drain: Duration = 20.0
    docs: Boolean = False


class LoggingSettings(Section):
    """Format and level of the log, and the decisions that it contains."""

    mode: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    decisions: Literal["denied", "all"] = "denied"


class CacheSettings(Section):
    """The session store: `url`, or the `host` and `port` of a Redis server.

    `ca_file` has the certificate authorities for Redis with TLS, instead of those of the system.
    """

    url: StoreUrl | None = None
    host: StoreHost | None = None
    port: Port = 6379
    password_file: Text | None = None
    ca_file: Text | None = None
    max_staleness: Staleness = 1.0

    @property
    def address(self) -> str:
        """The URL of the store, without the password of `password_file`."""
        if self.url is not None:
            return self.url.get_secret_value()
        return f"redis://{self.host}:{self.port}/0" if self.host else "embedded:///var/authgw.db"

    @property
    def is_shared(self) -> bool:
        """True if several replicas can use this store."""
        return kind_of(self.address).is_shared

    def conflicts(self) -> Iterator[Conflict]:
        """Yield keys for another store than that of `address`, and two keys for the same value."""
        written = self.model_fields_set
        if "url" in written and written & {"host", "port"}:
            yield Conflict(
                ("url",),
                "is set together with cache.host or cache.port: keep the URL, or host and port",
            )
        if "port" in written and not written & {"host", "url"}:
            yield Conflict(("port",), "has no effect without cache.host: set cache.host too")
        store, key = ("url", "host"), ("password_file",)
        if "password_file" in written and not self.is_shared:
            yield Conflict(
                key,
                "is for a Redis store: set cache.url or cache.host to a Redis, or remove it",
                store,
            )
        if (
            "password_file" in written
            and ":" in self.address.partition("://")[2].rpartition("@")[0]
        ):
            yield Conflict(
                key, "is set together with a password in cache.url: keep one of them", store
            )
        if "ca_file" in written and not self.address.startswith("rediss"):
            yield Conflict(
                ("ca_file",), "is for TLS: write rediss:// in cache.url, or remove it", store
            )


class PasswordSettings(Section):
    """Policy for new passwords; with `rehash` a login renews an old hash in the users file."""

    min_length: Annotated[Integer, Field(ge=1, le=128)] = 8
    rehash: Boolean = True


class AuthSettings(Section):
    """Tokens and sessions; durations in seconds."""

    issuer: Text = "authgw"
    previous_issuers: tuple[Text, ...] = ()
    audience: Text | None = None
    algorithm: Literal["ES256", "RS256", "EdDSA", "HS256"] = "ES256"
    keys: Text = "secrets/keys"
    secret_file: Text = "secrets/jwt_key"  # noqa: S105  a path
    clients: Text = "clients.yml"
    users: Text = "users.yml"
    access_lifetime: PositiveDuration = 900.0
    refresh_lifetime: PositiveDuration = 720 * 3600.0
    session_max: PositiveDuration = 2160 * 3600.0
    auto_logout: PositiveDuration = 24 * 3600.0
    refresh_grace: Duration = 10.0
    max_sessions: Annotated[Integer, Field(ge=1, le=10000)] = 100
    open_login: Boolean = False
    direct_check: Boolean = False
    passwords: PasswordSettings = PasswordSettings()

    @property
    def lifetimes(self) -> Lifetimes:
        """The lifetimes of tokens and sessions."""
        return Lifetimes(
            access=self.access_lifetime,
            refresh=self.refresh_lifetime,
            session_max=self.session_max,
            refresh_grace=self.refresh_grace,
        )

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a secret file of another algorithm, and lifetimes that another cuts off."""
        written = self.model_fields_set
        if "secret_file" in written and self.algorithm != "HS256":
            message = "is for HS256: set auth.algorithm: HS256, or remove it"
            yield Conflict(("secret_file",), message, ("algorithm",))
        for pair in pairwise(("access_lifetime", "refresh_lifetime", "session_max")):
            shorter, longer = pair
            # A default that is too long is not an error: the lifetime of the session limits it.
            if shorter in written and getattr(self, shorter) > getattr(self, longer):
                yield Conflict(
                    (shorter,),
                    f"is longer than auth.{longer}: shorten it, or lengthen auth.{longer}",
                    pair,
                )


class LoginPageSettings(Section):
    """A login page: its public URL, the domain of its cookie, and the allowed redirect targets."""

    url: PageUrl | None = None
    cookie_domain: CookieDomain | None = None
    redirect_hosts: HostPatterns | None = None
    default_redirect: PageUrl | None = None

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
    totp: Literal["off", "optional", "required"] = "optional"
    product: Annotated[str, Field(min_length=1, max_length=64)] = "authgw"
    color: Colour = "#0a7a70"

    @property
    def sites(self) -> LoginSites:
        """All login sites."""
        pages = (self.site, *(page.site for page in self.domains))
        return LoginSites(tuple(site for site in pages if site is not None))

    def conflicts(self) -> Iterator[Conflict]:
        """Yield pages in two places, the conflicts of a login page, and rejected cookies."""
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


class MetricsSettings(Section):
    """Listening address for Prometheus, separate from the port for proxies."""

    host: ListeningHost = "127.0.0.1"
    port: Port = 9090


class HeaderSettings(Section):
    """Names of the identity headers that upstreams receive."""

    user: HeaderName = "Remote-User"
    groups: HeaderName = "Remote-Groups"
    email: HeaderName = "Remote-Email"
    name: HeaderName = "Remote-Name"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield two headers of the same name."""
        names = self.model_dump()
        if len({name.lower() for name in names.values()}) < len(names):
            yield Conflict((), "two headers have the same name: give each a name of its own", names)

    @property
    def identity(self) -> IdentityHeaders:
        """The names by claim: each key is the name of a claim."""
        return IdentityHeaders(dict(self))


class Settings(Section):
    """The whole configuration; `rules` is None if the section is absent."""

    server: ServerSettings = ServerSettings()
    logging: LoggingSettings = LoggingSettings()
    cache: CacheSettings = CacheSettings()
    auth: AuthSettings = AuthSettings()
    login: LoginSettings = LoginSettings()
    headers: HeaderSettings = HeaderSettings()
    metrics: MetricsSettings = MetricsSettings()
    rules: tuple[RuleEntry, ...] | None = None

    @field_validator("rules", mode="before")
    @classmethod
    def _has_rules(cls, value: Any) -> Any:
        if not value:
            message = (
                "is empty, so that every request would be denied: write rules, or remove the key"
            )
            raise PydanticCustomError(CONFLICT, message)
        return value
