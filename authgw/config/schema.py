"""The configuration schema: frozen, validated sections with their defaults."""

import re
from dataclasses import replace
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
)

from authgw.config.rules import RuleEntry
from authgw.config.scalars import comma_separated, parse_boolean, parse_integer
from authgw.core.errors import TargetMalformedError
from authgw.core.login_sites import LoginSite, LoginSites, host_of, origin_of
from authgw.core.model import IdentityHeaders
from authgw.core.networks import checked_entry
from authgw.core.redirects import Redirects
from authgw.core.urls import canonical_host
from authgw.storage.redis.url import is_redis, parse_redis

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MAX_DURATION = 100 * 365 * 86400.0  # seconds
_HEADER_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
# Requests with an identity header are denied, and browsers or proxies send these headers.
_RESERVED_HEADER = re.compile(
    r"accept|(proxy-)?authorization|cache-control|connection|content-.*|cookie|date|destination"
    r"|expect|forwarded|host|keep-alive|location|origin|referer|sec-.*|set-cookie|te|trailer"
    r"|transfer-encoding|upgrade|user-agent|via|www-authenticate|x-authgw-.*|x-original-.*"
    r"|x-forwarded-(for|host|method|port|proto|uri)|x-real-ip|x-request(-id|ed-with)"
)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MIN_STALENESS = 0.1  # seconds
_VISIBLE = re.compile(r"[!-~]+")


def parse_duration(value: Any) -> float:
    """Return a duration such as `15m`, `720h` or `1h30m` in seconds; only 0 needs no unit.

    Raises:
        ValueError: The value is not a duration, or longer than 100 years.
    """
    if (value == 0 and not isinstance(value, bool)) or value == "0":
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("is not a duration: write it with its unit, such as 90s, 15m or 720h")
    parts = re.findall(r"([\d.]+)([a-z]+)", value)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total > MAX_DURATION:
        raise ValueError("is longer than 100 years: shorten it")
    return total


def _staleness(duration: float) -> float:
    if 0 < duration < _MIN_STALENESS:
        raise ValueError(
            "0 (ask the store at every request) or at least 100ms: "
            "what is known for less is too old before it is used again"
        )
    return duration


def _store_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if is_redis(text):
        parse_redis(text)
        return url
    if not text.startswith("embedded:"):
        raise ValueError("is not a store: use embedded:///FILE, embedded://memory or redis://HOST")
    if text != "embedded://memory" and not text[12:].strip("/"):
        raise ValueError("names no file: write embedded:///var/authgw.db or embedded://memory")
    if text != "embedded://memory" and text[11:12] != "/":
        raise ValueError("needs three slashes: embedded:///var/authgw.db")
    return url


def _page_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("is no page: write it whole, such as https://auth.example.com/login")
    if not _VISIBLE.fullmatch(url):
        raise ValueError("holds a space or a letter beyond ASCII: percent-encode it")
    if not _is_canonical(host_of(url)):
        raise ValueError("names no host that a browser can reach")
    return url


def _domain(text: str) -> str:
    if not text.startswith(".") and _is_canonical(text) and "." in text:
        return text
    raise ValueError("is no domain: write it without a dot in front, such as example.com")


def _host_pattern(text: str) -> str:
    if not _is_canonical(text.removeprefix("*.")):
        raise ValueError("is no host: write app.example.com or *.example.com")
    return text


def _colour(text: str) -> str:
    if not _COLOUR.fullmatch(text):
        raise ValueError('is no colour: write it in quotes, such as "#0a7a70"')
    return text


def _is_canonical(host: str) -> bool:
    try:
        return canonical_host(host) == host
    except TargetMalformedError:
        return False


def _listening_host(text: str) -> str:
    # An empty text would mean every address of this machine.
    if _is_ip(text.partition("%")[0]) or (not text.startswith("[") and _is_canonical(text)):
        return text
    raise ValueError(
        "is not an address to listen on: write 127.0.0.1, 0.0.0.0 or ::, without port and brackets"
    )


def _store_host(text: str) -> str:
    bracketed = text.startswith("[") and text.endswith("]")
    if re.search(r"[/@?#,\s]", text) or (":" in text and not bracketed):
        raise ValueError("is not the name of one host: write redis, or [::1]; cache.port is apart")
    return text


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not a header name made of letters, digits and single dashes")
    if _RESERVED_HEADER.fullmatch(name.lower()):
        raise ValueError("means something else to proxies and apps: write Remote-User or X-...")
    return name


Integer = Annotated[StrictInt, BeforeValidator(parse_integer)]
Boolean = Annotated[StrictBool, BeforeValidator(parse_boolean)]
Text = Annotated[str, Field(min_length=1)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Network = Annotated[str, AfterValidator(checked_entry)]
ListeningHost = Annotated[Text, AfterValidator(_listening_host)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
HeaderName = Annotated[str, AfterValidator(_header_name)]


class Section(BaseModel):
    """Base class of the sections: unknown keys are refused, and errors never contain values."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """Listening addresses, and the proxies whose forwarded headers are trusted.

    `socket` is the path of a unix socket that is opened in addition to the port.
    """

    host: ListeningHost = "127.0.0.1"
    port: Annotated[Integer, Field(ge=1, le=65535)] = 8080
    socket: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(comma_separated)] = (
        "127.0.0.0/8",
        "::1/128",
    )
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

    url: Annotated[SecretStr, AfterValidator(_store_url)] | None = None
    host: Annotated[Text, AfterValidator(_store_host)] | None = None
    port: Annotated[Integer, Field(ge=1, le=65535)] = 6379
    password_file: Text | None = None
    ca_file: Text | None = None
    max_staleness: Annotated[Duration, AfterValidator(_staleness)] = 1.0

    @property
    def address(self) -> str:
        """The URL of the store, without the password of `password_file`."""
        if self.url is not None:
            return self.url.get_secret_value()
        return f"redis://{self.host}:{self.port}/0" if self.host else "embedded:///var/authgw.db"

    @property
    def is_embedded(self) -> bool:
        """True if the sessions are stored in a file or in the memory of this process."""
        return self.address.startswith("embedded:")


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


class LoginPageSettings(Section):
    """A login page: its public URL, the domain of its cookie, and the allowed redirect targets."""

    url: Annotated[str, AfterValidator(_page_url)] | None = None
    cookie_domain: Annotated[str, AfterValidator(_domain)] | None = None
    redirect_hosts: Annotated[tuple[HostPattern, ...], BeforeValidator(comma_separated)] | None = (
        None
    )
    default_redirect: Annotated[str, AfterValidator(_page_url)] | None = None

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


class LoginSettings(LoginPageSettings):
    """Login pages, the second factor, and the appearance of the pages."""

    domains: tuple[LoginPageSettings, ...] = ()
    totp: Literal["off", "optional", "required"] = "optional"
    product: Annotated[str, Field(min_length=1, max_length=64)] = "authgw"
    color: Annotated[str, AfterValidator(_colour)] = "#0a7a70"

    @property
    def sites(self) -> LoginSites:
        """All login sites."""
        pages = (self.site, *(page.site for page in self.domains))
        return LoginSites(tuple(site for site in pages if site is not None))


class MetricsSettings(Section):
    """Listening address for Prometheus, separate from the port for proxies."""

    host: ListeningHost = "127.0.0.1"
    port: Annotated[Integer, Field(ge=1, le=65535)] = 9090


class HeaderSettings(Section):
    """Names of the identity headers that upstreams receive."""

    user: HeaderName = "Remote-User"
    groups: HeaderName = "Remote-Groups"
    email: HeaderName = "Remote-Email"
    name: HeaderName = "Remote-Name"

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
