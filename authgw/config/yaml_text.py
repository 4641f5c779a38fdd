"""YAML parser that returns raw values with their lines, and a remedy for each mistake."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from authgw.config import yaml_mistakes
from authgw.config.scalars import UnquotedScalar, is_null
from authgw.core.limits import MAX_YAML_NODES
from authgw.files.key_errors import key_text

_MERGE = "tag:yaml.org,2002:merge"
_STR = "tag:yaml.org,2002:str"


class YamlSyntaxError(ValueError):
    """Raised for invalid YAML; the message begins with the place, such as `config.yml:3`."""


class _YamlLoader(yaml.SafeLoader):
    """YAML loader that does not resolve the types of unquoted values: their keys define them."""

    yaml_implicit_resolvers = {"<": [(_MERGE, re.compile("<<"))]}  # noqa: RUF012  as PyYAML has it

    def construct_plain(self, node: yaml.ScalarNode) -> str | None:
        """Return quoted text as str, other text as `UnquotedScalar`, and an empty value as None."""
        text = str(self.construct_scalar(node))
        if node.style is not None:
            return text
        return None if is_null(text) else UnquotedScalar(text)


_YamlLoader.add_constructor(_STR, _YamlLoader.construct_plain)


class YamlDocument:
    """A YAML document.

    `origins` maps the path of each value to its place. `problems` are mistakes after which the
    document can still be read: duplicate keys, and values that look like comments.
    """

    def __init__(self, text: str, name: str, section: tuple[str, ...] = ()) -> None:
        """Read the document; `name` is its file or variable, `section` the key that it sets.

        Raises:
            YamlSyntaxError: The text is not valid YAML.
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
                return root.value  # an explicit null, such as `~`, which is a mistake
            self._record_places(root, (), frozenset())
            return loader.construct_document(root)
        except yaml.MarkedYAMLError as error:
            raise YamlSyntaxError(self._describe(error)) from None
        except YamlSyntaxError:
            raise
        except Exception:
            # PyYAML's constructors raise any exception, and recursion is limited.
            raise YamlSyntaxError(
                f"{self._name}: is not valid YAML: remove what is nested or tagged"
            ) from None

    def _place(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"

    def _record_places(self, node: yaml.Node, path: tuple[str, ...], kept: frozenset[str]) -> None:
        """Record the places of the parts of this node, except for the keys in `kept`."""
        self._nodes += 1
        if self._nodes > MAX_YAML_NODES:
            raise YamlSyntaxError(
                f"{self._name}: is too large: write at most {MAX_YAML_NODES} values"
            )
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.origins[(*path, str(index))] = self._place(item)
                self._record_places(item, (*path, str(index)), frozenset())
        elif isinstance(node, yaml.MappingNode):
            self._record_pairs(node, path, kept)

    def _record_pairs(
        self, node: yaml.MappingNode, path: tuple[str, ...], kept: frozenset[str]
    ) -> None:
        names: set[str] = set()
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            name = str(key.value)
            if name in names:
                self._add_problem(key, (*path, name), "is duplicated: remove one")
            names.add(name)
            if name not in kept:
                self.origins[(*path, name)] = self._place(key)
                self._check_value(key, value, (*path, name))
                self._record_places(value, (*path, name), frozenset())
        for key, value in node.value:
            for merged in _merged(value) if key.tag == _MERGE else ():
                self._record_places(merged, path, kept | names)
                names |= {str(inner.value) for inner, _ in _pairs(merged)}

    def _check_value(self, key: yaml.Node, value: yaml.Node, path: tuple[str, ...]) -> None:
        """Add a problem for a value that YAML reads as a comment or an anchor."""
        if not isinstance(value, yaml.ScalarNode) or value.value or value.style is not None:
            return
        rest = self._lines[key.end_mark.line][key.end_mark.column :].strip().removeprefix(":")
        rest = rest.strip()
        if rest[:1] == "&" or re.match(r"#[^\s#]", rest):
            message = (
                f"begins with {rest[0]}, which YAML does not read as text: put the value in quotes"
            )
            self._add_problem(key, path, message)

    def _add_problem(self, node: yaml.Node, path: tuple[str, ...], text: str) -> None:
        self.problems.append(f"{self._place(node)}: {key_text((*self._section, *path))}: {text}")

    def _describe(self, error: yaml.MarkedYAMLError) -> str:
        line, mistake = yaml_mistakes.describe(error, self._lines)
        return f"{self._name}:{line}: is not valid YAML: {mistake}"


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _merged(value: yaml.Node) -> Iterator[yaml.Node]:
    yield from value.value if isinstance(value, yaml.SequenceNode) else (value,)
