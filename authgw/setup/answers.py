"""The answers from which an installation is made, with a message for each mistake."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from authgw.config.login_pages import is_address, is_localhost, is_public_suffix
from authgw.config.schema import MetricsSettings
from authgw.core.errors import OperatorError, TargetMalformedError
from authgw.core.urls import canonical_host
from authgw.identity.user_values import check_name
from authgw.storage.redis.url import is_redis, parse_redis
from authgw.storage.registry import kind_of

# The port of the proxy without https, which needs no rights of root.
PLAIN_PORT = 4000
DEFAULT_STORE = "embedded:///var/authgw.db"
_LOCALHOST = "localhost"
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LAST_PORT = 65535


class AnswerError(OperatorError):
    """Raised for an answer that is not valid; the message has the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class PublicDomain:
    """The domain of the site; `port` is that of plain http on this machine, None means https."""

    name: str
    port: int | None = None

    @property
    def is_plain(self) -> bool:
        """True for a site on this machine without https."""
        return self.port is not None

    @property
    def login_host(self) -> str:
        """The host of the login pages."""
        return _LOCALHOST if self.name == _LOCALHOST else f"auth.{self.name}"

    @property
    def login_url(self) -> str:
        """The URL of the login page."""
        return self.url_of(self.login_host, "/login")

    @property
    def cookie_domain(self) -> str | None:
        """The domain of the session cookie; None on localhost, which cannot be such a domain."""
        return None if self.name == _LOCALHOST else self.name

    def url_of(self, host: str, path: str = "/") -> str:
        """Return the URL of a path of a host of this domain."""
        if self.port is None:
            return f"https://{host}{path}"
        return f"http://{host}{'' if self.port == 80 else f':{self.port}'}{path}"

    def contains(self, host: str) -> bool:
        """Return True if a login in this domain counts for the host."""
        return host == self.name or (
            self.cookie_domain is not None and host.endswith(f".{self.name}")
        )


@dataclass(frozen=True, slots=True)
class ProtectedApp:
    """An app: its public host, and the address at which the proxy reaches it."""

    host: str
    upstream_host: str
    upstream_port: int

    @property
    def upstream(self) -> str:
        """The address of the app, as `host:port`."""
        return f"{self.upstream_host}:{self.upstream_port}"

    @property
    def has_address(self) -> bool:
        """True if the upstream's host is an address, not a name."""
        return is_address(self.upstream_host)


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The URL of the session store, and its password, which the configuration does not contain."""

    url: str = DEFAULT_STORE
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers; `port` is that of the gateway on this machine."""

    proxy: str
    domain: PublicDomain
    apps: tuple[ProtectedApp, ...]
    store: StoreAnswer = StoreAnswer()
    service: str = "none"
    port: int = 8080

    @property
    def hosts(self) -> tuple[str, ...]:
        """All public hosts, the login host first."""
        return tuple(dict.fromkeys((self.domain.login_host, *(app.host for app in self.apps))))


def parse_domain(text: str) -> PublicDomain:
    """Return the domain of a text such as `example.com`, `localhost` or `example.localhost:8000`.

    Raises:
        AnswerError: The text is not a domain that a login page can have.
    """
    scheme, found, rest = text.strip().partition("://")
    if found:
        raise AnswerError(f"leave out {scheme}:// and write the domain alone: {rest.strip('/')}")
    if scheme.startswith("*"):
        raise AnswerError(
            f"{scheme} is a wildcard: write {scheme.lstrip('*.') or 'example.com'}, and each "
            "protected host by --protect"
        )
    host, colon, port = scheme.partition(":")
    if ":" in port or host.startswith("[") or is_address(host):
        raise AnswerError(
            f"{scheme} is an address, for which browsers share no login: write a domain, or "
            "localhost to try authgw on this machine"
        )
    name = _canonical(host, "a domain: write it as in example.com")
    if is_localhost(name):
        return PublicDomain(name, _parse_port(port, scheme) if colon else PLAIN_PORT)
    if colon:
        raise AnswerError(f"leave out the port: https://auth.{name} has port 443")
    if "." not in name:
        raise AnswerError(
            f"{name} has no dot: write your domain, such as {name}.com, or localhost to try "
            "authgw on this machine"
        )
    if is_public_suffix(name):
        raise AnswerError(
            f"{name} is a public suffix, under which everybody may register: write your own "
            f"domain below it, such as example.{name}"
        )
    return PublicDomain(name)


def parse_app(text: str) -> ProtectedApp:
    """Return the app of a text such as `app.example.com=127.0.0.1:3000`.

    Raises:
        AnswerError: The host or the address of the app is not valid.
    """
    host, equals, upstream = (part.strip() for part in text.partition("="))
    if not equals:
        raise AnswerError(
            f"{text} does not say where the app is: write {text}=127.0.0.1:3000, with the address "
            "and port of the app"
        )
    if "://" in host or "/" in host:
        raise AnswerError(f"{host} is a URL: write the host alone, such as app.example.com")
    if "*" in host:
        raise AnswerError(
            f"{host} is a wildcard: write a --protect for each host, since each has its own app"
        )
    if ":" in host:
        raise AnswerError(f"{host} has a port: write the host alone, such as app.example.com")
    name = _canonical(host, "a host: write it as in app.example.com")
    return ProtectedApp(name, *_parse_upstream(upstream, name))


def parse_store(text: str) -> StoreAnswer:
    """Return the store of `sqlite` or of a URL as in `cache.url`.

    Raises:
        AnswerError: The text is not the URL of a store; the message contains no password.
    """
    if text == "sqlite":
        return StoreAnswer()
    shown = text.rpartition("@")[2] if "@" in text else text
    try:
        kind_of(text).validate(text)
    except ValueError as error:
        raise AnswerError(f"{shown} {error}; or sqlite for a file") from None
    if not is_redis(text):
        return StoreAnswer(text)
    address, (scheme, _, rest) = parse_redis(text), text.partition("://")
    location = rest.rpartition("@")[2]
    user = f"{quote(address.username, safe='')}@" if address.username else ""
    return StoreAnswer(f"{scheme}://{user}{location}", address.password or "")


def parse_user(text: str) -> str:
    """Return a name that a user may have.

    Raises:
        AnswerError: The name is not allowed in the users file.
    """
    try:
        check_name(text)
    except ValueError as error:
        raise AnswerError(f"a user name {error}") from None
    return text


def contradictions(answers: Answers) -> Iterator[tuple[str, str]]:
    """Yield answers that contradict each other: the option and a message with the remedy."""
    domain, seen = answers.domain, set[str]()
    for app in answers.apps:
        if app.host in seen:
            yield "--protect", f"{app.host} is given more than once: keep one app for it"
        seen.add(app.host)
        if not domain.contains(app.host):
            yield "--protect", _outside(app.host, domain)
        elif app.host == domain.login_host and domain.name != _LOCALHOST:
            yield (
                "--protect",
                f"{app.host} is the host of the login pages: give the app another host, such as "
                f"app.{domain.name}",
            )
        if app.upstream_host in ("127.0.0.1", "[::1]", _LOCALHOST):
            yield from _own_ports(app, answers)
    if answers.port == MetricsSettings().port:
        yield "--port", f"{answers.port} is the port of the gateway's metrics: choose another"
    elif answers.port == domain.port:
        yield "--port", f"{answers.port} is the port of the proxy: choose another"


def _outside(host: str, domain: PublicDomain) -> str:
    if domain.cookie_domain is not None:
        return (
            f"{host} is not below {domain.name}, so that a login there would not reach it: use a "
            f"host such as app.{domain.name}, or another --domain"
        )
    return (
        f"{host} is not {domain.name}, and browsers share no login between hosts of "
        f"{domain.name}: write --protect {domain.name}=ADDRESS:PORT, or for several apps "
        f"--domain example.{domain.name}"
    )


def _own_ports(app: ProtectedApp, answers: Answers) -> Iterator[tuple[str, str]]:
    if app.upstream_port == answers.port:
        yield (
            "--protect",
            f"{app.upstream} is the address of the gateway itself: write that of the app, or "
            "choose another --port for the gateway",
        )
    elif app.upstream_port == answers.domain.port:
        yield (
            "--protect",
            f"{app.upstream} is the address of the proxy itself: write that of the app, or "
            f"another port for the proxy, as in --domain {answers.domain.name}:4001",
        )


def _canonical(host: str, noun: str) -> str:
    try:
        return canonical_host(host)
    except TargetMalformedError:
        raise AnswerError(f"{host!r} is not {noun}") from None


def _parse_upstream(text: str, host: str) -> tuple[str, int]:
    scheme, found, rest = text.partition("://")
    if found and scheme != "http":
        raise AnswerError(
            f"{text}: the proxy is set up to reach the app by http: write its http address, such "
            f"as {host}=127.0.0.1:3000"
        )
    address = rest.rstrip("/") if found else text
    if "/" in address:
        raise AnswerError(f"{text} has a path: write the address and port alone")
    name, colon, port = address.rpartition(":")
    if not colon or (address.startswith("[") and not name.endswith("]")):
        raise AnswerError(f"{text} has no port: write {host}={address or '127.0.0.1'}:3000")
    if name.startswith("["):
        return _bracketed(name), _parse_port(port, text)
    if ":" in name:
        raise AnswerError(f"{text}: write an IPv6 address in brackets, such as [::1]:3000")
    return _canonical(name, "the address of an app: write 127.0.0.1:3000"), _parse_port(port, text)


def _bracketed(text: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    except ValueError:
        raise AnswerError(f"{text} is not an IPv6 address") from None


def _parse_port(text: str, whole: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > _LAST_PORT:
        raise AnswerError(
            f"{whole}: {text or 'an empty text'} is not a port from 1 to {_LAST_PORT}"
        )
    return int(text)
