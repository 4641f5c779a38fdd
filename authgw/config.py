"""YAML and environment to frozen, validated settings; everything wrong is reported at once."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
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
    ValidationError,
)

from authgw.core.errors import TargetMalformed
from authgw.core.explain import unreachable
from authgw.core.location import canonical_host
from authgw.core.peers import UNIX, checked_entry
from authgw.core.redirects import Redirects
from authgw.core.rules import Rule, Rules
from authgw.core.sites import Site, Sites, origin_of
from authgw.rulebook import RuleEntry, compile_rules
from authgw.source import Source, read_environment, read_file

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_HEADER_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_VISIBLE = re.compile(r"[!-~]+")
_SCHEMES = ("embedded", "redis", "rediss")
# Keys of the service that authgw descends from which mean nothing here.
_MEANINGLESS = {("server", "max_processors"): "one process is one replica: scale by replicas"}


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def seconds(value: Any) -> float:
    """A duration such as `15m`, `720h` or `1h30m` in seconds; only 0 needs no unit.

    Raises:
        ValueError: anything else.
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("is not a duration: write it with its unit, such as 90s, 15m or 720h")
    parts = re.findall(r"([\d.]+)([a-z]+)", value)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _store_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    scheme = urlsplit(text).scheme
    if scheme not in _SCHEMES:
        raise ValueError("is not a store: use embedded:///FILE, embedded://memory or redis://HOST")
    if scheme == "embedded" and text != "embedded://memory" and not text[12:].strip("/"):
        raise ValueError("names no file: write embedded:///var/authgw.db or embedded://memory")
    if scheme == "embedded" and text != "embedded://memory" and text[11:12] != "/":
        raise ValueError("needs three slashes: embedded:///var/authgw.db")
    return url


def _page(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("is no page: write it whole, such as https://auth.example.com/login")
    if not _VISIBLE.fullmatch(url):
        raise ValueError("holds a space or a letter beyond ASCII: percent-encode it")
    if not _is_canonical(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname):
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
    except TargetMalformed:
        return False


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not a header name made of letters, digits and single dashes")
    return name


Duration = Annotated[float, BeforeValidator(seconds)]
PositiveDuration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Network = Annotated[str, AfterValidator(checked_entry)]
HeaderName = Annotated[str, AfterValidator(_header_name)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Server(Section):
    """Where the gateway listens, and whom it believes about original requests.

    `socket` is the path of a unix socket, which is listened on besides the port.
    """

    host: str = "127.0.0.1"
    port: Annotated[StrictInt, Field(ge=1, le=65535)] = 8080
    socket: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    trusted_proxies: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    drain: Duration = 20.0
    docs: StrictBool = False


class Logging(Section):
    mode: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    decisions: Literal["denied", "all"] = "denied"


class Cache(Section):
    """Where sessions live: `url`, or the `host` and `port` of a Redis."""

    url: Annotated[SecretStr, AfterValidator(_store_url)] | None = None
    host: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[StrictInt, Field(ge=1, le=65535)] = 6379
    password_file: str | None = None
    max_staleness: Duration = 1.0

    @property
    def address(self) -> str:
        """The URL of the store, without the password of `password_file`."""
        if self.url is not None:
            return self.url.get_secret_value()
        return f"redis://{self.host}:{self.port}/0" if self.host else "embedded:///var/authgw.db"

    @property
    def is_embedded(self) -> bool:
        """Whether sessions live in this process's own file or memory."""
        return self.address.startswith("embedded:")


class Passwords(Section):
    min_length: Annotated[StrictInt, Field(ge=1, le=128)] = 8


class Auth(Section):
    """Tokens and sessions; durations in seconds."""

    issuer: Annotated[str, Field(min_length=1)] = "authgw"
    audience: Annotated[str, Field(min_length=1)] | None = None
    algorithm: Literal["ES256", "RS256", "EdDSA", "HS256"] = "ES256"
    keys: str = "secrets/keys"
    secret_file: str = "secrets/jwt_key"  # noqa: S105  a path
    clients: str = "clients.yml"
    users: str = "users.yml"
    access_lifetime: PositiveDuration = 900.0
    refresh_lifetime: PositiveDuration = 720 * 3600.0
    session_max: PositiveDuration = 2160 * 3600.0
    auto_logout: PositiveDuration = 24 * 3600.0
    refresh_grace: Duration = 10.0
    max_sessions: Annotated[StrictInt, Field(ge=1, le=10000)] = 100
    open_login: StrictBool = False
    direct_check: StrictBool = False
    passwords: Passwords = Passwords()


class LoginPage(Section):
    """One log-in page: its public address, how far its cookie reaches, where it sends back to."""

    url: Annotated[str, AfterValidator(_page)] | None = None
    cookie_domain: Annotated[str, AfterValidator(_domain)] | None = None
    redirect_hosts: tuple[Annotated[str, AfterValidator(_host_pattern)], ...] | None = None
    default_redirect: Annotated[str, AfterValidator(_page)] | None = None

    @property
    def site(self) -> Site | None:
        """The log-in page as the core knows it, None without an address."""
        if self.url is None:
            return None
        host, domain = urlsplit(self.url).hostname or "", self.cookie_domain
        near = (host, *((domain, f"*.{domain}") if domain else ()))
        hosts = near if self.redirect_hosts is None else self.redirect_hosts
        home = self.default_redirect or ""
        site = Site(self.url, domain, Redirects(hosts, origin_of(self.url), home), home)
        default = home or f"{site.origin}{site.base}/account"
        return replace(site, redirects=replace(site.redirects, default=default))


class Login(LoginPage):
    """Where browsers log in, and what is asked of them."""

    domains: tuple[LoginPage, ...] = ()
    totp: Literal["off", "optional", "required"] = "optional"
    product: Annotated[str, Field(min_length=1, max_length=64)] = "authgw"
    color: Annotated[str, AfterValidator(_colour)] = "#0a7a70"

    @property
    def sites(self) -> Sites:
        """Every log-in page."""
        pages = (self.site, *(page.site for page in self.domains))
        return Sites(tuple(site for site in pages if site is not None))


class Metrics(Section):
    """Where Prometheus asks; never on the port that proxies ask."""

    host: str = "127.0.0.1"
    port: Annotated[StrictInt, Field(ge=1, le=65535)] = 9090


class Headers(Section):
    """The names under which upstreams are told who asks."""

    user: HeaderName = "Remote-User"
    groups: HeaderName = "Remote-Groups"
    email: HeaderName = "Remote-Email"
    name: HeaderName = "Remote-Name"


class Settings(Section):
    server: Server = Server()
    logging: Logging = Logging()
    cache: Cache = Cache()
    auth: Auth = Auth()
    login: Login = Login()
    headers: Headers = Headers()
    metrics: Metrics = Metrics()
    rules: Annotated[tuple[RuleEntry, ...], Field(min_length=1)] | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Valid settings, what to warn of, the folder that relative paths start from, the rules."""

    settings: Settings
    warnings: tuple[str, ...]
    folder: Path
    rules: Rules | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is valid and can hardly be meant: rules that never decide anything."""
        pairs = unreachable(self.rules) if self.rules else ()
        return tuple(
            f"{rule.origin}: rules[{rule.number}] can never match: rules[{earlier.number}] "
            f"already takes every request for {rule.host or 'any host'}{_paths_of(rule)}."
            for rule, earlier in pairs
        )

    def path(self, text: str) -> Path:
        """A path of the configuration; relative ones start at the configuration file."""
        return self.folder / text


def _paths_of(rule: Rule) -> str:
    return f" {' or '.join(pattern.source for pattern in rule.paths)}" if rule.paths else ""


def load(file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read `file` (None: `config.yml` here, if there is one) and `AUTHGW_<SECTION>__<KEY>`.

    Raises:
        ConfigError: with every problem, each with its key, its line and what to do.
    """
    source = Source({}, {}, [])
    path = file or Path("config.yml")
    if file is not None or path.exists():
        read_file(path, source)
    read_environment(environ, source)
    warnings = _drop_meaningless(source)
    _find_conflicts(source)
    if "rules" in source.data and not source.data["rules"]:
        source.complain(
            ("rules",), "is empty, so nothing would be allowed: write rules or remove it"
        )
        del source.data["rules"]
    settings = _validate(source)
    if source.problems or settings is None:
        raise ConfigError(source.problems)
    warnings += tuple(_doubtful_pages(settings.login.sites))
    if settings.server.socket and UNIX not in settings.server.trusted_proxies:
        warnings += ("server.socket: add `unix` to server.trusted_proxies, or it answers nobody.",)
    return Loaded(settings, warnings, Path(os.path.abspath(path)).parent, _rules(settings, source))


def _rules(settings: Settings, source: Source) -> Rules | None:
    if settings.rules is None:
        return None
    origins = [source.origin(("rules", str(number))) for number in range(len(settings.rules))]
    return compile_rules(settings.rules, origins)


def _drop_meaningless(source: Source) -> tuple[str, ...]:
    found = []
    for (section, key), why in _MEANINGLESS.items():
        inside = source.data.get(section)
        if isinstance(inside, dict) and key in inside:
            del inside[key]
            found.append(f"{source.origin((section, key))}: {section}.{key} ({why})")
    return (f"Ignored, it has no meaning here: {'; '.join(found)}",) if found else ()


def _find_conflicts(source: Source) -> None:
    cache, auth = (_section(source, name) for name in ("cache", "auth"))
    if "url" in cache and ("host" in cache or "port" in cache):
        source.complain(("cache", "url"), "cannot stand beside cache.host and port: keep one")
    if "port" in cache and "host" not in cache and "url" not in cache:
        source.complain(("cache", "port"), "needs cache.host beside it")
    url = cache.get("url", "redis:" if "host" in cache else "embedded:")
    if "password_file" in cache and str(url).startswith("embedded:"):
        source.complain(("cache", "password_file"), "is for Redis: remove it or set cache.host")
    if "secret_file" in auth and auth.get("algorithm") != "HS256":
        source.complain(("auth", "secret_file"), "is for HS256: set auth.algorithm: HS256")
    lives = ("access_lifetime", "refresh_lifetime", "session_max")
    for shorter, longer in pairwise(lives):
        if _lasts(auth, shorter) > _lasts(auth, longer):
            source.complain(("auth", shorter), f"is longer than auth.{longer}: shorten it")
    login = _section(source, "login")
    if "domains" in login and set(login) & set(LoginPage.model_fields):
        source.complain(
            ("login", "domains"), "stands beside login.url: write every page into login.domains"
        )
    _check_page(login, ("login",), source)
    pages = login.get("domains")
    for number, page in enumerate(pages if isinstance(pages, list) else []):
        if isinstance(page, dict):
            _check_page(page, ("login", "domains", str(number)), source)
            if "url" not in page:
                source.complain(("login", "domains", str(number)), "needs the url of its page")
    names = {**Headers().model_dump(), **_section(source, "headers")}
    if len({str(name).lower() for name in names.values()}) < len(names):
        source.complain(("headers",), "two of the names are the same: each needs its own")


def _check_page(page: dict[str, Any], path: tuple[str, ...], source: Source) -> None:
    url, domain = str(page.get("url", "")), str(page.get("cookie_domain", ""))
    host = _host_of(url)
    if url and domain and host != domain and not host.endswith(f".{domain}"):
        source.complain(
            (*path, "url"),
            f"{'.'.join(path)}.url host {host} is outside cookie_domain {domain}: "
            "browsers will discard the cookie.",
        )
    for key in ("cookie_domain", "redirect_hosts", "default_redirect"):
        if key in page and not url:
            source.complain((*path, key), "needs the url of the log-in page beside it")


def _doubtful_pages(sites: Sites) -> Iterator[str]:
    for site in sites.all:
        if site.secure and site.url.startswith("http:") and not site.host.endswith(".localhost"):
            yield f"login.url {site.url} is not https: browsers will discard the session cookie."
        if not site.is_ours:
            yield (
                f"login.url {site.url} does not end in /login, so that page is your own: the "
                f"gateway's pages are below {site.origin}{site.base}."
            )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _section(source: Source, name: str) -> dict[str, Any]:
    inside = source.data.get(name)
    return inside if isinstance(inside, dict) else {}


def _lasts(auth: dict[str, Any], key: str) -> float:
    try:
        return seconds(auth[key])
    except KeyError:
        default: float = Auth.model_fields[key].default
        return default
    except ValueError:
        return float("nan")


def _validate(source: Source) -> Settings | None:
    try:
        return Settings.model_validate(source.data)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            path = tuple(str(part) for part in problem["loc"])
            source.complain(path, _in_words(problem["type"], problem["msg"], path))
        return None


def _in_words(kind: str, message: str, path: tuple[str, ...]) -> str:
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _keys_beside(path), 1)
        return f"unknown key: {f'did you mean {near[0]}?' if near else 'remove it'}"
    if kind in ("model_type", "model_attributes_type"):
        known = ", ".join(_keys_beside((*path, "")))
        return f"must be a section with keys such as {known}; remove it if it is empty"
    return message.removeprefix("Value error, ")


def _keys_beside(path: tuple[str, ...]) -> Iterator[str]:
    model: type[BaseModel] = Settings
    for name in path[:-1]:
        field = model.model_fields.get(name)
        inside = field.annotation if field else None
        if not (isinstance(inside, type) and issubclass(inside, BaseModel)):
            return iter(())
        model = inside
    return iter(model.model_fields)
