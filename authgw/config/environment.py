"""Settings from `AUTHGW_...` variables: names, values, and detection of misspelled names.

An unknown variable is refused, with the nearest valid name: ignored rules would allow every
request.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from authgw.config.scalars import UnquotedScalar, comma_separated, is_null
from authgw.config.schema import Settings
from authgw.config.schema_paths import accepts, model_of
from authgw.config.sources import RawSettings
from authgw.config.yaml_text import YamlDocument, YamlSyntaxError
from authgw.core.errors import OperatorError
from authgw.files import key_files

CONFIG = "AUTHGW_CONFIG"
_OWN_PREFIX = re.compile(r"AUTHGW(?![A-Z0-9])", re.IGNORECASE)
# Minimum similarity of a misspelled prefix before a known name: `AUTHWG_RULES`, `AUTH_GW_RULES`.
_MIN_PREFIX_SIMILARITY = 0.8
_MIN_NAME_SIMILARITY = 0.6
_SAME_END_BONUS = 0.2  # added for names whose last words are the same
# Names without a setting that others give to variables; `*` stands for any text.
KUBERNETES_VARIABLES = (
    "AUTHGW_SERVICE_HOST",
    "AUTHGW_SERVICE_PORT*",
    "AUTHGW_PORT*",
    "AUTHGW_*_TCP*",
)
TOOL_VARIABLES = (
    "AUTHGW_URL",
    "AUTHGW_CLIENT",
    "AUTHGW_TEST_*",
    "AUTHGW_BENCH_*",
    "AUTHGW_SOAK",
    "AUTHGW_SCREENSHOTS",
    "AUTHGW_HOME",
)
_SERVICE_VARIABLE = re.compile(
    r"AUTHGW(?:_[A-Z0-9]+)+_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT)"
)


@dataclass(frozen=True, slots=True)
class SettingVariable:
    """A variable that sets the key at `path`; `kind` is its model, or the type of its value."""

    path: tuple[str, ...]
    kind: Any
    from_file: bool = False


def known_variables() -> dict[str, SettingVariable]:
    """Return every variable that sets a key, by its name."""
    return {_name(variable): variable for variable in _variables(Settings, ())}


def _name(variable: SettingVariable) -> str:
    return f"AUTHGW_{'__'.join(variable.path).upper()}{'_FILE' if variable.from_file else ''}"


def _variables(model: type[BaseModel], parent: tuple[str, ...]) -> Iterator[SettingVariable]:
    for name, info in model.model_fields.items():
        path = (*parent, name)
        yield SettingVariable(path, info.annotation)
        if accepts(info.annotation, SecretStr):
            yield SettingVariable(path, info.annotation, from_file=True)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _variables(info.annotation, path)


@dataclass(slots=True)
class EnvironmentSettings:
    """The values and problems of the environment, and the names of `ignored` variables."""

    source: RawSettings = field(default_factory=RawSettings)
    ignored: list[str] = field(default_factory=list)


def read_environment(environ: Mapping[str, str], directory: Path) -> EnvironmentSettings:
    """Read every `AUTHGW_...` variable; paths in `..._FILE` are relative to `directory`."""
    environment, names = EnvironmentSettings(), known_variables()
    for name, text in sorted(environ.items()):
        if name in names:
            _read_variable(name, names[name], text, directory, environment.source)
        elif _is_ignored(name) or _is_service_variable(name, text):
            environment.ignored.append(_with_hint(name, text))
        elif name != CONFIG and (_OWN_PREFIX.match(name) or _is_misspelled(name, names)):
            environment.source.problems.append(f"{name}: {_unknown(name, names)}")
    return environment


def _with_hint(name: str, text: str) -> str:
    is_port = name == "AUTHGW_PORT" and text.strip().isdigit()
    return f"{name} (the port is AUTHGW_SERVER__PORT)" if is_port else name


def _is_ignored(name: str) -> bool:
    # Two underscores separate a section from its key, and occur in no variable of Kubernetes.
    patterns = TOOL_VARIABLES if "__" in name else (*KUBERNETES_VARIABLES, *TOOL_VARIABLES)
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_service_variable(name: str, text: str) -> bool:
    """Return True for the variables of a Kubernetes service whose name begins with `authgw-`."""
    if not _SERVICE_VARIABLE.fullmatch(name) or "__" in name:
        return False
    return "://" in text if name.endswith("_PORT") and "_SERVICE_" not in name else True


def _is_misspelled(name: str, names: Iterable[str]) -> bool:
    """Return True for a known name with a misspelled prefix: `AUTHWG_RULES`, `AUTHGWRULES`."""
    if _normalised(name) in map(_normalised, names):
        return True
    for rest in (known_name.removeprefix("AUTHGW") for known_name in names):
        prefix = _normalised(name.upper().removesuffix(rest))
        if name.upper().endswith(rest) and len(prefix) <= len("AUTHGW"):
            return difflib.SequenceMatcher(None, prefix, "AUTHGW").ratio() >= _MIN_PREFIX_SIMILARITY
    return False


def _unknown(name: str, names: Iterable[str]) -> str:
    suggestion = nearest(name, (*names, CONFIG))
    if suggestion:
        return f"unknown variable: did you mean {suggestion}?"
    sections = ", ".join(f"AUTHGW_{section.upper()}" for section in Settings.model_fields)
    return f"unknown variable: unset it, or begin it with {sections}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the most similar known name, or an empty text if no known name is similar."""
    item = re.match(
        r"AUTHGW_+(RULES_+[0-9]|LOGIN_+DOMAINS_+[0-9]|LOGIN_+PROVIDERS_)", name, re.IGNORECASE
    )
    if item:
        # The items of a list or mapping cannot be set by separate variables.
        name = f"AUTHGW_{item[1].rstrip('_0123456789')}"
    text = _normalised(name)
    similarities = {known_name: _similarity(text, known_name) for known_name in names}
    most_similar = max(
        similarities, key=lambda known_name: (similarities[known_name], -len(known_name))
    )
    return most_similar if similarities[most_similar] >= _MIN_NAME_SIMILARITY else ""


def _similarity(normalised: str, known_name: str) -> float:
    expected = _normalised(known_name)
    if normalised == expected:
        return 2.0
    rest = normalised.removeprefix("AUTHGW")
    if rest and expected.endswith(rest):
        return 1.5  # the section is missing
    last = known_name.removesuffix("_FILE").rpartition("__")[2].rpartition("_")[2]
    same_end = _SAME_END_BONUS if normalised.endswith(last) else 0.0
    return difflib.SequenceMatcher(None, normalised, expected).ratio() + same_end


def _normalised(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _read_variable(
    name: str, variable: SettingVariable, text: str, directory: Path, source: RawSettings
) -> None:
    """Add the value or the problem of this variable to `source`."""
    if is_null(text.strip()):
        source.problems.append(f"{name} is empty: write its value, or unset the variable")
        return
    try:
        if variable.from_file:
            source.put(variable.path, key_files.read_line(directory / text.strip()), name)
        elif model_of(variable.kind):
            document = YamlDocument(text, name, variable.path)
            source.problems.extend(document.problems)
            if document.data == {}:
                raise OperatorError("is an empty section: write its keys, or unset the variable")
            source.put(variable.path, document.data, name, document.origins)
        else:
            source.put(variable.path, _value(text.strip(), variable.kind, name), name)
    except YamlSyntaxError as error:
        source.problems.append(str(error))
    except OperatorError as error:
        source.problems.append(f"{name}: {error}")


def _value(text: str, kind: Any, name: str) -> Any:
    if text[0] in "\"'" and text[-1] == text[0] and len(text) > 1:
        return YamlDocument(text, name).data
    if not accepts(kind, tuple):
        return UnquotedScalar(text)
    if text[0] in "[-":
        return YamlDocument(text, name).data
    return comma_separated(text)
