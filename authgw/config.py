"""YAML and environment to frozen, validated settings; everything wrong is reported at once."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
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
from authgw.core.peers import checked_entry
from authgw.core.rules import Rule, Rules
from authgw.rulebook import RuleEntry, compile_rules

_ENVIRONMENT = re.compile(r"AUTHGW_([A-Z]+(?:__[A-Z0-9_]+?)+)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_HEADER_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
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


def _login_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("is no page: write it whole, such as https://auth.example.com/login")
    if not _VISIBLE.fullmatch(url):
        raise ValueError("holds a space or a letter beyond ASCII: percent-encode it")
    return url


def _domain(text: str) -> str:
    if not text.startswith(".") and _is_canonical(text) and "." in text:
        return text
    raise ValueError("is no domain: write it without a dot in front, such as example.com")


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
    """Where the gateway listens, and whom it believes about original requests."""

    host: str = "127.0.0.1"
    port: Annotated[StrictInt, Field(ge=1, le=65535)] = 8080
    trusted_proxies: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    drain: Duration = 20.0


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


class Login(Section):
    """Where browsers log in."""

    url: Annotated[str, AfterValidator(_login_url)] | None = None
    cookie_domain: Annotated[str, AfterValidator(_domain)] | None = None


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


@dataclass(frozen=True, slots=True)
class _Source:
    """Raw values with where each came from: a file and line, or an environment variable."""

    data: dict[str, Any]
    origins: dict[tuple[str, ...], str]
    problems: list[str]

    def origin(self, path: tuple[str, ...]) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return "configuration"

    def complain(self, path: tuple[str, ...], text: str) -> None:
        self.problems.append(f"{self.origin(path)}: {'.'.join(path)}: {text}")


def _paths_of(rule: Rule) -> str:
    return f" {' or '.join(pattern.source for pattern in rule.paths)}" if rule.paths else ""


def load(file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read `file` (None: `config.yml` here, if there is one) and `AUTHGW_<SECTION>__<KEY>`.

    Raises:
        ConfigError: with every problem, each with its key, its line and what to do.
    """
    source = _Source({}, {}, [])
    path = file or Path("config.yml")
    if file is not None or path.exists():
        _read_file(path, source)
    _read_environment(environ, source)
    warning = _drop_meaningless(source)
    _find_conflicts(source)
    if "rules" in source.data and not source.data["rules"]:
        source.complain(
            ("rules",), "is empty, so nothing would be allowed: write rules or remove it"
        )
        del source.data["rules"]
    settings = _validate(source)
    if source.problems or settings is None:
        raise ConfigError(source.problems)
    return Loaded(settings, warning, Path(os.path.abspath(path)).parent, _rules(settings, source))


def _rules(settings: Settings, source: _Source) -> Rules | None:
    if settings.rules is None:
        return None
    origins = [source.origin(("rules", str(number))) for number in range(len(settings.rules))]
    return compile_rules(settings.rules, origins)


def _read_file(path: Path, source: _Source) -> None:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        _locate(root, (), path.name, source)
        data = loader.construct_document(root) if root is not None else {}
    except OSError as error:
        source.problems.append(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        source.problems.append(f"{path}: is not UTF-8 text")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        source.problems.append(f"{path.name}:{line}: is not YAML: {error.problem}")
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        source.problems.append(f"{path.name}: is not YAML that can be read")
    else:
        _take(data, path, source)


def _take(data: Any, path: Path, source: _Source) -> None:
    if not isinstance(data, dict):
        source.problems.append(f"{path.name}:1: must be sections such as `server:`, not a value")
        return
    source.data.update({str(key): value for key, value in data.items()})


def _locate(node: yaml.Node | None, path: tuple[str, ...], file: str, source: _Source) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            source.origins[(*path, str(index))] = f"{file}:{item.start_mark.line + 1}"
            _locate(item, (*path, str(index)), file, source)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        below = (*path, str(key.value))
        line = f"{file}:{key.start_mark.line + 1}"
        if below in source.origins:
            source.problems.append(f"{line}: {'.'.join(below)}: stands twice: remove one")
        source.origins[below] = line
        _locate(value, below, file, source)


def _read_environment(environ: Mapping[str, str], source: _Source) -> None:
    for variable, text in sorted(environ.items()):
        match = _ENVIRONMENT.fullmatch(variable)
        if match is None:
            continue
        path = tuple(match[1].lower().split("__"))
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            # The value may be a secret: it is not repeated.
            source.problems.append(f"{variable}: its value is not YAML: quote it")
            continue
        source.origins[path] = variable
        section: Any = source.data
        for name in path[:-1]:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                source.problems.append(f"{variable}: {name} is no section")
                break
        else:
            section[path[-1]] = value


def _drop_meaningless(source: _Source) -> tuple[str, ...]:
    found = []
    for (section, key), why in _MEANINGLESS.items():
        inside = source.data.get(section)
        if isinstance(inside, dict) and key in inside:
            del inside[key]
            found.append(f"{source.origin((section, key))}: {section}.{key} ({why})")
    return (f"Ignored, it has no meaning here: {'; '.join(found)}",) if found else ()


def _find_conflicts(source: _Source) -> None:
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
    url, domain = str(login.get("url", "")), str(login.get("cookie_domain", ""))
    host = _host_of(url)
    if url and domain and host != domain and not host.endswith(f".{domain}"):
        source.complain(
            ("login", "url"),
            f"login.url host {host} is outside cookie_domain {domain}: "
            "browsers will discard the cookie.",
        )
    names = {**Headers().model_dump(), **_section(source, "headers")}
    if len({str(name).lower() for name in names.values()}) < len(names):
        source.complain(("headers",), "two of the names are the same: each needs its own")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _section(source: _Source, name: str) -> dict[str, Any]:
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


def _validate(source: _Source) -> Settings | None:
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
