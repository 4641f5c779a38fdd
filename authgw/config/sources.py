"""Raw values of a configuration from a YAML file or the environment, with their origins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authgw.config.yaml_text import YamlDocument, YamlSyntaxError
from authgw.files.file_errors import file_error
from authgw.files.key_errors import key_text

Key = tuple[str, ...]
ABSENT = object()


@dataclass(frozen=True, slots=True)
class RawSettings:
    """Raw values with their origins: a file and line, or an environment variable."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def origin(self, path: Key) -> str:
        """Return the origin of this value, or of the nearest section that contains it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return "configuration"

    def add_problem(self, path: Key, text: str) -> None:
        """Add a problem with this key."""
        self.problems.append(f"{self.origin(path)}: {self._key_text(path)}: {text}")

    def _key_text(self, path: Key) -> str:
        # A single value that is accepted as a list of one has no number.
        is_item = path[-1].isdigit() and isinstance(self.value(path[:-1]), list)
        return key_text(path if is_item or not path[-1].isdigit() else path[:-1])

    def value(self, path: Key) -> Any:
        """Return the raw value of this key, or `ABSENT` if it is not set."""
        current: Any = self.data
        for name in path:
            if isinstance(current, dict):
                current = current.get(name, ABSENT)
            elif isinstance(current, list) and name.isdigit() and int(name) < len(current):
                current = current[int(name)]
            else:
                return ABSENT
        return current

    def put(
        self, path: Key, value: Any, origin: str, below: Mapping[Key, str] | None = None
    ) -> None:
        """Add a value, and a problem if it is already set; `below` has the origins of its parts."""
        for name in reversed(path):
            value = {name: value}
        for key in _duplicate_keys(self.data, value, ()):
            other = self.origin(key)
            self.problems.append(f"{origin}: {key_text(key)}: is also set by {other}: keep one")
        _merge(self.data, value)
        self.origins[path] = origin
        self.origins.update({(*path, *key): place for key, place in (below or {}).items()})

    def overlay(self, other: "RawSettings") -> tuple[str, ...]:
        """Override values by those of `other`; return a sentence for each replaced value."""
        self.problems.extend(other.problems)
        replaced = [*_duplicate_keys(self.data, other.data, ())]
        notes = []
        for key in replaced:
            if isinstance(other.value(key), dict):
                self.problems.append(
                    f"{other.origin(key)}: {key_text(key)}: is a section in one source and a value "
                    "in the other: write the same kind in both"
                )
            else:
                place = f"{other.origin(key)} overrides {key_text(key)}"
                notes.append(f"{place} ({self.origin(key)}).")
            for child in [child for child in self.origins if child[: len(key)] == key]:
                del self.origins[child]
        _merge(self.data, other.data)
        self.origins.update(other.origins)
        return tuple(notes)


def _duplicate_keys(
    first: Mapping[str, Any], second: Mapping[str, Any], parent: Key
) -> Iterator[Key]:
    """Yield the keys that both mappings set, except for sections that can be merged."""
    for name, value in second.items():
        if name not in first:
            continue
        if isinstance(first[name], dict) and isinstance(value, dict):
            yield from _duplicate_keys(first[name], value, (*parent, name))
        else:
            yield (*parent, name)


def _merge(into: dict[str, Any], data: Mapping[str, Any]) -> None:
    for name, value in data.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            # A YAML alias may share this dictionary with another key.
            into[name] = dict(into[name])
            _merge(into[name], value)
        else:
            into[name] = value


def read_file(path: Path) -> RawSettings:
    """Read a YAML file; errors are added to the problems of the source."""
    source = RawSettings()
    try:
        document = YamlDocument(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        source.problems.append(file_error(path, error))
    except UnicodeDecodeError:
        source.problems.append(f"{path} is not UTF-8 text: save it as UTF-8")
    except YamlSyntaxError as error:
        source.problems.append(str(error))
    else:
        source.origins.update(document.origins)
        source.problems.extend(document.problems)
        if isinstance(document.data, dict):
            source.data.update({str(key): value for key, value in document.data.items()})
        elif document.data is not None:
            message = "must be sections: begin with `server:`, `rules:` or another section"
            source.problems.append(f"{path.name}:1: {message}")
    return source
