"""The effective configuration: every key with its value and the source of the value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from authgw.config.schema import Settings
from authgw.config.section import Section
from authgw.config.values import format_duration

DEFAULT = "default"
_MASK = "********"
_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """A key, its value as YAML and JSON have it, and its source.

    The source is `default`, a file with its line, or an environment variable. Secrets are masked.
    """

    key: str
    value: Any
    source: str


def effective_values(settings: Settings, origins: Mapping[_Path, str]) -> Iterator[EffectiveValue]:
    """Yield every key in the order of the schema; `origins` has the places of written values."""
    yield from _section(settings, (), origins)


def _section(
    section: Section, path: _Path, origins: Mapping[_Path, str]
) -> Iterator[EffectiveValue]:
    for name, value in section:
        key = (*path, name)
        if isinstance(value, Section):
            yield from _section(value, key, origins)
        elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
            for number, item in enumerate(value):
                yield _item((*key, str(number)), item, origins)
        elif isinstance(value, dict) and any(isinstance(item, Section) for item in value.values()):
            for item_name, item in value.items():
                yield from _section(item, (*key, item_name), origins)
        elif key == ("cache", "url"):
            yield _store(section, key, origins)
        else:
            yield EffectiveValue(".".join(key), _plain(value), origins.get(key, DEFAULT))


def _item(path: _Path, item: BaseModel, origins: Mapping[_Path, str]) -> EffectiveValue:
    """Return the value of an item of a list: the keys that it sets."""
    written = item.model_dump(by_alias=True, exclude_unset=True)
    value = {name: _plain(inner) for name, inner in written.items()}
    return EffectiveValue(".".join(path), value, origins.get(path, origins.get(path[:-1], DEFAULT)))


def _store(cache: Any, key: _Path, origins: Mapping[_Path, str]) -> EffectiveValue:
    """Return the URL of the store, also if other keys set it."""
    source = origins.get(key) or (origins.get(("cache", "host")) if cache.host else None)
    return EffectiveValue(".".join(key), mask_password(cache.address), source or DEFAULT)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return mask_password(value.get_secret_value())
    if isinstance(value, float):
        return format_duration(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def mask_password(url: str) -> str:
    """Return a URL without its password."""
    scheme, separator, rest = url.partition("://")
    userinfo, at, location = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    return f"{scheme}{separator}{user}{colon}{_MASK if colon else ''}{at}{location}"
