"""YAML and environment to settings; everything wrong is reported at once."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from authgw.config.environment import CONFIG, read_environment
from authgw.config.login_pages import Page, doubtful_pages, refused_cookies, uncovered_rules
from authgw.config.rules import compile_rules
from authgw.config.schema import (
    AuthSettings,
    HeaderSettings,
    LoginPageSettings,
    LoginSettings,
    Settings,
    seconds,
)
from authgw.config.schema_paths import keys_beside
from authgw.config.sources import Source, read_file
from authgw.core.errors import OperatorError
from authgw.core.explain import unreachable
from authgw.core.networks import UNIX, TrustedProxies
from authgw.core.rules import Rule, Rules

_HERE = Path("config.yml")
_NEARLY = frozenset({"config.yml", "config.yaml", "authgw.yml", "authgw.yaml"})
# By the kinds of pydantic's errors.
_REMEDIES = {
    "int_type": "is not a valid integer: write plain digits without quotes, such as 8080",
    "bool_type": "is not a valid boolean: write true or false without quotes",
    "string_type": "must be one text: write it on one line, in quotes if YAML misreads it",
    "string_too_short": "is empty: write its value, or remove the key",
    "tuple_type": "must be a list: write [a, b], or one line with `- ` for each",
}
# Keys of the service that authgw descends from which mean nothing here.
_MEANINGLESS = {("server", "max_processors"): "one process is one replica: scale by replicas"}


class ConfigError(OperatorError):
    """Everything that is wrong with a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """Valid settings, what to warn of, the folder that relative paths start from, the rules.

    `file` is the absolute path of what was read, None if there was no file; `notes` are facts
    about the environment that need no change.
    """

    settings: Settings
    warnings: tuple[str, ...]
    folder: Path
    rules: Rules | None = None
    file: Path | None = None
    notes: tuple[str, ...] = ()

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


def load(file: Path | None, environ: Mapping[str, str]) -> LoadedConfig:
    """Read the configuration file and the `AUTHGW_...` variables, which win.

    The file is `file`, else the one that `AUTHGW_CONFIG` names, else `config.yml` here if there
    is one.

    Raises:
        ConfigError: with every problem, each with its key, its line and what to do.
    """
    path = _named_file(file, environ)
    folder = Path(os.path.abspath(path or _HERE)).parent
    source = read_file(path) if path else Source()
    is_empty = not source.data and not source.problems
    environment = read_environment(environ, folder)
    notes = source.overlay(environment.source)
    if environment.ignored:
        notes += (f"Ignored, since they set nothing: {', '.join(environment.ignored)}.",)
    warnings = _drop_meaningless(source)
    if path and is_empty:
        warnings += (f"{path.name} is empty: defaults hold for what the environment does not set.",)
    settings = _checked(source)
    if source.problems or settings is None:
        raise ConfigError(source.problems)
    rules = _rules(settings, source)
    warnings += _doubts(settings, rules, beside=None if file else path)
    absolute = Path(os.path.abspath(path)) if path else None
    return LoadedConfig(settings, warnings, folder, rules, absolute, notes)


def _named_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    named = environ.get(CONFIG)
    if named is not None:
        if not named.strip():
            raise ConfigError([f"{CONFIG}: is empty: write the path of the file, or unset it"])
        return Path(named.strip())
    if _HERE.exists() or _HERE.is_symlink():
        return _HERE
    others = _other_files()
    if others:
        # A file whose rules are not read lets everybody in.
        said = f"is not read: rename it to {_HERE}, or name it by --config or {CONFIG}"
        raise ConfigError([f"{other}: {said}" for other in others])
    return None


def _other_files() -> list[str]:
    found = os.listdir(".")
    return sorted(name for name in found if name.lower() in _NEARLY and name != str(_HERE))


def _checked(source: Source) -> Settings | None:
    _find_conflicts(source)
    if "rules" in source.data and not source.data["rules"]:
        source.complain(
            ("rules",), "is empty, so nothing would be allowed: write rules or remove it"
        )
        del source.data["rules"]
    settings = _validate(source)
    for key, said in refused_cookies(_pages(settings.login)) if settings else ():
        source.complain(key, said)
    return settings


def _pages(login: LoginSettings) -> list[Page]:
    numbered = [(("login", "domains", str(n)), page) for n, page in enumerate(login.domains)]
    pages = [(("login",), login), *numbered]
    return [(path, page.site) for path, page in pages if page.site is not None]


def _doubts(settings: Settings, rules: Rules | None, *, beside: Path | None) -> tuple[str, ...]:
    sites = settings.login.sites
    found = [*doubtful_pages(sites), *uncovered_rules(rules.ordered if rules else (), sites)]
    if settings.server.socket and UNIX not in settings.server.trusted_proxies:
        found.append("server.socket: add `unix` to server.trusted_proxies, or it answers nobody.")
    if TrustedProxies.parse(settings.server.trusted_proxies).includes_everyone:
        found.append(
            "server.trusted_proxies names every address: whoever reaches this gateway's port can "
            "name any path and client address. Name your proxies."
        )
    if beside == _HERE:
        found += [f"{other} is not read: {_HERE} is." for other in _other_files()]
    return tuple(found)


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
    if "password_file" in cache and ":" in str(url).partition("://")[2].rpartition("@")[0]:
        source.complain(
            ("cache", "password_file"), "stands beside a password in cache.url: keep one"
        )
    if "ca_file" in cache and not str(url).startswith("rediss"):
        source.complain(("cache", "ca_file"), "is for TLS: write rediss:// in cache.url")
    if "secret_file" in auth and auth.get("algorithm") != "HS256":
        source.complain(("auth", "secret_file"), "is for HS256: set auth.algorithm: HS256")
    lives = ("access_lifetime", "refresh_lifetime", "session_max")
    for shorter, longer in pairwise(lives):
        # A default gives way: nothing lives longer than its session may.
        if shorter in auth and _lasts(auth, shorter) > _lasts(auth, longer):
            source.complain(("auth", shorter), f"is longer than auth.{longer}: shorten it")
    login = _section(source, "login")
    if "domains" in login and set(login) & set(LoginPageSettings.model_fields):
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
    names = {**HeaderSettings().model_dump(), **_section(source, "headers")}
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
        default: float = AuthSettings.model_fields[key].default
        return default
    except ValueError:
        return float("nan")


def _validate(source: Source) -> Settings | None:
    try:
        return Settings.model_validate(source.data)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            path = tuple(str(part) for part in problem["loc"])
            source.complain(path, _in_words(problem["type"], problem["msg"], path, source))
        return None


def _in_words(kind: str, message: str, path: tuple[str, ...], source: Source) -> str:
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(path[-1].lower(), keys_beside(path), 1)
        return f"unknown key: {f'did you mean {near[0]}?' if near else 'remove it'}"
    if kind in ("model_type", "model_attributes_type"):
        known = ", ".join(keys_beside((*path, "")))
        return f"must be a section with keys such as {known}; remove it if it is empty"
    if kind != "missing" and source.value(path) is None:
        return "is empty: write its value (quote one that begins with #), or remove the key"
    return _REMEDIES.get(kind, message).removeprefix("Value error, ")
