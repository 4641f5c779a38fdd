"""What a configuration says, from a YAML file and the environment, and where each value stands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_ENVIRONMENT = re.compile(r"AUTHGW_([A-Z]+(?:__[A-Z0-9_]+?)+)")


@dataclass(frozen=True, slots=True)
class Source:
    """Raw values with where each came from: a file and line, or an environment variable."""

    data: dict[str, Any]
    origins: dict[tuple[str, ...], str]
    problems: list[str]

    def origin(self, path: tuple[str, ...]) -> str:
        """Where this value, or the nearest section around it, stands."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return "configuration"

    def complain(self, path: tuple[str, ...], text: str) -> None:
        """Add a problem of this key."""
        self.problems.append(f"{self.origin(path)}: {'.'.join(path)}: {text}")


def read_file(path: Path, source: Source) -> None:
    """Add what a YAML file says; what is wrong with it becomes a problem."""
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
    except Exception:
        # PyYAML lets its constructors fail in any way.
        source.problems.append(f"{path.name}: is not YAML that can be read")
    else:
        _take(data, path, source)


def _take(data: Any, path: Path, source: Source) -> None:
    if not isinstance(data, dict):
        source.problems.append(f"{path.name}:1: must be sections such as `server:`, not a value")
        return
    source.data.update({str(key): value for key, value in data.items()})


def _locate(node: yaml.Node | None, path: tuple[str, ...], file: str, source: Source) -> None:
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


def read_environment(environ: Mapping[str, str], source: Source) -> None:
    """Add what `AUTHGW_<SECTION>__<KEY>` say, which win over the file."""
    for variable, text in sorted(environ.items()):
        match = _ENVIRONMENT.fullmatch(variable)
        if match is None:
            continue
        path = tuple(match[1].lower().split("__"))
        try:
            value = yaml.safe_load(text)
        except Exception:
            # PyYAML lets its constructors fail in any way.
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
