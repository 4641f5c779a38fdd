"""YAML of named entries, one at a time, whose parts can be found again by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import events
from yaml.composer import Composer
from yaml.cyaml import CSafeLoader

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class YamlEntriesError(ValueError):
    """Text that cannot be read; `line`, from 1, is where, None if that is not known.

    The message is ours: the parser's own may repeat a secret.
    """

    def __init__(self, line: int | None, message: str = "is not YAML that can be read") -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `odd` are keys, by line, that stand twice or are something else than text."""

    name: str
    data: Any
    odd: tuple[tuple[int, str], ...]
    _line: int
    _node: yaml.Node

    def line(self, path: Sequence[str | int]) -> int:
        """The line, from 1, of the deepest part of this path that is written."""
        line, node = self._line, self._node
        for part in path:
            found = _below(node, part)
            if found is None:
                break
            line, node = found
        return line


def entries(text: str) -> Iterator[Entry]:
    """The entries of a YAML mapping in their order; none if nothing is written.

    One at a time, so that a long file neither fills the memory with nodes nor holds the
    interpreter for longer than an entry takes.

    Raises:
        YamlEntriesError: it is no mapping, or cannot be read on.
    """
    try:
        yield from _entries(_EntryLoader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlEntriesError(mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError):
        raise YamlEntriesError(None) from None


class _EntryLoader(Composer, CSafeLoader):
    """libyaml parses, Python composes."""

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
        raise YamlEntriesError(line, "must be entries such as `alice:`, not a value")
    known: set[str] = set()
    while not loader.check_event(events.MappingEndEvent):
        yield _entry(loader, known)
    loader.get_event()  # the mapping's end
    loader.get_event()  # the document's end
    end: Any = loader.get_event()
    if not isinstance(end, events.StreamEndEvent):
        raise YamlEntriesError(end.start_mark.line + 1, "begins a second document: keep one")


def _entry(loader: _EntryLoader, known: set[str]) -> Entry:
    key: Any = loader.compose_node(None, 0)
    value: Any = loader.compose_node(None, 0)
    line = key.start_mark.line + 1
    # Before merge keys are resolved, which would write into the nodes.
    odd = (*_odd([key], known), *_odd_below(value, set()))
    try:
        data = loader.construct_document(value)
    except Exception:
        # PyYAML's constructors raise whatever their conversions do.
        raise YamlEntriesError(line) from None
    return Entry(str(key.value), data, odd, line, value)


def _odd_below(node: yaml.Node, seen: set[int]) -> Iterator[tuple[int, str]]:
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _odd([key for key, _ in node.value], set())
    for item in node.value:
        yield from _odd_below(item[1] if isinstance(item, tuple) else item, seen)


def _odd(keys: Sequence[yaml.Node], known: set[str]) -> Iterator[tuple[int, str]]:
    for key in keys:
        line = key.start_mark.line + 1
        if key.tag == _MERGE:
            continue
        if key.tag != _TEXT:
            yield line, "a key that is not text: put it in quotes"
        elif key.value in known:
            yield line, "a key that stands twice: remove one"
        else:
            known.add(key.value)


def _below(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        item = node.value[part]
        return item.start_mark.line + 1, item
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    found = ((key, value) for key, value in pairs if key.value == part)
    return next(((key.start_mark.line + 1, value) for key, value in found), None)
