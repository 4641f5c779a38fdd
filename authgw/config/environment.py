"""Settings from `AUTHGW_...` variables: their names, their values, and names that are mistakes.

A variable that is not understood is refused with the nearest right name: a rule that is ignored
lets everybody in.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from authgw.config.scalars import UnquotedScalar, comma_separated, is_null
from authgw.config.schema import Settings
from authgw.config.schema_paths import holds, model_of
from authgw.config.sources import Source
from authgw.config.yaml_text import Document, YamlSyntaxError
from authgw.core.errors import OperatorError
from authgw.files import key_files

CONFIG = "AUTHGW_CONFIG"
_OURS = re.compile(r"AUTHGW(?![A-Z0-9])", re.IGNORECASE)
# `AUTHWG_RULES`, `AUTH_GW_RULES`: a known name behind a prefix that is nearly ours.
_PREFIX_LIKENESS = 0.8
_NAME_LIKENESS = 0.6
_SAME_END = 0.2  # more, for names whose last words are the same
# Of a Kubernetes service called authgw or authgw-..., of our tests, benchmarks and proxies.
_IGNORED = re.compile(
    r"AUTHGW_(?:SERVICE_HOST|SERVICE_PORT.*|PORT(?!__).*|(?!.*__).*_TCP.*"
    r"|URL|CLIENT|TEST_.*|BENCH_.*|SOAK|SCREENSHOTS|HOME)"
)
_LINKED = re.compile(r"AUTHGW(?:_[A-Z0-9]+)+_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT)")


@dataclass(frozen=True, slots=True)
class Variable:
    """The name of a setting's variable; `kind` is its model, or the type of its value."""

    path: tuple[str, ...]
    kind: Any
    from_file: bool = False


def known() -> dict[str, Variable]:
    """Return every variable that sets something."""
    return {_name(variable): variable for variable in _variables(Settings, ())}


def _name(variable: Variable) -> str:
    return f"AUTHGW_{'__'.join(variable.path).upper()}{'_FILE' if variable.from_file else ''}"


def _variables(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[Variable]:
    for name, info in model.model_fields.items():
        path = (*above, name)
        yield Variable(path, info.annotation)
        if holds(info.annotation, SecretStr):
            yield Variable(path, info.annotation, from_file=True)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _variables(info.annotation, path)


@dataclass(slots=True)
class Environment:
    """Values of the environment, `ignored` variables, and what is wrong with the others."""

    source: Source = field(default_factory=Source)
    ignored: list[str] = field(default_factory=list)


def read_environment(environ: Mapping[str, str], folder: Path) -> Environment:
    """Read every `AUTHGW_...` variable; relative files of `..._FILE` start at `folder`."""
    found, names = Environment(), known()
    for name, text in sorted(environ.items()):
        if name in names:
            _take(name, names[name], text, folder, found.source)
        elif _IGNORED.fullmatch(name) or _is_link(name, text):
            found.ignored.append(_noted(name, text))
        elif name != CONFIG and (_OURS.match(name) or _is_misspelled(name, names)):
            found.source.problems.append(f"{name}: {_unknown(name, names)}")
    return found


def _noted(name: str, text: str) -> str:
    meant = name == "AUTHGW_PORT" and text.strip().isdigit()
    return f"{name} (the port is AUTHGW_SERVER__PORT)" if meant else name


def _is_link(name: str, text: str) -> bool:
    """Return True for the links of a Kubernetes service whose name begins with `authgw-`."""
    if not _LINKED.fullmatch(name) or "__" in name:
        return False
    return "://" in text if name.endswith("_PORT") and "_SERVICE_" not in name else True


def _is_misspelled(name: str, names: Iterable[str]) -> bool:
    """Return True for a known name whose prefix is nearly ours: `AUTHWG_RULES`, `AUTHGWRULES`."""
    if _squash(name) in map(_squash, names):
        return True
    for rest in (known_name.removeprefix("AUTHGW") for known_name in names):
        prefix = _squash(name.upper().removesuffix(rest))
        if name.upper().endswith(rest) and len(prefix) <= len("AUTHGW"):
            return difflib.SequenceMatcher(None, prefix, "AUTHGW").ratio() >= _PREFIX_LIKENESS
    return False


def _unknown(name: str, names: Iterable[str]) -> str:
    near = nearest(name, (*names, CONFIG))
    if near:
        return f"unknown variable: did you mean {near}?"
    sections = ", ".join(f"AUTHGW_{section.upper()}" for section in Settings.model_fields)
    return f"unknown variable: unset it; settings begin with {sections}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the known name that this name is most likely meant to be, empty if none is near."""
    inside = re.match(r"AUTHGW_+(RULES|LOGIN_+DOMAINS)_+[0-9]", name, re.IGNORECASE)
    if inside:
        # The items of a list have no variables of their own.
        name = f"AUTHGW_{inside[1]}"
    text = _squash(name)
    likeness = {known_name: _likeness(text, known_name) for known_name in names}
    best = max(likeness, key=lambda known_name: (likeness[known_name], -len(known_name)))
    return best if likeness[best] >= _NAME_LIKENESS else ""


def _likeness(squashed: str, known_name: str) -> float:
    meant = _squash(known_name)
    if squashed == meant:
        return 2.0
    rest = squashed.removeprefix("AUTHGW")
    if rest and meant.endswith(rest):
        return 1.5  # without its section
    last = known_name.removesuffix("_FILE").rpartition("__")[2].rpartition("_")[2]
    same_end = _SAME_END if squashed.endswith(last) else 0.0
    return difflib.SequenceMatcher(None, squashed, meant).ratio() + same_end


def _squash(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _take(name: str, variable: Variable, text: str, folder: Path, source: Source) -> None:
    """Add what this variable says to `source`, or what is wrong with it."""
    if is_null(text.strip()):
        source.problems.append(f"{name}: is empty: write its value, or unset the variable")
        return
    try:
        if variable.from_file:
            source.put(variable.path, key_files.read_line(folder / text.strip()), name)
        elif model_of(variable.kind):
            document = Document(text, name, variable.path)
            source.problems.extend(document.problems)
            if document.data == {}:
                raise OperatorError("is empty: write its keys, or unset the variable")
            source.put(variable.path, document.data, name, document.origins)
        else:
            source.put(variable.path, _value(text.strip(), variable.kind, name), name)
    except YamlSyntaxError as error:
        source.problems.append(str(error))
    except OperatorError as error:
        source.problems.append(f"{name}: {error}")


def _value(text: str, kind: Any, name: str) -> Any:
    if text[0] in "\"'" and text[-1] == text[0] and len(text) > 1:
        return Document(text, name).data
    if not holds(kind, tuple):
        return UnquotedScalar(text)
    if text[0] in "[-":
        return Document(text, name).data
    return comma_separated(text)
