"""Loads the settings from YAML and the environment, and reports all problems at once."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from authgw.config.environment import CONFIG, read_environment
from authgw.config.login_pages import page_warnings, uncovered_rules
from authgw.config.provider_warnings import provider_warnings
from authgw.config.rules import compile_rules, unknown_providers
from authgw.config.schema import Settings
from authgw.config.schema_paths import sibling_keys
from authgw.config.section import CONFLICT
from authgw.config.sources import RawSettings, read_file
from authgw.core.errors import OperatorError
from authgw.core.explain import unreachable, unsatisfiable
from authgw.core.networks import UNIX, TrustedProxies
from authgw.core.rules import Rule, Rules
from authgw.files.key_errors import key_text, value_error

_DEFAULT_FILE = Path("config.yml")
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared, not listened on
_URI = re.compile(r"https?://[^\s/]+\S*|urn:\S+")
_SIMILAR_NAMES = frozenset({"config.yml", "config.yaml", "authgw.yml", "authgw.yaml"})
# Keys from the predecessor of authgw that have no effect.
_MEANINGLESS = {("server", "max_processors"): "a process is a replica: run more replicas instead"}


class ConfigError(OperatorError):
    """Raised for an invalid configuration, with all of its problems, a line for each."""

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
        origins: The place of each value that is not a default, by the path of its key.
    """

    settings: Settings
    warnings: tuple[str, ...]
    directory: Path
    rules: Rules | None = None
    file: Path | None = None
    notes: tuple[str, ...] = ()
    origins: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def rule_warnings(self) -> tuple[str, ...]:
        """Warnings about rules that can never match."""
        pairs = unreachable(self.rules) if self.rules else ()
        return tuple(
            f"{rule.origin}: rules[{rule.number}] can never match, since rules[{earlier.number}] "
            f"({earlier.origin}) takes every request for {rule.host or 'any host'}"
            f"{_paths_text(rule)}: move it before rules[{earlier.number}], or remove it."
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
        notes += (f"Ignored variables, which set nothing: {', '.join(environment.ignored)}.",)
    warnings = _drop_meaningless(source)
    if path and is_empty:
        warnings += (
            f"{path.name} is empty: the defaults apply, with the variables of the environment.",
        )
    settings = _validate(source)
    if settings is not None:
        for number, problem in unknown_providers(settings.rules or (), settings.login.providers):
            source.add_problem(("rules", str(number), "allow"), problem)
    if source.problems or settings is None:
        raise ConfigError(source.problems)
    rules = _rules(settings, source)
    warnings += _warnings(settings, rules, default_file=None if file else path)
    absolute = Path(os.path.abspath(path)) if path else None
    origins = source.origins
    return LoadedConfig(settings, warnings, directory, rules, absolute, notes, origins)


def _named_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    configured = environ.get(CONFIG)
    if configured is not None:
        if not configured.strip():
            raise ConfigError([f"{CONFIG} is empty: write the path of the file, or unset it"])
        return Path(configured.strip())
    if _DEFAULT_FILE.exists() or _DEFAULT_FILE.is_symlink():
        return _DEFAULT_FILE
    others = _other_files()
    if others:
        # Without the rules of that file every request would be allowed.
        problem = f"is not read: rename it to {_DEFAULT_FILE}, or name it by --config or {CONFIG}"
        raise ConfigError([f"{other} {problem}" for other in others])
    return None


def _other_files() -> list[str]:
    names = os.listdir(".")
    return sorted(
        name for name in names if name.lower() in _SIMILAR_NAMES and name != str(_DEFAULT_FILE)
    )


def _validate(source: RawSettings) -> Settings | None:
    try:
        return Settings.model_validate(source.data)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
    known = frozenset(source.problems)
    for problem in sorted(problems, key=lambda problem: problem["type"] != CONFLICT):
        path = tuple(str(part) for part in problem["loc"])
        if any(text.startswith(f"{source.origin(path)}: {key_text(path)}: ") for text in known):
            continue  # the value is missing because of a mistake in the YAML
        source.add_problem(path, _describe(problem["type"], problem["msg"], path, source))
    return None


def _warnings(
    settings: Settings, rules: Rules | None, *, default_file: Path | None
) -> tuple[str, ...]:
    sites = settings.login.sites
    messages = [*page_warnings(sites), *uncovered_rules(rules.ordered if rules else (), sites)]
    messages += provider_warnings(settings.login.providers, settings.rules)
    messages += [
        f"{rule.origin}: rules[{rule.number}].require is totp, and neither app passwords nor the "
        "subjects of trusted backends have a second factor, so that no request passes: remove "
        "require, or allow others."
        for rule in (unsatisfiable(rules) if rules else ())
    ]
    if settings.server.socket and UNIX not in settings.server.trusted_proxies:
        messages.append(
            "server.socket: no request over it is trusted: add `unix` to server.trusted_proxies."
        )
    if TrustedProxies.parse(settings.server.trusted_proxies).includes_everyone:
        messages.append(
            "server.trusted_proxies contains every address, so that any client that reaches this "
            "port can choose the path that is checked: write the addresses of your proxies only."
        )
    messages += _colliding_ports(settings)
    if ":" in settings.auth.issuer and not _URI.fullmatch(settings.auth.issuer):
        messages.append(
            "auth.issuer contains a colon and is not a URI (RFC 7519 section 2), so that programs "
            "may refuse the tokens: write it as https://auth.example.com, or without a colon."
        )
    if default_file == _DEFAULT_FILE:
        messages += [
            f"{other} is not read, since {_DEFAULT_FILE} exists: remove one of them."
            for other in _other_files()
        ]
    return tuple(messages)


def _colliding_ports(settings: Settings) -> Iterator[str]:
    server, metrics = settings.server, settings.metrics
    hosts = {server.host, metrics.host}
    if server.port == metrics.port and (len(hosts) == 1 or hosts & _EVERY_ADDRESS):
        yield (
            f"metrics.port: {metrics.port} is server.port too, so that no metrics are served: set "
            "another port."
        )


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
    return (f"Ignored keys: {'; '.join(messages)}.",) if messages else ()


def _describe(kind: str, message: str, path: tuple[str, ...], source: RawSettings) -> str:
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(path[-1].lower(), sibling_keys(path), 1)
        return f"unknown key: {f'did you mean {close[0]}?' if close else 'remove it'}"
    if kind in ("model_type", "model_attributes_type"):
        return _not_a_section(source.value(path), sibling_keys((*path, "")))
    if kind == CONFLICT:
        return message.replace("{path}", key_text(path[:-1]))
    if kind != "missing" and source.value(path) is None:
        return "is empty: write its value (quote one that begins with #), or remove the key"
    return value_error(kind, message)


def _not_a_section(value: Any, keys: tuple[str, ...]) -> str:
    # The value is not repeated, since it may be a secret.
    word = re.match(r"[A-Za-z_]+", value) if isinstance(value, str) else None
    if word and word[0] in keys:
        return f"`{word[0]}` has no colon and space after it: write `{word[0]}: VALUE`"
    return f"must be a section: write keys such as {', '.join(keys[:6])} below it, or remove it"
