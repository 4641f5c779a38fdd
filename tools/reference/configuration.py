"""Configuration keys: type, default, example and variable of each, from the models."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from authgw.config import rules, values
from authgw.config.environment import known_variables
from authgw.config.schema import Settings
from authgw.config.schema_paths import accepts, model_of
from tools.reference.markdown import code, joined, sentence

Key = tuple[str, ...]
# The form in which values of a type are written, the most specific types first.
_FORMS = (
    (values.Boolean, "true or false"),
    (values.Integer, "integer"),
    (values.PositiveDuration, "duration above 0"),
    (values.Duration, "duration"),
    (values.Network, "list of addresses and networks"),
    (values.HostPattern, "list of hosts, such as `app.example.com` or `*.example.com`"),
    (values.LogPlace, "`stderr`, `syslog`, or the path of a file"),
    (values.ListeningHost, "address or host name"),
    (values.StoreHost, "host name or address"),
    (values.StoreUrl, "URL of a store"),
    (values.PageUrl, "URL"),
    (values.CookieDomain, "domain"),
    (values.Colour, "colour as `#rrggbb`"),
    (values.HeaderName, "name of a header"),
    (rules.RuleHost, "host, such as `app.example.com` or `*.example.com`"),
    (rules.Subject, "list of subjects"),
    (rules.Glob, "list of patterns"),
    (rules.Regex, "list of patterns"),
    (rules.Method, "list of methods"),
)
_UNITS = (("h", 3600), ("m", 60), ("s", 1))


def keys() -> str:
    """Return a section for each section of the configuration, with an entry for each key."""
    return joined(*_sections(Settings, ()))


def _sections(model: type[BaseModel], parent: Key) -> Iterator[str]:
    for name, info in model.model_fields.items():
        inner = model_of(info.annotation)
        if inner is None:
            continue
        key = (*parent, name)
        yield f"## {code('.'.join(key))}"
        yield _description(info, inner)
        if accepts(info.annotation, tuple):
            yield from _entries(inner, (*parent, f"{name}[]"))
        elif accepts(info.annotation, dict):
            yield from _entries(inner, (*key, "NAME"))
            yield from _sections(inner, (*key, "NAME"))
        else:
            yield from _entries(inner, key)
            yield from _sections(inner, key)


def _description(info: FieldInfo, model: type[BaseModel]) -> str:
    written = info.description or (model.__doc__ or "").partition("\n\n")[0]
    return written if "\n\n" in written else sentence(written)


def _entries(model: type[BaseModel], section: Key) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if model_of(info.annotation) is None:
            key = (*section, info.alias or name)
            yield _entry(key, info, get_type_hints(model, include_extras=True)[name])


def _entry(key: Key, info: FieldInfo, annotation: Any) -> str:
    dotted = ".".join(key)
    facts = [
        f"- Type: {_form(info, annotation)}",
        f"- Default: {_default(info, annotation)}",
        *(f"- Example: `{key[-1]}: {_written(example)}`" for example in info.examples or ()),
        *(f"- Variable: {code(variable)}" for variable in _variables().get(key, ())),
    ]
    return joined(f"### {code(dotted)}", info.description or "", "\n".join(facts))


def _form(info: FieldInfo, annotation: Any) -> str:
    words = _words(annotation)
    if words:
        either = f"{', '.join(map(code, words[:-1]))} or {code(words[-1])}".removeprefix(" or ")
        return f"list of {either}" if accepts(info.annotation, tuple) else either
    parts = list(_metadata(annotation))
    if accepts(info.annotation, dict):
        return "mapping of texts"
    found = (text for known, text in _FORMS if all(part in parts for part in _metadata(known)))
    form = next(found, "text")
    if accepts(info.annotation, tuple) and not form.startswith("list of "):
        form = f"list of {form}s"
    lowest = [limit.ge for limit in info.metadata if isinstance(limit, Ge)]
    highest = [limit.le for limit in info.metadata if isinstance(limit, Le)]
    return f"{form} from {lowest[0]} to {highest[0]}" if lowest and highest else form


def _metadata(annotation: Any) -> Iterator[Any]:
    """Yield the metadata of an annotated type, and those of the types that it consists of."""
    yield from (part for part in getattr(annotation, "__metadata__", ()) if not _is_example(part))
    for inner in get_args(annotation):
        yield from _metadata(inner)


def _is_example(part: Any) -> bool:
    return isinstance(part, FieldInfo) and part.examples is not None


def _words(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for inner in get_args(annotation) for word in _words(inner)]


def _default(info: FieldInfo, annotation: Any) -> str:
    if info.is_required():
        return "none; the key is required"
    if info.default is None:
        return "not set"
    is_duration = any(part in _metadata(values.Duration) for part in _metadata(annotation))
    return code(_duration(info.default) if is_duration else _written(info.default))


def _duration(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}"


def _written(value: Any) -> str:
    """Return a value as it is written in a line of YAML."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


@cache
def _variables() -> dict[Key, list[str]]:
    variables: dict[Key, list[str]] = {}
    for name, variable in known_variables().items():
        variables.setdefault(variable.path, []).append(name)
    return variables
