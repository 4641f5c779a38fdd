"""Incremental reader of a YAML file of named entries, with the line of every part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import events
from yaml.composer import Composer
from yaml.cyaml import CSafeLoader

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


_NOT_YAML = "is not valid YAML: check indentation, colons and quotes here and in the line before"


class YamlEntriesError(ValueError):
    """Raised for text that is not a mapping of entries; `line` counts from 1, None if unknown.

    The message never contains the parser's message, which may repeat a secret.
    """

    def __init__(
        self,
        line: int | None,
        message: str = _NOT_YAML,
    ) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Entry:
    """A named entry; `problems` are its duplicate and non-text keys, each with its line."""

    name: str
    data: Any
    problems: tuple[tuple[int, str], ...]
    _line: int
    _node: yaml.Node

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line, from 1, of the deepest part of this path that exists in the file."""
        line, node = self._line, self._node
        for part in path:
            child = _child(node, part)
            if child is None:
                break
            line, node = child
        return line


def entries(text: str) -> Iterator[Entry]:
    """Yield the entries of a YAML mapping in their order; nothing for an empty document.

    Entries are read one at a time, so that a long file neither fills the memory with nodes nor
    blocks other threads for longer than an entry takes.

    Raises:
        YamlEntriesError: The text is not a mapping, or the rest of it cannot be read.
    """
    try:
        yield from _entries(_EntryLoader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlEntriesError(mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError):
        raise YamlEntriesError(None) from None


class _EntryLoader(Composer, CSafeLoader):
    """Parser of libyaml with the composer in Python, which can compose single nodes."""

    def __init__(self, text: str) -> None:
        CSafeLoader.__init__(self, text)
        Composer.__init__(self)


def _entries(loader: _EntryLoader) -> Iterator[Entry]:
    loader.get_event()  # the stream's start
    if loader.check_event(events.StreamEndEvent):
        return
    loader.get_event()  # the document's start
    start: Any = loader.get_event()
    if isinstance(start, events.ScalarEvent) and start.value == "" and not start.style:
        return
    if not isinstance(start, events.MappingStartEvent):
        line = start.start_mark.line + 1
        raise YamlEntriesError(
            line, "must be entries: begin each with its name and a colon, such as `alice:`"
        )
    seen: set[str] = set()
    while not loader.check_event(events.MappingEndEvent):
        yield _entry(loader, seen)
    loader.get_event()  # the mapping's end
    loader.get_event()  # the document's end
    end: Any = loader.get_event()
    if not isinstance(end, events.StreamEndEvent):
        raise YamlEntriesError(
            end.start_mark.line + 1, "a second document begins here: keep one document"
        )


def _entry(loader: _EntryLoader, seen: set[str]) -> Entry:
    key: Any = loader.compose_node(None, 0)
    value: Any = loader.compose_node(None, 0)
    line = key.start_mark.line + 1
    # Checked before the merge keys are resolved, which changes the nodes.
    problems = (*_key_problems([key], seen), *_nested_key_problems(value, set()))
    try:
        data = loader.construct_document(value)
    except Exception:
        # PyYAML's constructors raise any exception of their conversions.
        raise YamlEntriesError(line) from None
    return Entry(str(key.value), data, problems, line, value)


def _nested_key_problems(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _key_problems([key for key, _ in node.value], set())
    for item in node.value:
        yield from _nested_key_problems(item[1] if isinstance(item, tuple) else item, seen)


def _key_problems(keys: Sequence[yaml.Node], seen: set[str]) -> Iterator[tuple[int, str]]:
    for key in keys:
        line = key.start_mark.line + 1
        if key.tag == _MERGE:
            continue
        if key.tag != _TEXT:
            yield line, "this key is not text: put it in quotes"
        elif key.value in seen:
            yield line, "this key is duplicated: remove one"
        else:
            seen.add(key.value)


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        item = node.value[part]
        return item.start_mark.line + 1, item
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    matches = ((key, value) for key, value in pairs if key.value == part)
    return next(((key.start_mark.line + 1, value) for key, value in matches), None)
