"""Edits of a YAML file of named entries that leave every byte outside of the change as it was.

PyYAML reports the position of each value and writes the new values; only their text is replaced.
Comments, order, quoting, blank lines, anchors and line ends therefore stay. The possible layouts
are unlimited, so callers parse the result before they write it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import yaml
from yaml import events
from yaml.composer import Composer
from yaml.cyaml import CSafeDumper, CSafeLoader
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

_WIDTH = 2**31 - 1  # characters: a long value stays on its line
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")  # an anchor or a tag before a value
_BOM = "\ufeff"
_ABSENT: Any = object()


class YamlEditError(ValueError):
    """Raised when the layout of the text is not supported by this module."""


class _Splice(NamedTuple):
    """New text for the part of the old text from `start` to `end`."""

    start: int
    end: int
    text: str


class _Span(NamedTuple):
    """The first and last node of a mapping's pair or of a sequence's item."""

    first: Node
    last: Node


def edited(text: str, name: str, old: Any, new: Any) -> str:
    """Return the text with `new` as the entry of this name; `old` is None for a new entry.

    An entry is a mapping, or a list as a tuple.

    Raises:
        YamlEditError: The text is not a mapping of entries, or its layout is not supported.
    """
    return _spliced(text, name, {} if old is None else {name: old}, {name: new})


def removed(text: str, name: str, old: Any) -> str:
    """Return the text without the entry of this name and the comments inside of it.

    Raises:
        YamlEditError: The text is not a mapping of entries, or its layout is not supported.
    """
    return _spliced(text, name, {name: old}, {})


def _spliced(text: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    # The parser's positions do not include a byte order mark.
    mark, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    try:
        root = _NodeReader(text).root(name)
    except yaml.YAMLError:
        raise YamlEditError("not YAML that can be read") from None
    splices = sorted(_Editor(text).mapping(root, old, new))
    for start, end, replacement in reversed(splices):
        text = text[:start] + replacement + text[end:]
    return mark + text


class _NodeReader(Composer, CSafeLoader):
    """Nodes with their positions; an alias is a separate node at its own position."""

    def __init__(self, text: str) -> None:
        CSafeLoader.__init__(self, text)
        Composer.__init__(self)
        self._end = len(text)

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose the next node as PyYAML does, except for aliases."""
        if not self.check_event(events.AliasEvent):
            return super().compose_node(parent, index)
        alias: Any = self.get_event()
        return ScalarNode("", alias.anchor, alias.start_mark, alias.end_mark)

    def root(self, name: str) -> MappingNode | None:
        """Return the mapping of entries; only the entry of this name has child nodes.

        Return None if the document has no value.
        """
        self.get_event()  # the stream's start
        if self.check_event(events.StreamEndEvent):
            return None
        self.get_event()  # the document's start
        start: Any = self.get_event()
        if isinstance(start, events.ScalarEvent) and start.value == "":
            return None
        if not isinstance(start, events.MappingStartEvent):
            raise YamlEditError("not a mapping of entries")
        pairs = []
        while not self.check_event(events.MappingEndEvent):
            key: Any = self.compose_node(None, 0)
            value = self.compose_node(None, 0) if key.value == name else self._skip()
            pairs.append((key, value))
        end: Any = self.get_event()
        places: tuple[Any, Any] = (start.start_mark, end.end_mark)
        return MappingNode("", pairs, *places, flow_style=start.flow_style)

    def _skip(self) -> Node:
        """Skip a value; return a node that has only the value's position."""
        first: Any = self.peek_event()
        depth, last = 0, first.end_mark
        while True:
            event: Any = self.get_event()
            depth += isinstance(event, events.CollectionStartEvent)
            depth -= isinstance(event, events.CollectionEndEvent)
            # The end of a block has no text: its mark is at the start of the next value.
            if event.end_mark.index > event.start_mark.index:
                last = event.end_mark
            if depth == 0:
                return ScalarNode("", "", first.start_mark, last)


class _Editor:
    """Computes the splices that change values in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def mapping(
        self, node: MappingNode | None, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[_Splice]:
        """Yield the splices that change a mapping; pairs in neither `old` nor `new` stay."""
        if node is None or (node.flow_style and not node.value):
            yield self._first_entries(node, new)
            return
        own = {key.value: (key, value) for key, value in node.value}
        spans = [_Span(*pair) for pair in node.value]
        removed = [at for at, (key, _) in enumerate(node.value) if _is_removed(key.value, old, new)]
        yield from self._removals(node, spans, removed)
        for name, (_, value) in own.items():
            if name in new and old.get(name, _ABSENT) != new[name]:
                yield from self._value_changes(node, value, old.get(name), new[name])
        added = {name: new[name] for name in new if name not in own and old.get(name) != new[name]}
        # A value from a merge key can only be overridden.
        added |= {name: None for name in old if name not in own and name not in new}
        if added:
            yield self._addition(node, spans, added, _column(node.value[0][0]))

    def _value_changes(
        self, parent: CollectionNode, node: Node, old: Any, new: Any
    ) -> Iterator[_Splice]:
        if isinstance(node, MappingNode) and isinstance(old, dict) and isinstance(new, dict):
            yield from self.mapping(node, old, new)
        elif isinstance(node, CollectionNode) and isinstance(old, tuple) and isinstance(new, tuple):
            yield from self._sequence_changes(node, old, new)
        else:
            yield self._replacement(node, new, in_flow=bool(parent.flow_style))

    def _sequence_changes(
        self, node: CollectionNode, old: tuple[Any, ...], new: tuple[Any, ...]
    ) -> Iterator[_Splice]:
        if len(node.value) != len(old):
            raise YamlEditError("a list that is not as it was read")
        removed = [at for at, item in enumerate(old) if item not in new]
        added = [item for item in new if item not in old]
        if node.flow_style and len(removed) == len(old):
            yield self._replacement(node, new, in_flow=True)
            return
        spans = [_Span(item, item) for item in node.value]
        yield from self._removals(node, spans, removed)
        if added:
            column = 0 if node.flow_style else self._dash(node.value[0])
            yield self._addition(node, spans, added, column)

    def _removals(
        self, node: CollectionNode, spans: Sequence[_Span], removed: list[int]
    ) -> Iterator[_Splice]:
        kept = [at for at in range(len(spans)) if at not in removed]
        # Readers refuse an empty document: it may be a file that lost its content.
        is_emptied = isinstance(node, MappingNode) and not kept
        for at in removed:
            first, last = spans[at].first.start_mark.index, self._end(spans[at].last)
            if not node.flow_style:
                column = spans[at].first.start_mark.column
                end = self._after_comments(self._line_end(last), column)
                rest = f"{' ' * column}{{}}{self._newline}" if is_emptied and at == 0 else ""
                yield _Splice(self._line_start(first), end, rest)
            elif kept and at < kept[0]:
                yield _Splice(first, spans[at + 1].first.start_mark.index, "")
            else:
                before = self._end(spans[at - 1].last) if at else first
                yield _Splice(before, last, "")

    def _addition(
        self,
        node: CollectionNode,
        spans: Sequence[_Span],
        added: Mapping[str, Any] | list[Any],
        column: int,
    ) -> _Splice:
        end = self._end(spans[-1].last)
        if node.flow_style:
            return _Splice(end, end, f", {_dump(added, flow=True)[1:-1]}")
        end = self._after_comments(self._line_end(end), column)
        return _Splice(end, end, self._block(added, column, after=end))

    def _first_entries(self, node: Node | None, new: Mapping[str, Any]) -> _Splice:
        if node is None:
            end = len(self._text)
            return _Splice(end, end, self._block(new, 0, after=end))
        start, end = node.start_mark.index, node.end_mark.index
        block = self._block(new, 0, after=start).removesuffix(self._newline)
        return _Splice(start, end, block)

    def _replacement(self, node: Node, new: Any, *, in_flow: bool) -> _Splice:
        start, end = node.start_mark.index, self._end(node)
        node_properties = _PROPERTIES.match(self._text, start, max(start, end))
        start = node_properties.end() if node_properties else start
        style = node.style if isinstance(node, ScalarNode) and node.style in ("'", '"') else None
        # Text that is plain outside of brackets may need quotes inside them.
        if in_flow or not isinstance(new, str):
            written = _dump([new], flow=True, style=style)[1:-1]
        else:
            written = _dump([new], flow=False, style=style).removeprefix("- ")
        space = " " if self._text[start - 1 : start] == ":" else ""
        return _Splice(start, end, space + written)

    def _block(self, value: Any, column: int, *, after: int) -> str:
        dumped = _dump(value, flow=False).split("\n")
        lines = [" " * column + line + self._newline for line in dumped]
        needs_newline = after > 0 and self._text[after - 1] not in "\r\n"
        return (self._newline if needs_newline else "") + "".join(lines)

    def _end(self, node: Node) -> int:
        """Return the end of a node's text, without the white space and comments that follow."""
        if isinstance(node, CollectionNode) and not node.flow_style:
            last = node.value[-1]
            return self._end(last[1] if isinstance(last, tuple) else last)
        start, end = node.start_mark.index, node.end_mark.index
        return start + len(self._text[start:end].rstrip())

    def _dash(self, item: Node) -> int:
        start = self._line_start(item.start_mark.index)
        line = self._text[start : item.start_mark.index]
        if line.lstrip(" ")[:1] != "-":
            raise YamlEditError("a list whose items do not begin with a dash")
        return len(line) - len(line.lstrip(" "))

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        return self._text.find("\n", at) + 1 or len(self._text)

    def _after_comments(self, at: int, column: int) -> int:
        """Return the end of the comment lines at `at` that are indented deeper than `column`."""
        while re.compile(rf" {{{column + 1},}}#").match(self._text, at):
            at = self._line_end(at)
        return at


class _Dumper(CSafeDumper):
    """Writes a date and time in UTC as in the README: 2027-02-20T10:00:00Z."""


def _represent_datetime(dumper: _Dumper, value: datetime) -> ScalarNode:
    text = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", text)


_Dumper.add_representer(datetime, _represent_datetime)


def _dump(value: Any, *, flow: bool, style: str | None = None) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=flow,
        default_style=style,
    )
    return text.rstrip("\n")


def _is_removed(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return name in old and name not in new


def _column(node: Node) -> int:
    column: int = node.start_mark.column
    return column
