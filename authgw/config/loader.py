"""Loads the settings from YAML and the environment, and reports all problems at once."""

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
from authgw.config.login_pages import Page, page_warnings, rejected_cookies, uncovered_rules
from authgw.config.rules import compile_rules
from authgw.config.schema import (
    AuthSettings,
    HeaderSettings,
    LoginPageSettings,
    LoginSettings,
    Settings,
    parse_duration,
)
from authgw.config.schema_paths import sibling_keys
from authgw.config.sources import RawSettings, read_file
from authgw.core.errors import OperatorError
from authgw.core.explain import unreachable
from authgw.core.networks import UNIX, TrustedProxies
from authgw.core.rules import Rule, Rules

_DEFAULT_FILE = Path("config.yml")
_SIMILAR_NAMES = frozenset({"config.yml", "config.yaml", "authgw.yml", "authgw.yaml"})
# Remedies by the type of pydantic's error.
_REMEDIES = {
    "int_type": "is not a valid integer: write plain digits without quotes, such as 8080",
    "bool_type": "is not a valid boolean: write true or false without quotes",
    "string_type": "must be one text: write it on one line, in quotes if YAML misreads it",
    "string_too_short": "is empty: write its value, or remove the key",
    "tuple_type": "must be a list: write [a, b], or one line with `- ` for each",
}
# Keys from the predecessor of authgw that have no effect.
_MEANINGLESS = {("server", "max_processors"): "one process is one replica: scale by replicas"}


class ConfigError(OperatorError):
    """Raised for an invalid configuration, with all of its problems, one line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration: settings, compiled rules, and warnings.

    Attributes:
        settings: The validated settings.
        warnings: Sentences about values that are valid but probably mistakes.
        directory: The directory to which paths in the configuration are relative.
        rules: The compiled access rules, None without a `rules` section.
        file: The absolute path of the configuration file, None without a file.
        notes: Sentences about the environment that require no change.
    """

    settings: Settings
    warnings: tuple[str, ...]
    directory: Path
    rules: Rules | None = None
    file: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def rule_warnings(self) -> tuple[str, ...]:
        """Warnings about rules that can never match."""
        pairs = unreachable(self.rules) if self.rules else ()
        return tuple(
            f"{rule.origin}: rules[{rule.number}] can never match: rules[{earlier.number}] "
            f"already takes every request for {rule.host or 'any host'}{_paths_text(rule)}."
            for rule, earlier in pairs
        )

    def path(self, text: str) -> Path:
        """Return a path in the configuration, resolved against the configuration's directory."""
        return self.directory / text


def _paths_text(rule: Rule) -> str:
    return f" {' or '.join(pattern.source for pattern in rule.paths)}" if rule.paths else ""


def load(file: Path | None, environ: Mapping[str, str]) -> LoadedConfig:
    """Read the configuration file and the `AUTHGW_...` variables, which override the file.

    The file is `file`, else that of `AUTHGW_CONFIG`, else `config.yml` in the working directory if
    it exists.

    Raises:
        ConfigError: The configuration is not valid; each problem has its key, line and remedy.
    """
    path = _named_file(file, environ)
    directory = Path(os.path.abspath(path or _DEFAULT_FILE)).parent
    source = read_file(path) if path else RawSettings()
    is_empty = not source.data and not source.problems
    environment = read_environment(environ, directory)
    notes = source.overlay(environment.source)
    if environment.ignored:
        notes += (f"Ignored, since they set nothing: {', '.join(environment.ignored)}.",)
    warnings = _drop_meaningless(source)
    if path and is_empty:
        warnings += (f"{path.name} is empty: defaults hold for what the environment does not set.",)
    settings = _validated(source)
    if source.problems or settings is None:
        raise ConfigError(source.problems)
    rules = _rules(settings, source)
    warnings += _warnings(settings, rules, default_file=None if file else path)
    absolute = Path(os.path.abspath(path)) if path else None
    return LoadedConfig(settings, warnings, directory, rules, absolute, notes)


def _named_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    configured = environ.get(CONFIG)
    if configured is not None:
        if not configured.strip():
            raise ConfigError([f"{CONFIG}: is empty: write the path of the file, or unset it"])
        return Path(configured.strip())
    if _DEFAULT_FILE.exists() or _DEFAULT_FILE.is_symlink():
        return _DEFAULT_FILE
    others = _other_files()
    if others:
        # Without the rules of that file every request would be allowed.
        problem = f"is not read: rename it to {_DEFAULT_FILE}, or name it by --config or {CONFIG}"
        raise ConfigError([f"{other}: {problem}" for other in others])
    return None


def _other_files() -> list[str]:
    names = os.listdir(".")
    return sorted(
        name for name in names if name.lower() in _SIMILAR_NAMES and name != str(_DEFAULT_FILE)
    )


def _validated(source: RawSettings) -> Settings | None:
    _find_conflicts(source)
    if "rules" in source.data and not source.data["rules"]:
        source.add_problem(
            ("rules",), "is empty, so nothing would be allowed: write rules or remove it"
        )
        del source.data["rules"]
    settings = _validate(source)
    for key, problem in rejected_cookies(_pages(settings.login)) if settings else ():
        source.add_problem(key, problem)
    return settings


def _pages(login: LoginSettings) -> list[Page]:
    domain_pages = [(("login", "domains", str(n)), page) for n, page in enumerate(login.domains)]
    pages = [(("login",), login), *domain_pages]
    return [(path, page.site) for path, page in pages if page.site is not None]


def _warnings(
    settings: Settings, rules: Rules | None, *, default_file: Path | None
) -> tuple[str, ...]:
    sites = settings.login.sites
    messages = [*page_warnings(sites), *uncovered_rules(rules.ordered if rules else (), sites)]
    if settings.server.socket and UNIX not in settings.server.trusted_proxies:
        messages.append(
            "server.socket: add `unix` to server.trusted_proxies, or it answers nobody."
        )
    if TrustedProxies.parse(settings.server.trusted_proxies).includes_everyone:
        messages.append(
            "server.trusted_proxies names every address: whoever reaches this gateway's port can "
            "name any path and client address. Name your proxies."
        )
    if default_file == _DEFAULT_FILE:
        messages += [f"{other} is not read: {_DEFAULT_FILE} is." for other in _other_files()]
    return tuple(messages)


def _rules(settings: Settings, source: RawSettings) -> Rules | None:
    if settings.rules is None:
        return None
    origins = [source.origin(("rules", str(number))) for number in range(len(settings.rules))]
    return compile_rules(settings.rules, origins)


def _drop_meaningless(source: RawSettings) -> tuple[str, ...]:
    messages = []
    for (section, key), reason in _MEANINGLESS.items():
        values = source.data.get(section)
        if isinstance(values, dict) and key in values:
            del values[key]
            messages.append(f"{source.origin((section, key))}: {section}.{key} ({reason})")
    return (f"Ignored, it has no meaning here: {'; '.join(messages)}",) if messages else ()


def _find_conflicts(source: RawSettings) -> None:
    cache, auth = (_section(source, name) for name in ("cache", "auth"))
    if "url" in cache and ("host" in cache or "port" in cache):
        source.add_problem(("cache", "url"), "cannot stand beside cache.host and port: keep one")
    if "port" in cache and "host" not in cache and "url" not in cache:
        source.add_problem(("cache", "port"), "needs cache.host beside it")
    url = cache.get("url", "redis:" if "host" in cache else "embedded:")
    if "password_file" in cache and str(url).startswith("embedded:"):
        source.add_problem(("cache", "password_file"), "is for Redis: remove it or set cache.host")
    if "password_file" in cache and ":" in str(url).partition("://")[2].rpartition("@")[0]:
        source.add_problem(
            ("cache", "password_file"), "stands beside a password in cache.url: keep one"
        )
    if "ca_file" in cache and not str(url).startswith("rediss"):
        source.add_problem(("cache", "ca_file"), "is for TLS: write rediss:// in cache.url")
    if "secret_file" in auth and auth.get("algorithm") != "HS256":
        source.add_problem(("auth", "secret_file"), "is for HS256: set auth.algorithm: HS256")
    lifetimes = ("access_lifetime", "refresh_lifetime", "session_max")
    for shorter, longer in pairwise(lifetimes):
        # A default that is too long is not an error: the lifetime of the session limits it.
        if shorter in auth and _duration(auth, shorter) > _duration(auth, longer):
            source.add_problem(("auth", shorter), f"is longer than auth.{longer}: shorten it")
    login = _section(source, "login")
    if "domains" in login and set(login) & set(LoginPageSettings.model_fields):
        source.add_problem(
            ("login", "domains"), "stands beside login.url: write every page into login.domains"
        )
    _check_page(login, ("login",), source)
    pages = login.get("domains")
    for number, page in enumerate(pages if isinstance(pages, list) else []):
        if isinstance(page, dict):
            _check_page(page, ("login", "domains", str(number)), source)
            if "url" not in page:
                source.add_problem(("login", "domains", str(number)), "needs the url of its page")
    names = {**HeaderSettings().model_dump(), **_section(source, "headers")}
    if len({str(name).lower() for name in names.values()}) < len(names):
        source.add_problem(("headers",), "two of the names are the same: each needs its own")


def _check_page(page: dict[str, Any], path: tuple[str, ...], source: RawSettings) -> None:
    url, domain = str(page.get("url", "")), str(page.get("cookie_domain", ""))
    host = _host_of(url)
    if url and domain and host != domain and not host.endswith(f".{domain}"):
        source.add_problem(
            (*path, "url"),
            f"{'.'.join(path)}.url host {host} is outside cookie_domain {domain}: "
            "browsers will discard the cookie.",
        )
    for key in ("cookie_domain", "redirect_hosts", "default_redirect"):
        if key in page and not url:
            source.add_problem((*path, key), "needs the url of the log-in page beside it")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _section(source: RawSettings, name: str) -> dict[str, Any]:
    values = source.data.get(name)
    return values if isinstance(values, dict) else {}


def _duration(auth: dict[str, Any], key: str) -> float:
    try:
        return parse_duration(auth[key])
    except KeyError:
        default: float = AuthSettings.model_fields[key].default
        return default
    except ValueError:
        return float("nan")


def _validate(source: RawSettings) -> Settings | None:
    try:
        return Settings.model_validate(source.data)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            path = tuple(str(part) for part in problem["loc"])
            source.add_problem(path, _describe(problem["type"], problem["msg"], path, source))
        return None


def _describe(kind: str, message: str, path: tuple[str, ...], source: RawSettings) -> str:
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(path[-1].lower(), sibling_keys(path), 1)
        return f"unknown key: {f'did you mean {close[0]}?' if close else 'remove it'}"
    if kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(sibling_keys((*path, "")))
        return f"must be a section with keys such as {keys}; remove it if it is empty"
    if kind != "missing" and source.value(path) is None:
        return "is empty: write its value (quote one that begins with #), or remove the key"
    return _REMEDIES.get(kind, message).removeprefix("Value error, ")
