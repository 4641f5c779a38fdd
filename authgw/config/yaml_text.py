"""YAML text to raw values, with the line of each and a remedy for every mistake."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from authgw.config.scalars import UnquotedScalar, is_null

MAX_NODES = 50_000  # with every alias expanded: a few lines of aliases can stand for billions
_MERGE = "tag:yaml.org,2002:merge"
_STR = "tag:yaml.org,2002:str"
_KEY = re.compile(r"(?:^|[{,\[]|-\s)\s*([A-Za-z_][\w-]*)\s*:(?=\s)")
_COMMENTED = re.compile(r"([A-Za-z_][\w-]*)\s*:\s+#[^\s#]")
# YAML gives a meaning of its own to a value that begins so.
_SPECIAL = "*&!%@`|>[]{},#?"
# The parser's words may repeat a piece of a value, and a value may be a secret.
_QUOTED = re.compile(r" ?'([^']*)'")


class YamlSyntaxError(ValueError):
    """Text that cannot be read; the message begins with its place, `config.yml:3`."""


class _YamlLoader(yaml.SafeLoader):
    """Leaves the type of a value without quotes to the key that it belongs to."""

    yaml_implicit_resolvers = {"<": [(_MERGE, re.compile("<<"))]}  # noqa: RUF012  as PyYAML has it

    def construct_plain(self, node: yaml.ScalarNode) -> str | None:
        """Return quoted text as str, other text as `UnquotedScalar`, and nothing as None."""
        text = str(self.construct_scalar(node))
        if node.style is not None:
            return text
        return None if is_null(text) else UnquotedScalar(text)


_YamlLoader.add_constructor(_STR, _YamlLoader.construct_plain)


class Document:
    """One YAML document.

    `origins` maps the path of each part to its place, `problems` are mistakes that can be read
    over: what is duplicated or looks like a comment by mistake.
    """

    def __init__(self, text: str, name: str, section: tuple[str, ...] = ()) -> None:
        """Read the document; `name` is the file or variable that holds it, for this section.

        Raises:
            YamlSyntaxError: it cannot be read.
        """
        self.origins: dict[tuple[str, ...], str] = {}
        self.problems: list[str] = []
        self._name = name
        self._section = section
        self._lines = text.split("\n")
        self._nodes = 0
        self.data: Any = self._read(text)

    def _read(self, text: str) -> Any:
        try:
            loader = _YamlLoader(text)
            root = loader.get_single_node()
            if root is None:
                return None
            if isinstance(root, yaml.ScalarNode) and root.value and is_null(root.value):
                return root.value  # written, and so a mistake
            self._locate(root, (), frozenset())
            return loader.construct_document(root)
        except yaml.MarkedYAMLError as error:
            raise YamlSyntaxError(self._in_words(error)) from None
        except YamlSyntaxError:
            raise
        except Exception:
            # PyYAML lets its constructors fail in any way, and recursion has an end.
            raise YamlSyntaxError(f"{self._name}: is not YAML that can be read") from None

    def _place(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"

    def _locate(self, node: yaml.Node, path: tuple[str, ...], kept: frozenset[str]) -> None:
        """Note where the parts of this node are; those named in `kept` stay where they were."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise YamlSyntaxError(f"{self._name}: is too large: more than {MAX_NODES} values")
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.origins[(*path, str(index))] = self._place(item)
                self._locate(item, (*path, str(index)), frozenset())
        elif isinstance(node, yaml.MappingNode):
            self._locate_pairs(node, path, kept)

    def _locate_pairs(
        self, node: yaml.MappingNode, path: tuple[str, ...], kept: frozenset[str]
    ) -> None:
        own: set[str] = set()
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            name = str(key.value)
            if name in own:
                self._complain(key, (*path, name), "stands twice: remove one")
            own.add(name)
            if name not in kept:
                self.origins[(*path, name)] = self._place(key)
                self._check_value(key, value, (*path, name))
                self._locate(value, (*path, name), frozenset())
        for key, value in node.value:
            for merged in _merged(value) if key.tag == _MERGE else ():
                self._locate(merged, path, kept | own)
                own |= {str(inner.value) for inner, _ in _pairs(merged)}

    def _check_value(self, key: yaml.Node, value: yaml.Node, path: tuple[str, ...]) -> None:
        """Complain of a value that YAML drops: one that looks like a comment or an anchor."""
        if not isinstance(value, yaml.ScalarNode) or value.value or value.style is not None:
            return
        rest = self._lines[key.end_mark.line][key.end_mark.column :].strip().removeprefix(":")
        rest = rest.strip()
        if rest[:1] == "&" or re.match(r"#[^\s#]", rest):
            said = f"begins with {rest[0]}, which YAML does not read as text: quote it"
            self._complain(key, path, said)

    def _complain(self, node: yaml.Node, path: tuple[str, ...], text: str) -> None:
        self.problems.append(f"{self._place(node)}: {'.'.join((*self._section, *path))}: {text}")

    def _in_words(self, error: yaml.MarkedYAMLError) -> str:
        """Return place, mistake and remedy, without a word of the value: it may be a secret."""
        parts = (error.context, error.problem)
        said = " ".join(_QUOTED.sub(_without_value, part) for part in parts if part)
        line, column = _position(error.problem_mark)
        remedy = _remedy(said, self._lines[: line + 1], column, _character(error, self._lines))
        return f"{self._name}:{line + 1}: is not YAML that can be read: {said}: {remedy}"


def _without_value(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[1]) == 1 or quoted[1].startswith("<") else ""


def _position(mark: yaml.Mark | None) -> tuple[int, int]:
    return (mark.line, mark.column) if mark else (0, 0)


def _character(error: yaml.MarkedYAMLError, lines: list[str]) -> str:
    """Return the character that gave the value another meaning, empty if it is not known."""
    line, column = _position(error.context_mark or error.problem_mark)
    found = lines[line][column : column + 1] if line < len(lines) else ""
    return found if found and found in _SPECIAL else ""


def _remedy(said: str, lines: list[str], column: int, character: str) -> str:
    """Return what to change; the mistake is at `column` of the last line."""
    begun = lines[-1][: column + 1]
    commented = [*filter(None, map(_COMMENTED.search, lines))] if "flow" in said else []
    if commented:
        return f"quote the value of `{commented[-1][1]}`, which begins with #"
    if "\t" in begun:
        return "indent with spaces, not tabs"
    if "single document" in said:
        return "keep one document"
    if "found ':'" in said:
        return 'quote the value that begins with a colon, such as "::1"'
    if "escape character" in said:
        return "write the value in single quotes, where a backslash is a backslash"
    if "expected ','" in said:
        return f"close the {character or 'bracket'}, or quote the value that begins with it"
    keys = _KEY.findall(begun) or _KEY.findall(lines[-1])
    of = f" of `{keys[-1]}`" if keys else ""
    return f"quote the value{of}{f', which begins with {character}' if character else ''}"


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _merged(value: yaml.Node) -> Iterator[yaml.Node]:
    yield from value.value if isinstance(value, yaml.SequenceNode) else (value,)
