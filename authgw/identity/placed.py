"""YAML whose parts can be found again: what it says, and on which line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.cyaml import CSafeLoader

_TEXT = "tag:yaml.org,2002:str"


class NotYaml(ValueError):
    """Text that is no YAML; `line` is where it stops to be, from 1, None if that is not known."""

    def __init__(self, line: int | None) -> None:
        self.line = line
        super().__init__("is not YAML that can be read")


@dataclass(frozen=True, slots=True)
class Placed:
    """What a document says (None: nothing) and the nodes that say it."""

    data: Any
    _root: yaml.Node | None

    def line(self, path: Sequence[str | int]) -> int:
        """The line, from 1, of the deepest part of this path that is written."""
        node, line = self._root, 1
        for part in path:
            key, node = _below(node, part)
            if key is None:
                break
            line = key.start_mark.line + 1
        return line


def read(text: str) -> tuple[Placed, list[tuple[int, str]]]:
    """A document, and by line what its keys should not be: twice there, or something but text.

    Raises:
        NotYaml: it cannot be read; the parser's words are dropped, they may repeat a secret.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        # Before merge keys are resolved, which would write into the nodes.
        problems = list(_odd_keys(root, set()))
        data = None if root is None else loader.construct_document(root)
    except Exception as error:
        # PyYAML's constructors raise whatever their conversions do.
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(mark.line + 1 if mark else None) from None
    return Placed(data, root), problems


class _Loader(Composer, CSafeLoader):
    """libyaml parses, Python composes: a long file holds the interpreter for an event at most."""

    def __init__(self, text: str) -> None:
        CSafeLoader.__init__(self, text)
        Composer.__init__(self)


def _odd_keys(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[int, str]]:
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _odd_keys_of(node)
    for item in node.value:
        yield from _odd_keys(item[1] if isinstance(item, tuple) else item, seen)


def _odd_keys_of(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    known = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag != _TEXT:
            yield line, "a key that is not text: put it in quotes"
        elif key.value in known:
            yield line, "a key that stands twice: remove one"
        else:
            known.add(key.value)


def _below(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part], node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), (None, None))
    return None, None
